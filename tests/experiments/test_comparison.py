from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from types import SimpleNamespace

import models
import numpy as np
import pytest

from carbonedge import Cluster, InfeasibleError, Link, Node, load_model
from carbonedge.carbon.intensity import Chain, Static
from carbonedge.experiments import compare, light_model, paper_cluster
from carbonedge.planning import sized
from carbonedge.runtime.monitor import Monitor


def interrupt_after(count: int) -> Callable[[], None]:
    calls = iter(range(count))

    def advance() -> None:
        if next(calls, None) is None:
            raise KeyboardInterrupt

    return advance


def test_every_request_is_answered_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    # Whatever is timed takes a millisecond.
    ticks = itertools.count()
    clock = SimpleNamespace(perf_counter=lambda: next(ticks) / 1000, time=time.time)
    monkeypatch.setattr("carbonedge.experiments.comparison.time", clock)
    result = compare(
        load_model(light_model("squeezenet")),
        paper_cluster(),
        modes=("performance", "green"),
        split_mode="balanced",
        requests=4,
    )
    assert [(row.mode, row.placement, row.requests) for row in result.rows] == [
        ("performance", "routed", 4),
        ("green", "routed", 4),
        ("balanced", "split", 4),
    ]
    performance, green, split = result.rows
    assert performance.node_use == {"node-high": 100.0}
    assert green.node_use == {"node-green": 100.0}
    assert sum(split.node_use.values()) == pytest.approx(100)
    assert len(split.node_use) > 1
    assert performance.latency_median_ms == pytest.approx(1)
    assert performance.emissions_g == pytest.approx(3.55 * 1e-3 * 620 / 3.6e6)
    assert green.latency_median_ms == pytest.approx(1 / 0.4)
    assert green.emissions_g == pytest.approx(1.42 * 1e-3 / 0.4 * 380 / 3.6e6)
    assert result.largest_difference is not None
    assert result.largest_difference <= 1e-5
    assert result.faithful


def test_the_sources_named_are_those_of_all_rows_and_of_no_node_that_nothing_ran_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks = itertools.count()
    clock = SimpleNamespace(perf_counter=lambda: next(ticks) / 1000, time=time.time)
    monkeypatch.setattr("carbonedge.experiments.comparison.time", clock)
    grids = {"PL": 620, "CZ": 530, "DE": 380}
    signal = Chain([Static({zone: g}, source=f"grid {zone}") for zone, g in grids.items()])
    monitor = Monitor(paper_cluster(), intensity=signal)
    result = compare(
        load_model(light_model("squeezenet")),
        monitor.cluster,
        modes=("performance",),
        split_mode="green",
        requests=2,
        monitor=monitor,
    )
    assert [list(row.node_use) for row in result.rows] == [["node-high"], ["node-green"]]
    assert result.sources("intensity") == (
        "grid PL (static, average, lifecycle); grid DE (static, average, lifecycle)"
    )


@pytest.mark.parametrize(("answered", "rows"), [(1, [2]), (4, [3, 2])])
def test_ctrl_c_keeps_what_was_measured(answered: int, rows: list[int]) -> None:
    # The request whose advance() was interrupted had been answered.
    result = compare(
        load_model(models.layers()),
        paper_cluster(),
        modes=("performance", "green"),
        split_mode="green",
        requests=3,
        advance=interrupt_after(answered),
    )
    assert result.interrupted
    assert [row.requests for row in result.rows] == rows


def test_a_model_too_large_is_infeasible() -> None:
    with pytest.raises(InfeasibleError, match="largest node has 1024 MB"):
        compare(
            load_model(huge()), paper_cluster(), modes=("green",), split_mode="green", requests=1
        )


def test_what_no_node_holds_whole_runs_split() -> None:
    model = load_model(models.layers())
    half_mb = model.memory_mb * 0.6
    nodes = [
        Node(name, cpu_cores=1, memory_mb=half_mb, power_w=1, intensity_g_per_kwh=100)
        for name in ("a", "b")
    ]
    cluster = Cluster(nodes, [Link("a", "b", bandwidth_mbps=1000)])
    result = compare(model, cluster, modes=("green",), split_mode="green", requests=2)
    [row] = result.rows
    assert row.placement == "split"
    assert set(row.node_use) == {"a", "b"}


def test_what_no_node_holds_whole_at_the_sizes_of_the_request_runs_split() -> None:
    model = load_model(models.layers(batch="N"))
    feed = {"x": np.ones((1000, models.WIDTH), np.float32)}
    half_mb = sized(model, feed).memory_mb * 0.6
    assert model.memory_mb < half_mb
    nodes = [
        Node(name, cpu_cores=1, memory_mb=half_mb, power_w=1, intensity_g_per_kwh=100)
        for name in ("a", "b")
    ]
    cluster = Cluster(nodes, [Link("a", "b", bandwidth_mbps=1000)])
    result = compare(model, cluster, modes=("green",), split_mode="green", requests=2, feed=feed)
    assert [row.placement for row in result.rows] == ["split"]


def huge() -> models.ModelProto:
    """One operator that puts out 2 GB, were it run."""
    nodes = [models.make_node("Expand", ["x", "shape"], ["big"])]
    nodes.append(models.make_node("ReduceSum", ["big"], ["y"]))
    return models._model(
        nodes,
        [models._floats("x", 1, 1)],
        [models._floats("y", 1, 1)],
        {"shape": np.array([25_000, 20_000], dtype=np.int64)},
    )


def test_light_models_answer_differently_to_different_inputs() -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(light_model("squeezenet").SerializeToString())
    random = np.random.default_rng(0)
    one, two = (
        session.run(None, {"data_0": random.random((1, 3, 224, 224), dtype=np.float32)})[0]
        for _ in range(2)
    )
    assert np.ptp(one) > 0
    assert not np.allclose(one, two, rtol=1e-3)


def test_light_models_repeat_from_their_seed() -> None:
    same = [light_model("squeezenet", seed=s).SerializeToString() for s in (1, 1, 2)]
    assert same[0] == same[1] != same[2]
