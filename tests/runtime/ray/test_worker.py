from __future__ import annotations

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import onnxruntime
import pytest
from remote import FEED, MODEL, NODES, wait_for
from ticking_meter import TickingMeter

from carbonedge import MeterUnavailableError, ModelError, load_model
from carbonedge.carbon.energy import Portion
from carbonedge.planning import split
from carbonedge.planning.packing import Package, pack
from carbonedge.runtime.ray.worker import (
    StageMissingError,
    StageSpec,
    StageTaken,
    TooLargeError,
    Worker,
)
from carbonedge.runtime.session_options import Settings, settings_of

GRAPH = load_model(MODEL)
FIRST, SECOND = split(GRAPH, [4])


def spec(identity: str, part: Any, passed_on: tuple[str, ...], memory_mb: float = 1.0) -> StageSpec:
    operators = (part.start, part.stop)
    return StageSpec(identity, operators, part.inputs, part.outputs, passed_on, memory_mb)


@pytest.fixture
def worker() -> Worker:
    worker = Worker(NODES["a"], Settings())
    worker.load(spec("one", FIRST, FIRST.outputs), pack(FIRST))
    worker.load(spec("two", SECOND, ("y",)), pack(SECOND))
    return worker


def test_stages_one_after_another_answer_as_the_whole_does(worker: Worker) -> None:
    passed = worker.run((("one", "two"), FEED, ()))
    assert passed[0] == ("two",)
    assert set(passed[1]) == set(FIRST.outputs)
    to_come, tensors, runs = worker.run(passed)
    taken = [StageTaken(*run) for run in runs]
    assert to_come == ()
    [expected] = onnxruntime.InferenceSession(MODEL.SerializeToString()).run(None, FEED)
    np.testing.assert_allclose(tensors["y"], expected, rtol=1e-6)
    assert [run.portion for run in taken] == [None, None]
    assert all(run.time_ms > 0 for run in taken)
    assert [run.mb for run in taken] == [4 * models.WIDTH / 1e6] * 2
    assert taken[0].began_s <= taken[1].began_s


def test_what_later_stages_and_the_user_need_is_passed_on(worker: Worker) -> None:
    worker.load(spec("both", FIRST, ("x", *FIRST.outputs)), pack(FIRST))
    _, tensors, _ = worker.run((("both",), FEED, ()))
    assert tensors.keys() == {"x", *FIRST.outputs}
    assert tensors["x"] is FEED["x"]


def test_a_stage_that_is_not_held_is_missing(worker: Worker) -> None:
    worker.drop(["one", "never there"])
    with pytest.raises(StageMissingError, match="node 'a' holds no stage 'one'"):
        worker.run((("one",), FEED, ()))
    worker.run((("two",), {FIRST.outputs[0]: FEED["x"]}, ()))


def test_plans_share_the_session_of_a_stage_and_the_last_lets_it_go(worker: Worker) -> None:
    nonsense = Package(b"no model", None)
    worker.load(spec("again", FIRST, FIRST.outputs), nonsense)
    worker.drop(["one"])
    worker.run((("again",), FEED, ()))
    worker.drop(["again"])
    with pytest.raises(ModelError, match="cannot load the model"):
        worker.load(spec("once more", FIRST, FIRST.outputs), nonsense)


def test_a_stage_that_takes_more_memory_than_there_is_is_too_large(worker: Worker) -> None:
    worker.drop(["one"])
    message = r"node 'a' has \d+ MB free and its stage takes 1000"
    with pytest.raises(TooLargeError, match=message) as e:
        worker.load(spec("huge", FIRST, FIRST.outputs, memory_mb=1e12), pack(FIRST))
    # Ray sends errors from process to process.
    sent = pickle.loads(pickle.dumps(e.value))
    assert (sent.node, sent.memory_mb, str(sent)) == ("a", 1e12, str(e.value))


def test_weights_in_files_of_their_own_come_along_and_leave_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(models.layers(), path, save_as_external_data=True, location="data", size_threshold=0)
    [whole] = split(load_model(path), [])
    package = pack(whole)
    for file in tmp_path.iterdir():
        file.unlink()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    worker = Worker(NODES["a"], Settings())
    worker.load(spec("whole", whole, ("y",)), package)
    assert list(tmp_path.iterdir()) == []
    _, tensors, _ = worker.run((("whole",), FEED, ()))
    [expected] = onnxruntime.InferenceSession(MODEL.SerializeToString()).run(None, FEED)
    np.testing.assert_allclose(tensors["y"], expected, rtol=1e-6)


def test_what_waits_and_what_was_run_is_reported(worker: Worker) -> None:
    before = worker.report()
    assert (before.queue, before.runs, before.busy_ms, before.energy_j) == (0, 0, 0.0, 0.0)
    for _ in range(3):
        worker.run((("one",), FEED, ()))
    report = worker.report(250.0)
    assert report.runs == 3
    assert report.energy_j == pytest.approx(NODES["a"].power_w * report.busy_ms / 1000)
    assert report.stage_ms == {(0, 4): pytest.approx(report.busy_ms / 3)}
    assert report.node.intensity_g_per_kwh == 250.0
    assert 0 <= report.load <= 1
    assert report.memory_free_mb > 0
    assert worker.report().stage_ms == {}
    assert worker.report().incarnation == before.incarnation


def test_as_many_stages_run_at_once_as_the_node_has_room_for(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, go = threading.Semaphore(NODES["a"].parallelism), threading.Event()

    def slow(*_: Any) -> list[Any]:
        assert running.acquire(blocking=False)
        assert go.wait(10)
        running.release()
        return [FEED["x"]]

    monkeypatch.setattr("carbonedge.runtime.ray.worker.run_session", slow)
    with ThreadPoolExecutor(3) as threads:
        runs = [threads.submit(worker.run, (("one",), FEED, ())) for _ in range(3)]
        wait_for(lambda: worker.report().queue == 3)
        assert worker.report().runs == 0
        go.set()
        assert [len(run.result()[2]) for run in runs] == [1, 1, 1]
    assert (worker.report().queue, worker.report().runs) == (0, 3)


def test_a_meter_of_the_machine_counts_each_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "carbonedge.runtime.attributions.open_meter", lambda **settings: TickingMeter()
    )
    worker = Worker(NODES["a"], Settings())
    metered = worker.meter("ticking", "quota")
    assert metered == ("measured", "ticking (package-0), shared by quota")
    worker.load(spec("one", FIRST, FIRST.outputs), pack(FIRST))
    _, _, [run] = worker.run((("one",), FEED, ()))
    assert StageTaken(*run).portion == Portion(cpu_j=1.0)
    assert worker.report().energy_j == 1.0


def test_a_meter_that_is_not_there_is_said(worker: Worker) -> None:
    with pytest.raises(MeterUnavailableError):
        worker.meter({"kind": "rapl", "root": "/nowhere"}, "quota")


def test_options_that_travel_hold_and_threads_follow_the_cores() -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 3
    options.enable_mem_pattern = False
    sent = pickle.loads(pickle.dumps(settings_of(None, options)))
    assert sent == Settings(None, {"intra_op_num_threads": 3, "enable_mem_pattern": False})
    assert settings_of(["CPUExecutionProvider"], None) == Settings(["CPUExecutionProvider"])
