"""The parts of docker/, which nothing here can run."""

from __future__ import annotations

import importlib.util
import os
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from carbonedge import Cluster, Link, Node
from carbonedge.experiments.paper_cluster import paper_cluster
from carbonedge.runtime.local_cluster.limits import Limits
from carbonedge.runtime.ray.connection import resource

ROOT = Path(__file__).parent.parent
DOCKER = ROOT / "docker"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    return document


@pytest.fixture(scope="module")
def start() -> ModuleType:
    spec = importlib.util.spec_from_file_location("start", DOCKER / "start.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def schema(path: Path) -> subprocess.CompletedProcess[str]:
    # A proxy where none is: whatever would be fetched could not be.
    nowhere = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    return subprocess.run(
        [*command, str(path)],
        env={**os.environ, **nowhere},
        capture_output=True,
        text=True,
        check=False,
    )


def test_compose_takes_it_by_its_schema(tmp_path: Path) -> None:
    done = schema(DOCKER / "compose.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = tmp_path / "compose.yaml"
    wrong.write_text((DOCKER / "compose.yaml").read_text().replace("cpu_quota", "cpu_quotas"))
    assert schema(wrong).returncode == 1


def test_containers_have_what_nodes_have(compose: dict[str, Any]) -> None:
    nodes = {node.name: Limits.of(node) for node in paper_cluster().nodes}
    services = compose["services"]
    assert services.keys() == {"head", *nodes}
    for name, limits in nodes.items():
        its = services[name]
        assert its["command"] == [name]
        assert (its["cpu_quota"], its["cpu_period"]) == (limits.quota_us, limits.period_us)
        assert its["mem_limit"] == its["memswap_limit"] == limits.memory_bytes
        assert its["cap_add"] == ["NET_ADMIN"]


def test_all_machines_share_a_token_and_the_cluster(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert service["environment"]["RAY_AUTH_MODE"] == "token"
        assert service["environment"]["RAY_AUTH_TOKEN"].startswith("${RAY_AUTH_TOKEN:?")
        [volume] = service["volumes"]
        source, target, _ = volume.split(":")
        assert Cluster.from_toml(DOCKER / source) == paper_cluster()
        assert target == "/cluster.toml"


def test_what_is_copied_into_the_image_is_there(compose: dict[str, Any]) -> None:
    build = compose["services"]["head"]["build"]
    context = DOCKER / build["context"]
    lines = (context / build["dockerfile"]).read_text().splitlines()
    copied = [
        source
        for line in lines
        if line.startswith("COPY ") and "--from" not in line
        for source in shlex.split(line)[1:-1]
    ]
    assert "src" in copied
    assert "docker/start.py" in copied
    for source in copied:
        assert (context / source).exists(), source


def test_what_leaves_a_node_is_held_up_as_its_links_do(start: ModuleType) -> None:
    nodes = [Node(name, cpu_cores=1, memory_mb=1, power_w=1) for name in "abc"]
    links = [
        Link("a", "b", bandwidth_mbps=1000, latency_ms=0.05),
        Link("c", "a", bandwidth_mbps=2.5, latency_ms=30),
    ]
    addresses = {"b": "10.0.0.2", "c": "10.0.0.3"}.__getitem__
    said = [" ".join(command) for command in start.links(Cluster(nodes, links), "a", addresses)]
    assert said == [
        f"tc qdisc replace dev eth0 root handle 1: prio bands 3 priomap {' '.join('0' * 16)}",
        "tc qdisc add dev eth0 parent 1:2 netem limit 10000 delay 0.05ms rate 1000mbit",
        "tc filter add dev eth0 parent 1: protocol ip u32 match ip dst 10.0.0.2/32 flowid 1:2",
        "tc qdisc add dev eth0 parent 1:3 netem limit 10000 delay 30ms rate 2.5mbit",
        "tc filter add dev eth0 parent 1: protocol ip u32 match ip dst 10.0.0.3/32 flowid 1:3",
    ]
    # Node b has no link to c.
    ends = start.links(Cluster(nodes, links), "b", lambda name: name)
    assert [command[-3] for command in ends if "filter" in command] == ["a/32"]


def test_each_machine_is_its_node_to_ray(start: ModuleType) -> None:
    head, node = start.ray("head"), start.ray("node-green")
    assert "--head" in head
    assert f'--resources={{"{resource("node-green")}": 1}}' in node
    assert "--address=head:6379" in node
    assert "--port=6379" in head
    # Ray knows these options.
    for command in (head, node):
        done = subprocess.run(
            [sys.executable, "-m", "ray.scripts.scripts", *command[1:], "--help"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
