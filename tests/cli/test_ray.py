from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import models
import onnx
import pytest
from command_line import assert_one_line, call
from ray_machines import Machines

from carbonedge import load_model
from carbonedge.carbon.footprint import STAND_IN_TIME

WITHIN_S = 60.0
TOP = "from carbonedge.cli import main; main()"
# Its command hides the module's name.
COMMAND = sys.modules["carbonedge.cli.top"]

SESSION = """
import sys, threading
import models, numpy, carbonedge
nodes = [
    carbonedge.Node("a", cpu_cores=1, memory_mb=500, power_w=10, intensity_g_per_kwh=100, pue=1.5),
    carbonedge.Node("b", cpu_cores=1, memory_mb=500, power_w=5, intensity_g_per_kwh=300, speed=0.5),
]
cluster = carbonedge.Cluster(nodes, [carbonedge.Link("a", "b", bandwidth_mbps=1000)])
stages = carbonedge.Stage("a", 0, 4, 1.0, 1.0, 1.0), carbonedge.Stage("b", 4, 8, 1.0, 1.0, 1.0)
plan = carbonedge.Plan(stages, (), 1.0, 1.0, 1.0, 1.0, True, 0.0, "latency", "measured")
feed = {"x": numpy.ones((1, models.WIDTH), numpy.float32)}
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set())).start()
with carbonedge.InferenceSession(
    models.layers(), cluster, plan=plan, runtime="ray", address=sys.argv[1], adaptation=None
) as session:
    session.run(None, feed)
    print("open", flush=True)
    while not ended.wait(0.01):
        session.run(None, feed)
"""


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    with Machines("a", "b") as machines:
        yield machines


@pytest.fixture(scope="module")
def session(machines: Machines) -> Iterator[None]:
    """A session in another process, which answers requests one after another."""
    with process("-c", SESSION, machines.address, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"open\n"
        yield
        running.communicate(timeout=WITHIN_S)
        assert running.returncode == 0


@contextlib.contextmanager
def process(*arguments: str, stdout: int) -> Iterator[subprocess.Popen[bytes]]:
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, *arguments]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=stdout
    ) as running:
        try:
            yield running
        finally:
            running.kill()


@contextlib.contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def interrupt_after(count: int) -> Callable[[float], None]:
    calls = iter(range(count))

    def sleep(_: float) -> None:
        time.sleep(0.1)
        if next(calls, None) is None:
            raise KeyboardInterrupt

    return sleep


def test_a_cluster_without_sessions_says_so(
    machines: Machines, capsys: pytest.CaptureFixture[str]
) -> None:
    once = ("top", "--address", machines.address, "--every", "0.1", "--once")
    code, out, err = call(capsys, *once)
    assert (code, err) == (0, "")
    assert machines.address in out
    assert "No session runs there" in out
    code, out, _ = call(capsys, *once, "--json")
    assert json.loads(out)["nodes"] == []


@pytest.mark.usefixtures("session")
def test_top_tells_what_a_session_in_another_process_does(
    machines: Machines, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(capsys, "top", "--address", machines.address, "--once", "--json")
    assert (code, err) == (0, "")
    survey = json.loads(out)
    a, b = survey["nodes"]
    assert (a["node"], b["node"]) == ("a", "b")
    assert a["session"] == b["session"]
    for node, power_w, g_per_kwh, pue in ((a, 10, 100, 1.5), (b, 5, 300, 1.0)):
        assert node["silent"] is None
        assert 0 <= node["load"] <= 1
        assert node["memory_free_mb"] > 0
        assert node["queue"] in (0, 1)
        assert node["round_trip_ms"] > 0
        assert 0 < node["stage_ms"] < 1000
        assert node["intensity_g_per_kwh"] == g_per_kwh
        busy = node["requests_per_s"] * node["stage_ms"] / 1000
        assert 0 < busy < 1
        assert node["power_w"] == pytest.approx(busy * power_w)
        assert node["emissions_g_per_s"] == pytest.approx(node["power_w"] * g_per_kwh * pue / 3.6e6)
    # Both answered each request, which came in once.
    assert survey["requests_per_s"] == pytest.approx(a["requests_per_s"])
    for sum_ in ("power_w", "emissions_g_per_s"):
        assert survey[sum_] == pytest.approx(a[sum_] + b[sum_])


@pytest.mark.usefixtures("session")
def test_the_table_has_a_row_for_each_node_of_the_ray_that_the_environment_names(
    machines: Machines, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", machines.address)
    code, out, err = call(capsys, "top", "--once", "--every", "0.5")
    assert (code, err) == (0, "")
    assert f"Ray {machines.address}: 1 session, 2 nodes, none silent" in out
    rows = [line.split() for line in out.splitlines()]
    assert len([row for row in rows if row[:1] in (["a"], ["b"])]) == 2
    assert "what nodes draw while nothing runs is not in them" in out


@pytest.mark.usefixtures("session")
def test_every_look_is_a_line_of_json_until_ctrl_c(
    machines: Machines, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=interrupt_after(3))
    monkeypatch.setattr(COMMAND, "time", clock)
    code, out, _ = call(capsys, "top", "--address", machines.address, "--json")
    assert code == 130
    looks = [json.loads(line) for line in out.splitlines()]
    assert len(looks) == 3
    assert looks[0]["time_s"] < looks[1]["time_s"] < looks[2]["time_s"]
    assert all(look["power_w"] is not None for look in looks)


@pytest.mark.usefixtures("session")
def test_a_terminal_shows_the_nodes_until_ctrl_c(machines: Machines) -> None:
    shown, terminal = pty.openpty()
    with process("-c", TOP, "top", "--address", machines.address, stdout=terminal) as running:
        os.close(terminal)
        seen = b""
        # The second time the first look has been painted over.
        while seen.count(b"round trip ms") < 2:
            assert select.select([shown], [], [], WITHIN_S)[0]
            seen += os.read(shown, 4096)
        running.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # the end of a terminal
            while os.read(shown, 4096):
                pass
        assert running.wait(WITHIN_S) == 130
    os.close(shown)


@pytest.mark.usefixtures("session")
def test_a_worker_that_does_not_answer_is_silent_until_it_does(
    machines: Machines, capsys: pytest.CaptureFixture[str]
) -> None:
    once = ("top", "--address", machines.address, "--once", "--every", "0.1")
    with stopped(machines.worker_pids("b")):
        code, out, _ = call(capsys, *once)
        assert code == 0
        assert "1 silent" in out
        assert "b is silent: it has not answered within 1 s" in out
        (row,) = [line.split() for line in out.splitlines() if line.startswith("b ")][:1]
        assert row[-1] == "silent"
    code, out, _ = call(capsys, *once, "--json")
    assert [node["silent"] for node in json.loads(out)["nodes"]] == [None, None]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a model, and a cluster of which no node holds it whole."""
    monkeypatch.chdir(tmp_path)
    onnx.save(models.layers(), "model.onnx")
    memory_mb = load_model("model.onnx").memory_mb * 0.8
    nodes = "".join(
        f'[[node]]\nname = "{name}"\ncpu_cores = 1\nmemory_mb = {memory_mb}\n'
        f"power_w = {power_w}\nintensity_g_per_kwh = {g_per_kwh}\n"
        for name, power_w, g_per_kwh in (("a", 10, 500), ("b", 4, 50))
    )
    link = '[[link]]\nsource = "a"\ntarget = "b"\nbandwidth_mbps = 1000\n'
    Path("cluster.toml").write_text(nodes + link)
    return tmp_path


RUN = ("run", "model.onnx", "--cluster", "cluster.toml", "--requests", "3")


@pytest.mark.usefixtures("files")
def test_a_split_runs_on_the_machines_of_its_nodes(
    machines: Machines, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = call(capsys, *RUN, "--runtime", "ray", "--address", machines.address, "--json")
    assert code == 0
    document = json.loads(out)
    assert (document["runtime"], document["address"]) == ("ray", machines.address)
    assert document["faithful"]
    assert document["largest_difference"] <= 1e-5
    (row,) = document["rows"]
    assert (row["placement"], row["requests"]) == ("split", 3)
    assert row["node_use"].keys() == {"a", "b"}
    assert document["time_source"] == row["time_source"] == STAND_IN_TIME


def test_rows_that_are_measured_differently_say_which_is_which(
    files: Path, machines: Machines, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = files / "cluster.toml"
    cluster.write_text(cluster.read_text().replace("memory_mb = ", "memory_mb = 1"))
    arguments = ("--runtime", "ray", "--address", machines.address, "--meter", "model")
    code, out, _ = call(capsys, *RUN, *arguments)
    assert code == 0
    assert f"divided by the node's speed (routed); {STAND_IN_TIME} (split)" in out
    assert "shared by cpu time (routed); node power x time, link energy x MB (split)" in out


@pytest.mark.usefixtures("files")
def test_a_node_without_a_machine_is_done_without_and_how_it_is_started_is_said(
    machines: Machines, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with Path("cluster.toml").open("a") as file:
        file.write('[[node]]\nname = "x"\ncpu_cores = 1\nmemory_mb = 1\npower_w = 1\n')
        file.write("intensity_g_per_kwh = 1\n")
    code, _, _ = call(capsys, *RUN, "--runtime", "ray", "--address", machines.address)
    assert code == 0
    assert "starting without node 'x': no machine of the Ray cluster is it" in caplog.text
    assert """--resources='{"carbonedge:x": 1}'""" in caplog.text


def test_a_split_runs_under_a_ray_of_its_own(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = files / "cluster.toml"
    cluster.write_text(cluster.read_text().replace("memory_mb = ", "memory_mb = 1"))
    code, out, err = call(capsys, *RUN, "--runtime", "ray")
    assert (code, err) == (0, "")
    assert "The split ran under a local Ray, whose processes on this machine stand in" in out
    assert "routed" in out
    assert "Largest difference between split and whole output: 0" in out


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("command", [("top",), (*RUN, "--runtime", "ray")], ids=["top", "run"])
def test_no_ray_is_one_line_with_what_helps(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    said = call(capsys, *command, "--address", address)
    assert_one_line(said, f"there is no Ray at '{address}'")
    assert "ray start --head" in said[2]
    monkeypatch.setitem(sys.modules, "ray", None)
    said = call(capsys, *command, "--address", address)
    assert_one_line(said, 'ray is not installed: pip install "carbonedge[ray]"')


@pytest.mark.usefixtures("files")
def test_a_ray_without_machines_for_the_nodes_says_how_they_are_started(
    machines: Machines, capsys: pytest.CaptureFixture[str]
) -> None:
    text = Path("cluster.toml").read_text().replace('"a"', '"x"').replace('"b"', '"y"')
    Path("cluster.toml").write_text(text)
    said = call(capsys, *RUN, "--runtime", "ray", "--address", machines.address)
    start = f"""ray start --address={machines.address} --resources='{{"carbonedge:x": 1}}'"""
    assert_one_line(said, start)


@pytest.mark.parametrize("every", ["0", "nan", "inf", "1e300"])
def test_looks_are_some_finite_time_apart(every: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert_one_line(call(capsys, "top", "--once", "--every", every), "--every")


@pytest.mark.usefixtures("files")
def test_an_address_without_ray_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert_one_line(call(capsys, *RUN, "--address", "auto"), "add --runtime ray")
