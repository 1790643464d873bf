from __future__ import annotations

import dataclasses
import math
import threading
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import onnxruntime
import pytest
from hard_models import HARD, hard_model
from ticking_meter import TickingMeter

from carbonedge import (
    CarbonEdgeError,
    Cluster,
    ClusterError,
    InferenceSession,
    Link,
    ModelError,
    ModelGraph,
    Node,
    Plan,
    Stage,
    load_model,
)
from carbonedge.carbon.energy import Attribution
from carbonedge.carbon.intensity import Refresher, Static
from carbonedge.carbon.report import report
from carbonedge.planning import OperatorCosts, measure, operator_costs, sized
from carbonedge.planning.cuts import returning
from carbonedge.planning.formulation import formulate
from carbonedge.planning.samples import made_up_request

NODES = [
    Node("a", cpu_cores=1, memory_mb=100, power_w=10, intensity_g_per_kwh=100, avg_time_ms=1),
    Node(
        "b",
        cpu_cores=1,
        memory_mb=100,
        power_w=5,
        intensity_g_per_kwh=300,
        avg_time_ms=2,
        speed=0.5,
    ),
]
CLUSTER = Cluster(NODES, [Link("a", "b", bandwidth_mbps=8, latency_ms=3, energy_j_per_mb=100)])
X = np.linspace(-1, 1, models.WIDTH, dtype=np.float32).reshape(1, -1)


def plan(*stages: tuple[str, int, int]) -> Plan:
    made = tuple(Stage(node, start, stop, 0.0, 0.0, 0.0) for node, start, stop in stages)
    return Plan(made, (), 0.0, 0.0, 0.0, 0.0, True, 0.0, "latency", "macs")


def open_split(**arguments: Any) -> InferenceSession:
    return InferenceSession(
        models.layers(), CLUSTER, plan=plan(("a", 0, 4), ("b", 4, 8)), **arguments
    )


def test_it_answers_as_onnx_runtime_does(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(models.layers(), path)
    theirs = onnxruntime.InferenceSession(path)
    ours = InferenceSession(path, CLUSTER, plan=plan(("a", 0, 4), ("b", 4, 8)))
    np.testing.assert_allclose(
        ours.run(None, {"x": X})[0], theirs.run(None, {"x": X})[0], rtol=1e-6
    )
    for mine, other in (
        (ours.get_inputs(), theirs.get_inputs()),
        (ours.get_outputs(), theirs.get_outputs()),
    ):
        assert [(arg.name, arg.type, arg.shape) for arg in mine] == [
            (arg.name, arg.type, arg.shape) for arg in other
        ]


def test_outputs_come_in_the_order_asked_for() -> None:
    session = InferenceSession(
        models.skip_connection(), CLUSTER, plan=plan(("a", 0, 3), ("b", 3, 5))
    )
    early, y = session.run(None, {"x": X})
    assert np.array_equal(session.run(["y", "early"], {"x": X})[0], y)
    assert np.array_equal(session.run(["early"], {"x": X})[0], early)
    assert len(session.run([], {"x": X})) == 2


def test_energy_is_power_times_time_and_emissions_follow() -> None:
    session = open_split()
    for _ in range(3):
        session.run(None, {"x": X})
    footprint = session.footprint
    assert footprint.inferences == 3
    for node in NODES:
        share = footprint.by_node[node.name]
        assert share.time_ms > 0
        assert share.energy_j == pytest.approx(node.power_w * share.time_ms / 1e3)
        intensity = node.known_intensity()
        assert share.emissions_g == pytest.approx(share.energy_j * intensity / 3.6e6)


def test_what_crosses_is_counted_each_time() -> None:
    session = open_split()
    session.run(None, {"x": X})
    mb = models.WIDTH * 4 / 1e6
    transfers = session.footprint.transfers
    assert transfers.energy_j == pytest.approx(100 * mb)
    assert transfers.time_ms == pytest.approx(3 + mb * 8 / 8 * 1e3)
    assert transfers.emissions_g == pytest.approx(100 * mb * 200 / 3.6e6)


@pytest.mark.parametrize(("source", "times"), [("a", 2), ("b", 2), (None, 1)])
def test_the_way_from_and_to_the_source_is_counted(source: str | None, times: int) -> None:
    """All that crosses is of one size, so that only the number of hops tells."""
    made = dataclasses.replace(plan(("a", 0, 4), ("b", 4, 8)), source=source)
    session = InferenceSession(models.layers(), CLUSTER, plan=made)
    session.run(None, {"x": X})
    assert session.footprint.transfers.energy_j == pytest.approx(times * 100 * models.WIDTH * 4e-6)


MADE_UP: dict[str, tuple[ModelGraph, dict[str, Any]]] = {
    name: (graph, made_up_request(graph))
    for name, graph in ((name, load_model(build())) for name, build in models.ALL.items())
}
# What else there is has strings, sequences, or ranks or sizes that nobody knows ahead.
SIZED = {
    what: (sized(load_model(hard_model(what)), HARD[what][1]), HARD[what][1])
    for what in HARD
    if not any(
        word in what for word in ("string", "sequence", "optional", "rank", "labels", "length")
    )
}


@pytest.mark.parametrize("source", ["a", "b", None])
@pytest.mark.parametrize(
    ("graph", "feed"), [*MADE_UP.values(), *SIZED.values()], ids=[*MADE_UP, *SIZED]
)
def test_what_crosses_is_what_the_plan_says(
    graph: ModelGraph, feed: dict[str, Any], source: str | None
) -> None:
    count = len(graph.operators)
    at_once = OperatorCosts("none", np.zeros((count, 2)), np.zeros(2), frozenset(range(count + 1)))
    formulation = formulate(graph, CLUSTER, at_once, source=source)
    whole = onnxruntime.InferenceSession(graph.proto.SerializeToString()).run(None, feed)
    for cut in range(1, len(formulation.cuts) - 1):
        made = formulation.plan(formulation.problem.evaluate((cut,), (0, 1)), objective="latency")
        session = InferenceSession(graph, CLUSTER, plan=made)
        for ours, theirs in zip(session.run(None, feed), whole, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
        ways = [way for way in (*made.transfers, made.inputs, made.outputs) if way is not None]
        assert len(ways) == (1 if source is None else 2)
        mb = session.footprint.transfers.energy_j / 100
        assert mb == pytest.approx(sum(way.mb for way in ways))
        assert made.latency_ms == pytest.approx(
            sum(part.time_ms for part in (*made.stages, *ways)), rel=1e-6
        )


def test_an_early_output_crosses_to_the_end_once_where_there_is_a_source() -> None:
    graph = load_model(models.early_outputs())
    crossing = [[tensor.name for tensor in cut.tensors] for cut in returning(graph.cuts)]
    assert crossing == [
        ["x"],
        ["early"],
        ["early", "mean"],
        ["early", "mean", "a"],
        ["early", "mean", "b"],
        ["early", "mean", "c"],
        ["y", "early", "mean"],
    ]
    assert [tensor.name for tensor in graph.cuts[-2].tensors] == ["c"]


def test_consecutive_stages_on_one_node_are_one_session() -> None:
    session = InferenceSession(
        models.layers(), CLUSTER, plan=plan(("a", 0, 2), ("a", 2, 4), ("b", 4, 8))
    )
    session.run(None, {"x": X})
    assert session.footprint.transfers.time_ms > 0
    whole = InferenceSession(models.layers(), CLUSTER, plan=plan(("a", 0, 4), ("a", 4, 8)))
    whole.run(None, {"x": X})
    assert whole.footprint.transfers.time_ms == 0


def test_each_request_has_its_own_footprint() -> None:
    session = open_split()
    _, one = session.run_with_footprint(None, {"x": X})
    _, two = session.run_with_footprint(None, {"x": X})
    assert one.inferences == two.inferences == 1
    assert session.footprint.energy_j == pytest.approx(one.energy_j + two.energy_j)


def test_a_plan_is_made_when_none_is_given() -> None:
    session = InferenceSession(models.layers(), CLUSTER, mode="green", costs="macs")
    assert [stage.node for stage in session.plan.stages] == ["a"]


def test_options_reach_onnx_runtime(tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    open_split(sess_options=options)
    assert (tmp_path / "optimized.onnx").exists()
    with pytest.raises(ValueError, match="provider"):
        open_split(providers=["CPUExecutionProvider", 42])


@pytest.mark.parametrize(
    ("feed", "message"),
    [
        ({}, r"'x' is missing: the model takes tensor\(float\) of shape \(1, 8\)"),
        ({"z": X}, "'x' is missing"),
        ({"x": X, "z": X}, "no input 'z': it takes x"),
        ({"x": X.astype(np.float64)}, "'x' is float64"),
        ({"x": X.ravel()}, r"'x' has shape \(8,\)"),
        ({"x": X[:, :4]}, r"'x' has shape \(1, 4\)"),
    ],
)
def test_a_wrong_feed_is_named_and_not_counted(feed: dict[str, Any], message: str) -> None:
    session = open_split()
    with pytest.raises(ValueError, match=message):
        session.run(None, feed)
    assert session.footprint.inferences == 0


def test_dynamic_dimensions_take_any_size() -> None:
    session = InferenceSession(
        models.layers(batch="N"), CLUSTER, plan=plan(("a", 0, 4), ("b", 4, 8))
    )
    assert session.run(None, {"x": np.repeat(X, 5, axis=0)})[0].shape == (5, models.WIDTH)
    with pytest.raises(ValueError, match="shape"):
        session.run(None, {"x": np.zeros((1, 2), np.float32)})


def test_sizes_that_do_not_go_together_are_an_error_of_ours() -> None:
    session = InferenceSession(models.sum_of_two(), CLUSTER, plan=plan(("a", 0, 1)))
    feed = {"a": np.zeros(3, np.float32), "b": np.zeros(4, np.float32)}
    with pytest.raises(ModelError, match=r"cannot run the model on a \(3,\), b \(4,\)"):
        session.run(None, feed)


def test_an_unknown_output_is_named() -> None:
    with pytest.raises(ValueError, match="no output 'z': it has y"):
        open_split().run(["z"], {"x": X})


def test_a_closed_session_keeps_its_footprint_and_answers_no_more() -> None:
    with open_split() as session:
        session.run(None, {"x": X})
    assert session.footprint.inferences == 1
    with pytest.raises(CarbonEdgeError, match="closed"):
        session.run(None, {"x": X})


def test_many_are_answered_no_more_when_the_session_is_closed() -> None:
    """Their ledger is closed too."""
    session = open_split()
    answers = session.run_many(None, [{"x": X}] * 3)
    next(answers)
    session.close()
    with pytest.raises(CarbonEdgeError, match="closed"):
        next(answers)
    assert session.footprint.inferences == 1


def test_a_request_under_way_is_answered_though_the_session_closes() -> None:
    session = open_split()

    class ClosesTheSession(dict[str, Any]):
        def __getitem__(self, name: str) -> Any:
            session.close()
            return super().__getitem__(name)

    expected = session.run(None, {"x": X})
    np.testing.assert_array_equal(session.run(None, ClosesTheSession(x=X)), expected)
    assert session.footprint.inferences == 2


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"plan": plan(("a", 0, 4), ("c", 4, 8))}, ClusterError, "no node 'c'"),
        ({"plan": plan(("a", 0, 4))}, ModelError, "ends at operator 4"),
        ({"runtime": "cloud"}, ValueError, "'cloud' is not known"),
        ({"mode": "turbo", "costs": "macs"}, ValueError, "'turbo' is not known"),
        ({"cluster": None}, ValueError, "no cluster was given"),
    ],
)
def test_wrong_arguments_are_named(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        InferenceSession(models.layers(), **{"cluster": CLUSTER, **arguments})


def test_a_hop_without_a_link_is_refused() -> None:
    with pytest.raises(ClusterError, match="'a' to 'b', which have no link"):
        InferenceSession(models.layers(), Cluster(NODES), plan=plan(("a", 0, 4), ("b", 4, 8)))


def test_a_grid_of_zero_carbon_gives_infinite_efficiency() -> None:
    clean = Node("c", cpu_cores=1, memory_mb=100, power_w=1, intensity_g_per_kwh=0)
    session = InferenceSession(models.layers(), Cluster([clean]), plan=plan(("c", 0, 8)))
    session.run(None, {"x": X})
    assert math.isinf(session.footprint.inferences_per_g)


def test_stages_share_the_cores_and_a_whole_keeps_its_options() -> None:
    options = onnxruntime.SessionOptions()
    InferenceSession(models.layers(), CLUSTER, plan=plan(("a", 0, 8)), sess_options=options)
    with pytest.raises(RuntimeError):
        options.get_session_config_entry("session.force_spinning_stop")
    open_split(sess_options=options)
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"


def test_a_plan_may_be_made_from_a_profile_and_with_all_cuts() -> None:
    measured = measure(load_model(models.layers()))
    session = InferenceSession(models.layers(), CLUSTER, profile=measured, all_cuts=True)
    expected_ms = measured.run_ms
    assert session.plan.latency_ms == pytest.approx(expected_ms)


def test_a_plan_is_made_for_the_sizes_of_a_feed_and_others_are_answered_too() -> None:
    feed = {"x": np.repeat(X, 5, axis=0)}
    small = [dataclasses.replace(node, memory_mb=1.6e-3) for node in NODES]
    cluster = Cluster(small, CLUSTER.links)
    graph = load_model(models.layers(batch="N"))
    session = InferenceSession(graph, cluster, costs="macs", feed=feed)
    [way] = session.plan.transfers
    assert way.mb == pytest.approx(5 * models.WIDTH * 4 / 1e6)
    assert session.run(None, {"x": X})[0].shape == (1, models.WIDTH)
    assert session.get_inputs()[0].shape == ["N", models.WIDTH]
    made_up = measure(graph)
    with pytest.raises(ModelError, match=r"stale.*of shape 1, 8 and this is 5, 8"):
        InferenceSession(graph, cluster, profile=made_up, feed=feed)
    costs = operator_costs(graph, NODES, "macs")
    with pytest.raises(ValueError, match="costs are given"):
        InferenceSession(graph, cluster, costs=costs, profile=made_up)


def test_a_meter_counts_what_each_stage_draws() -> None:
    session = open_split(meter=TickingMeter())
    _, footprint = session.run_with_footprint(None, {"x": X})
    assert {name: share.energy_j for name, share in footprint.by_node.items()} == {"a": 1, "b": 1}
    assert footprint.by_node["b"].emissions_g == pytest.approx(300 / 3.6e6)
    assert footprint.energy_source == "ticking (package-0), shared by cpu time"
    assert footprint.method == "emulated"  # one machine stands in for two


def test_on_its_own_node_what_a_sensor_counts_is_measured() -> None:
    here = Node("here", cpu_cores=1, memory_mb=100, power_w=1, intensity_g_per_kwh=100)
    session = InferenceSession(
        models.layers(), Cluster([here]), plan=plan(("here", 0, 8)), meter=TickingMeter()
    )
    _, footprint = session.run_with_footprint(None, {"x": X})
    assert (footprint.method, footprint.time_source) == ("measured", "measured here")
    unmetered = InferenceSession(models.layers(), Cluster([here]), plan=plan(("here", 0, 8)))
    assert unmetered.run_with_footprint(None, {"x": X})[1].method == "modelled"


def test_requests_at_once_share_what_the_meter_counts() -> None:
    meter = TickingMeter()
    attribution = Attribution(meter)
    session = open_split(meter=attribution)

    def ask() -> None:
        for _ in range(50):
            session.run(None, {"x": X})

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    footprint = session.footprint
    assert footprint.inferences == 200
    stages_j = sum(share.energy_j for share in footprint.by_node.values())
    assert stages_j + attribution.unattributed.energy_j == pytest.approx(meter.joules - 1, rel=1e-9)


def test_a_meter_that_fails_fails_no_request(caplog: pytest.LogCaptureFixture) -> None:
    meter = TickingMeter()
    session = open_split(meter=meter)
    session.run(None, {"x": X})
    meter.broken = True
    session.run(None, {"x": X})
    footprint = session.footprint
    assert footprint.inferences == 2
    assert "for 1 whose meter failed" in footprint.energy_source
    assert "the meter is unplugged" in caplog.text


def test_a_signal_gives_each_zone_its_intensity() -> None:
    cluster = Cluster(
        [dataclasses.replace(node, zone=node.name.upper()) for node in NODES], CLUSTER.links
    )
    session = InferenceSession(
        models.layers(),
        cluster,
        plan=plan(("a", 0, 4), ("b", 4, 8)),
        intensity=Static({"A": 1000.0, "B": 10.0}, source="a test"),
    )
    session.run(None, {"x": X})
    footprint = session.footprint
    for name, g_per_kwh in (("a", 1000.0), ("b", 10.0)):
        share = footprint.by_node[name]
        assert share.emissions_g == pytest.approx(share.energy_j * g_per_kwh / 3.6e6)
    assert footprint.intensity_source == "a test (static, average, lifecycle)"


def test_the_plan_is_made_for_the_intensities_of_now() -> None:
    cluster = Cluster([dataclasses.replace(node, zone=node.name.upper()) for node in NODES])
    for cleaner in ("a", "b"):
        zones = {zone: 1.0 if zone == cleaner.upper() else 1e6 for zone in ("A", "B")}
        session = InferenceSession(
            models.layers(), cluster, costs="macs", intensity=Static(zones), mode="green"
        )
        assert {stage.node for stage in session.plan.stages} == {cleaner}


def test_an_intensity_may_be_updated_while_requests_run() -> None:
    session = open_split()
    _, before = session.run_with_footprint(None, {"x": X})
    session.update("a", intensity_g_per_kwh=1000.0)
    _, after = session.run_with_footprint(None, {"x": X})
    for footprint, g_per_kwh in ((before, 100.0), (after, 1000.0)):
        share = footprint.by_node["a"]
        assert share.emissions_g == pytest.approx(share.energy_j * g_per_kwh / 3.6e6)


def test_inferences_are_written_to_the_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with open_split(ledger=path) as session:
        for _ in range(3):
            session.run(None, {"x": X})
    written = report(path)
    assert written.total.inferences == 3
    assert written.total.emissions_g == pytest.approx(session.footprint.emissions_g)
    assert written.total.energy.total_j == pytest.approx(session.footprint.energy_j)


def test_a_refresher_pushes_into_a_session() -> None:
    cluster = Cluster(
        [dataclasses.replace(node, zone=node.name.upper()) for node in NODES], CLUSTER.links
    )
    session = InferenceSession(models.layers(), cluster, plan=plan(("a", 0, 4), ("b", 4, 8)))
    refresher = Refresher(Static({"A": 1000.0, "B": 10.0}), ["A", "B"])
    refresher.push_to(session, cluster.nodes)
    refresher.refresh_now()
    _, footprint = session.run_with_footprint(None, {"x": X})
    for name, g_per_kwh in (("a", 1000.0), ("b", 10.0)):
        share = footprint.by_node[name]
        assert share.emissions_g == pytest.approx(share.energy_j * g_per_kwh / 3.6e6)
