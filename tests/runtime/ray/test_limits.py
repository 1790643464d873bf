from __future__ import annotations

import dataclasses
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnxruntime
import pytest
import ray
from onnx import ModelProto, TensorProto, numpy_helper
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info
from ray_machines import Machines
from remote import A_THEN_B, CLUSTER, FEED, MODEL, NODES, nodes_of, open_remote, plan
from ticking_meter import TickingMeter

from carbonedge import (
    CarbonEdgeError,
    Cluster,
    ClusterError,
    InfeasibleError,
    InferenceSession,
    ModelError,
)
from carbonedge.runtime import Adaptation, Listening

OTHER_VERSION = "0.0.1"
STORE_BYTES = 80_000_000


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Of which "c" has another ONNX Runtime."""
    folder = tmp_path_factory.mktemp("other")
    package = folder / "onnxruntime"
    package.mkdir()
    real = Path(onnxruntime.__file__)
    package.joinpath("__init__.py").write_text(
        f"__path__ = [{str(real.parent)!r}]\n"
        f"exec(compile(open({str(real)!r}).read(), {str(real)!r}, 'exec'))\n"
        f"__version__ = {OTHER_VERSION!r}\n"
    )
    with Machines(
        *("a", "b", "c"),
        environments={"c": {"PYTHONPATH": str(folder)}},
        object_store_bytes=STORE_BYTES,
    ) as machines:
        yield machines


def test_versions_that_differ_are_said(
    machines: Machines, caplog: pytest.LogCaptureFixture
) -> None:
    with open_remote(machines.address):
        [warning] = [record.getMessage() for record in caplog.records]
    assert f"node 'c' has onnxruntime {OTHER_VERSION}" in warning
    assert f"this process {onnxruntime.__version__}" in warning


def test_a_full_object_store_costs_no_answer(machines: Machines) -> None:
    """Ray makes room on disk."""
    numbers = np.linspace(-2, 2, STORE_BYTES // 20, dtype=np.float32)
    with InferenceSession(
        twice_tanh(),
        CLUSTER,
        plan=plan(("a", 0, 1), ("b", 1, 2)),
        runtime="ray",
        address=machines.address,
        feed={"x": numbers},
    ) as session:
        held = [ray.put(np.ones(STORE_BYTES // 4, dtype=np.uint8)) for _ in range(3)]
        feeds = ({"x": numbers + np.float32(n)} for n in range(8))
        for n, [answer] in enumerate(session.run_many(None, feeds, in_flight=4)):
            expected = np.tanh(np.tanh(numbers + np.float32(n)))
            np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-6)
            answer[0] = 0.0  # the caller's own, not what lies in the store
        assert sum(int(ray.get(block)[0]) for block in held) == 3


def test_a_request_for_which_there_is_no_room_at_all_is_one_error(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise ray.exceptions.OutOfDiskError("the disk is full too")

    with open_remote(machines.address) as session:
        with monkeypatch.context() as patch:
            patch.setattr("carbonedge.runtime.ray.stages.RayStages.send", full)
            with pytest.raises(CarbonEdgeError, match=r"store is full.*--object-store-memory"):
                session.run(None, FEED)
        session.run(None, FEED)


def twice_tanh() -> ModelProto:
    nodes = [make_node("Tanh", ["x"], ["h"]), make_node("Tanh", ["h"], ["y"])]
    ends = [make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy"]
    graph = make_graph(nodes, "twice", ends[:1], ends[1:])
    return make_model(graph, opset_imports=[make_opsetid("", 17)], ir_version=8)


def test_a_stage_too_large_for_its_node_goes_to_another(
    machines: Machines, caplog: pytest.LogCaptureFixture
) -> None:
    """The cluster file says that a node has memory which it has not."""
    boastful = dataclasses.replace(NODES["a"], memory_mb=1e9)
    whole = plan(("a", 0, 8))
    large = dataclasses.replace(
        whole, stages=(dataclasses.replace(whole.stages[0], memory_mb=1e8),)
    )
    cluster = Cluster([boastful, NODES["b"]], CLUSTER.links[:1])
    with InferenceSession(
        MODEL, cluster, plan=large, runtime="ray", address=machines.address
    ) as session:
        assert session.plan != large
        session.run(None, FEED)
    assert "node 'a' has" in caplog.text
    assert "its stage takes 100000000 MB" in caplog.text


def test_a_model_that_fits_no_node_is_refused_with_reasons(machines: Machines) -> None:
    small = Cluster([dataclasses.replace(NODES[name], memory_mb=1e-6) for name in "ab"])
    for placement in ("partitioned", "replicated", "auto"):
        with pytest.raises(InfeasibleError, match="MB"):
            InferenceSession(
                MODEL, small, placement=placement, runtime="ray", address=machines.address
            )


def test_what_a_request_is_at_fault_for_is_its_one_error(machines: Machines) -> None:
    with open_remote(machines.address) as session:
        with pytest.raises(ValueError, match="input 'x' is missing"):
            session.run(None, {})
        with pytest.raises(ValueError, match="no output 'z'"):
            session.run(["z"], FEED)
        with pytest.raises(ValueError, match="run_options cannot be sent"):
            session.run(None, FEED, onnxruntime.RunOptions())
        with pytest.raises(ValueError, match="timeout_s is 0"):
            session.run(None, FEED, timeout_s=0)
        with pytest.raises(ValueError, match="slo_ms of a request chooses among plans"):
            session.run(None, FEED, slo_ms=10)
        assert nodes_of(session) == [["a", "b"]]
        assert session.footprint.inferences == 0
        session.run(None, FEED)


def test_what_onnx_runtime_refuses_on_a_node_is_a_model_error(machines: Machines) -> None:
    model = models.layers(batch="batch")
    nodes = model.graph.node
    reshape = make_node("Reshape", ["x", "pair"], ["r"])
    nodes[0].input[0] = "r"
    nodes.insert(0, reshape)
    model.graph.initializer.append(
        numpy_helper.from_array(np.array([1, models.WIDTH], dtype=np.int64), "pair")
    )
    with InferenceSession(
        model, CLUSTER, plan=plan(("a", 0, 4), ("b", 4, 9)), runtime="ray", address=machines.address
    ) as session:
        with pytest.raises(ModelError, match="cannot run the model on x"):
            session.run(None, {"x": np.zeros((2, models.WIDTH), dtype=np.float32)})
        session.run(None, FEED)
        assert session.footprint.inferences == 1


def test_a_node_without_a_machine_is_waited_for_by_nobody(
    machines: Machines, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = dataclasses.replace(NODES["a"], name="elsewhere")
    cluster = Cluster([*NODES.values(), elsewhere], CLUSTER.links)
    began_s = time.monotonic()
    with InferenceSession(
        MODEL, cluster, plan=A_THEN_B, runtime="ray", address=machines.address
    ) as session:
        session.run(None, FEED)
    assert time.monotonic() - began_s < 30
    assert "starting without node 'elsewhere'" in caplog.text


def test_nodes_that_no_machine_is_are_named_with_how_to_start_them(machines: Machines) -> None:
    cluster = Cluster([dataclasses.replace(NODES["a"], name="moon")])
    start = re.escape("""--resources='{"carbonedge:moon": 1}'""")
    with pytest.raises(
        ClusterError, match=f"no machine of the Ray cluster is any of moon.*{start}"
    ):
        InferenceSession(MODEL, cluster, runtime="ray", address=machines.address)


def test_no_ray_at_an_address_is_said() -> None:
    with pytest.raises(ClusterError, match=r"no Ray at '127\.0\.0\.1:1'.*ray start --head"):
        InferenceSession(MODEL, CLUSTER, runtime="ray", address="127.0.0.1:1")


def test_a_process_is_connected_to_one_ray(machines: Machines) -> None:
    with (
        open_remote(machines.address),
        pytest.raises(CarbonEdgeError, match="a process has one; close the sessions"),
    ):
        open_remote("127.0.0.1:1")


def test_a_meter_of_this_machine_does_not_travel() -> None:
    with pytest.raises(TypeError, match="give a meter by its name or settings"):
        InferenceSession(MODEL, CLUSTER, runtime="ray", meter=TickingMeter())


@pytest.mark.parametrize(
    ("meter", "message"),
    [
        ("wattmeter", "there is no meter 'wattmeter'"),
        ({"kind": "model", "watts": 3}, "watts"),
        ({"kind": "model", "share_by": "luck"}, "luck"),
    ],
)
def test_a_meter_that_no_machine_has_is_refused_before_any_is_asked(
    meter: str | dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        InferenceSession(MODEL, CLUSTER, runtime="ray", address="nowhere:1", meter=meter)


def test_arguments_of_ray_are_checked() -> None:
    with pytest.raises(ValueError, match="silent_after_s is 1 and every_s 1"):
        Listening(silent_after_s=1)
    with pytest.raises(ValueError, match="every_s is 0"):
        Adaptation(every_s=0)
    with pytest.raises(ValueError, match="tolerance is -1"):
        Adaptation(tolerance=-1)
    with pytest.raises(ValueError, match="timeout_s is 0"):
        InferenceSession(MODEL, CLUSTER, runtime="ray", timeout_s=0)
    with pytest.raises(ValueError, match=r"address .* goes with runtime='ray'"):
        InferenceSession(MODEL, CLUSTER, address="auto")


def test_ray_that_is_not_installed_is_said_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(CarbonEdgeError, match=r"carbonedge\[ray\]"):
        InferenceSession(MODEL, CLUSTER, plan=A_THEN_B, runtime="ray")
