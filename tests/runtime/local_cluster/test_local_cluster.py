"""Real Rays, and real limits where there are the rights."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import psutil
import pytest
from local_clusters import (
    CLUSTER,
    NODES,
    assert_no_trace,
    cgroups_of,
    marked,
    needs_cgroups,
    no_rights,
    run_folder,
)
from onnx import ModelProto, TensorProto
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor
from onnx.helper import make_tensor_value_info as value
from remote import A_THEN_B, FEED, MODEL

from carbonedge import (
    CarbonEdgeError,
    Cluster,
    ClusterError,
    InfeasibleError,
    InferenceSession,
    Link,
    Plan,
    Stage,
)
from carbonedge.carbon.report import report
from carbonedge.planning import OperatorCosts
from carbonedge.runtime import Listening, LocalCluster
from carbonedge.runtime.local_cluster import cgroups
from carbonedge.runtime.local_cluster.down import down
from carbonedge.runtime.local_cluster.record import Record, found
from carbonedge.runtime.local_cluster.status import status
from carbonedge.runtime.local_cluster.up import up
from carbonedge.runtime.ray.connection import Connection
from carbonedge.runtime.ray.survey import Survey, Surveyor

MEASURED = "measured under each node's CPU quota, on one machine"
WITHIN_S = 60.0
QUICKLY = Listening(every_s=0.3)
OWNER = """
import sys, local_clusters
from carbonedge.runtime import LocalCluster
with LocalCluster(local_clusters.CLUSTER) as local:
    print("up", flush=True)
    sys.stdin.read()
"""
BRINGS_UP = """
import local_clusters
from carbonedge.runtime.local_cluster.up import up
up(local_clusters.CLUSTER)
"""


def plan(*stages: tuple[str, int, int], memory_mb: float = 1.0) -> Plan:
    made = tuple(Stage(*stage, 0.01, 0.001, 1e-6, memory_mb) for stage in stages)
    return Plan(made, (), 0.01, 0.001, 1e-6, 100.0, True, 0.0, "latency", "measured")


def ones() -> ModelProto:
    """The sum of the tangents of as many ones as it is told."""
    one = make_tensor("one", TensorProto.FLOAT, [1], [1.0])
    nodes = [
        make_node("ConstantOfShape", ["n"], ["ones"], value=one),
        make_node("Tanh", ["ones"], ["t"]),
        make_node("ReduceSum", ["t"], ["y"], keepdims=0),
    ]
    ends = [value("n", TensorProto.INT64, [1])], [value("y", TensorProto.FLOAT, [])]
    graph = make_graph(nodes, "ones", *ends)
    return make_model(graph, opset_imports=[make_opsetid("", 17)], ir_version=8)


def number(n: float) -> dict[str, Any]:
    return {"n": np.array([int(n)])}


def wait_for(condition: Callable[[], object]) -> None:
    until_s = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < until_s, "it did not come about in time"
        time.sleep(0.05)


@contextlib.contextmanager
def program(code: str) -> Iterator[subprocess.Popen[bytes]]:
    """Another process, which ends at the latest with this."""
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with run_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def local(folder: Path) -> Iterator[LocalCluster]:
    with LocalCluster(CLUSTER) as local:
        yield local
        [its] = found(folder)
    assert_no_trace(folder, its.name)


def session(local: LocalCluster, model: Any = MODEL, **arguments: Any) -> InferenceSession:
    chosen = {"plan": A_THEN_B, "adaptation": None, "listening": QUICKLY} | arguments
    return InferenceSession(model, CLUSTER, runtime="ray", address=local.address, **chosen)


def look(local: LocalCluster) -> Survey:
    with contextlib.closing(Connection(local.address)) as connection:
        return Surveyor(connection).look()


def worker_pids(folder: Path) -> list[int]:
    return [pid for pid in marked(folder) if psutil.Process(pid).cmdline()[0].startswith("ray::W")]


@needs_cgroups
def test_workers_live_in_the_cgroups_of_their_nodes(local: LocalCluster, folder: Path) -> None:
    assert (local.throttled, local.why) == (True, None)
    [its] = found(folder)
    with session(local) as open_session:
        open_session.run(None, FEED)
        workers = worker_pids(folder)
        assert len(workers) == 2
        held = Record.read(its).groups
        for place, node in enumerate(CLUSTER.nodes):
            for group in held[node.name]:
                assert Path(group).name == f"carbonedge-{its.name}-{place}"
                [pid] = Path(group, "cgroup.procs").read_text().split()
                assert int(pid) in workers
        # What is left of its memory is what a node says it has.
        free_mb = {state.name: state.memory_free_mb for state in open_session.nodes}
        for node in CLUSTER.nodes:
            assert node.memory_mb / 2 < free_mb[node.name] <= node.memory_mb


@needs_cgroups
def test_every_report_says_how_nodes_were_emulated(local: LocalCluster, tmp_path: Path) -> None:
    with session(local, ledger=tmp_path / "ledger.db", meter="model") as open_session:
        _, one = open_session.run_with_footprint(None, FEED)
        survey = look(local)
        for footprint in (one, open_session.footprint):
            assert footprint.method == "emulated"
            assert footprint.time_source == MEASURED
            assert footprint.energy_source.startswith("node power x time")
            assert "CPU quota" in footprint.energy_source
    assert survey.time_source == MEASURED
    [use] = report(tmp_path / "ledger.db").energy_sources
    assert "CPU quota, on one machine" in use.source
    assert use.method == "emulated"


@needs_cgroups
def test_a_session_of_a_single_node_is_emulated_too(
    local: LocalCluster, caplog: pytest.LogCaptureFixture
) -> None:
    before = {name: os.environ.get(name) for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")}
    alone = Cluster([dataclasses.replace(CLUSTER.nodes[0], cpu_cores=0.9)])
    with InferenceSession(
        MODEL, alone, runtime="ray", address=local.address, adaptation=None, meter="model"
    ) as open_session:
        assert os.environ["RAY_AUTH_TOKEN"] != before["RAY_AUTH_TOKEN"]
        open_session.run(None, FEED)
        assert open_session.footprint.method == "emulated"
        assert open_session.footprint.time_source == MEASURED
        # No meter of this machine counts for one of its nodes.
        assert open_session.footprint.energy_source.startswith("node power x time")
    assert {name: os.environ.get(name) for name in before} == before
    assert "has 0.9 cpu_cores and 300 MB in this cluster, and 0.5 and 300" in caplog.text


def test_a_link_that_is_up_with_other_figures_is_told(
    local: LocalCluster, caplog: pytest.LogCaptureFixture
) -> None:
    other = Cluster(NODES, [Link("b", "a", bandwidth_mbps=1000, latency_ms=5)])
    with InferenceSession(
        MODEL, other, runtime="ray", address=local.address, plan=A_THEN_B, adaptation=None
    ) as open_session:
        _, footprint = open_session.run_with_footprint(None, FEED)
    assert (
        "from 'a' to 'b' has 5 ms and 1000 Mbit/s in this cluster, and 20 and 1000" in caplog.text
    )
    assert caplog.text.count("in this cluster") == 1
    assert footprint.transfers.time_ms >= 20


def test_what_a_link_holds_up_falls_to_the_way(local: LocalCluster) -> None:
    with session(local) as open_session:
        for _ in range(3):
            _, footprint = open_session.run_with_footprint(None, FEED)
            assert footprint.transfers.time_ms >= 20  # the latency of the link
            assert sum(share.time_ms for share in footprint.by_node.values()) > 0


@needs_cgroups
def test_a_worker_takes_as_long_as_its_share_of_a_core_lets_it(local: LocalCluster) -> None:
    feed = number(3e5)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    here = onnxruntime.InferenceSession(ones().SerializeToString(), options)
    times_ms = []
    for _ in range(20):
        began_s = time.thread_time()
        here.run(None, feed)
        times_ms.append((time.thread_time() - began_s) * 1e3)
    with session(local, ones(), plan=plan(("b", 0, 3)), feed=feed) as open_session:
        for _ in range(5):
            time.sleep(0.02)
            _, footprint = open_session.run_with_footprint(None, feed)
            # Four times as long, of a quarter of a core: less where it is also faster there.
            assert footprint.by_node["b"].time_ms >= 2.5 * min(times_ms)


@needs_cgroups
def test_a_request_that_outgrows_its_node_is_an_error_that_says_so(local: LocalCluster) -> None:
    with session(local, ones(), plan=plan(("b", 0, 3)), feed=number(9)) as open_session:
        [answer] = open_session.run(None, number(9))
        assert answer == pytest.approx(9 * np.tanh(1.0))
        with pytest.raises(InfeasibleError, match=r"node '[ab]' has [23]00 MB, and .* smaller"):
            open_session.run(None, number(2e8))
        # The node is there again for others.
        open_session.run(None, number(9))


@needs_cgroups
def test_a_stage_that_outgrows_its_node_is_not_tried_for_ever(
    local: LocalCluster, caplog: pytest.LogCaptureFixture
) -> None:
    """It was planned to take 150 MB, and its first request alone takes 480."""
    costs = OperatorCosts("measured", np.ones((3, 2)), np.zeros(2), frozenset(range(4)))
    with pytest.raises(
        CarbonEdgeError, match=r"has [23]00 MB, and its stage|took more memory than"
    ):
        session(local, ones(), plan=plan(("b", 0, 3), memory_mb=150), feed=number(6e7), costs=costs)
    assert "planned to take 150 MB, took more: the kernel ended its worker" in caplog.text
    assert caplog.text.count("took more:") <= 2 * len(CLUSTER.nodes)


def test_down_leaves_it_to_a_process_that_lives(local: LocalCluster, folder: Path) -> None:
    [left] = down()
    assert left.owner == os.getpid()
    [one] = status()
    assert (one.owner, one.runs) == (os.getpid(), True)
    assert one.processes == len(marked(folder))


def test_without_the_rights_it_runs_unthrottled_and_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise cgroups.NoRightsError("/cg/cpu: Permission denied")

    monkeypatch.setattr(cgroups, "make", refused)
    with LocalCluster(CLUSTER) as local:
        assert (local.throttled, local.why) == (False, "/cg/cpu: Permission denied")
        left_open = session(local)
        left_open.run(None, FEED)
        survey = look(local)
    with pytest.raises(CarbonEdgeError, match="the session was closed"):
        left_open.run(None, FEED)
    assert not sys.modules["ray"].is_initialized()
    footprint = left_open.footprint
    said = "measured on one machine for all nodes, unthrottled (/cg/cpu: Permission denied)"
    assert footprint.method == "emulated"
    assert footprint.time_source == survey.time_source == said
    assert said in footprint.energy_source
    assert footprint.transfers.time_ms >= 20


def test_an_error_within_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = found(folder)

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("carbonedge.runtime.local_cluster.head.start", interrupted)
    with pytest.raises(KeyboardInterrupt), LocalCluster(CLUSTER):
        pass
    assert found(folder) == before


@pytest.mark.parametrize("what", ["context.leave", "cgroups.remove"])
def test_what_cannot_be_left_or_removed_is_held_no_more(
    monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """So that `down` can try again."""

    def fails(*_: Any) -> None:
        raise OSError("busy")

    monkeypatch.setattr("carbonedge.runtime.local_cluster.head.start", lambda *_: "10.0.0.1:1")
    with run_folder() as folder:
        with (
            monkeypatch.context() as broken,
            pytest.raises(OSError, match="busy"),
            LocalCluster(CLUSTER),
        ):
            broken.setattr(f"carbonedge.runtime.local_cluster.{what}", fails)
        left = down()
        assert [one.owner for one in left] == [None] * (what == "cgroups.remove")
        assert_no_trace(folder)


def test_a_ray_that_does_not_start_says_why(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = found(folder)
    monkeypatch.setattr("carbonedge.runtime.local_cluster.head.OPTIONS", ("--no-such-option",))
    with pytest.raises(ClusterError, match=r"Ray did not start.*no-such-option"):
        up(CLUSTER)
    assert found(folder) == before


def test_what_a_program_that_was_killed_has_left_is_taken_down() -> None:
    with run_folder() as folder, program(OWNER) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        [its] = found(folder)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(WITHIN_S)
        raylets = [pid for pid in marked(folder) if "raylet" in psutil.Process(pid).name()]
        assert raylets
        assert [one.runs for one in status()] == [True]
        os.kill(raylets[0], signal.SIGKILL)
        wait_for(lambda: raylets[0] not in marked(folder))
        [there] = status()
        assert (there.owner, there.runs) == (None, False)
        assert there.processes >= 1
        [one] = down()
        assert one.owner is None
        assert one.processes >= 1
        assert bool(one.cgroups) == (no_rights() is None)
        assert_no_trace(folder, its.name)
        assert down() == []


def test_what_was_killed_as_it_came_up_is_taken_down() -> None:
    with run_folder() as folder, program(BRINGS_UP) as process:
        wait_for(lambda: marked(folder))
        [its] = found(folder)
        [left] = down()
        assert left.owner == process.pid
        with pytest.raises(ClusterError, match="a, b is coming up"):
            up(CLUSTER)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(WITHIN_S)
        [one] = down()
        assert one.processes >= 1
        assert_no_trace(folder, its.name)


def test_what_a_reboot_left_is_taken_down() -> None:
    """Files alone: processes and cgroups do not outlive it."""
    with run_folder() as folder:
        its = folder / "ce012345"
        its.mkdir()
        record = Record(its, 7, True, CLUSTER, "secret", {"a": ["/sys/fs/cgroup/gone"]})
        record.write()
        (its / "cgroups.jsonl").write_text(json.dumps(["group", "/sys/fs/cgroup/gone"]) + "\n")
        assert cgroups_of("ce012345") == []
        with pytest.raises(ClusterError, match="a, b is left of one that ended"):
            up(CLUSTER)
        [one] = down()
        assert (one.processes, one.cgroups) == (0, 0)
        assert_no_trace(folder)
