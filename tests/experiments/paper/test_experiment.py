"""The whole experiment, on a real Ray, with a model that takes a millisecond."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest
from photo_model import save_photo_model

from carbonedge.cli.paper_page import paper_page
from carbonedge.cli.paper_tables import how_lines, paper_tables
from carbonedge.experiments.paper import (
    Extent,
    ModelResult,
    PaperResult,
    conclusions,
    read_models,
    read_photos,
    run_paper,
)
from carbonedge.experiments.paper.document import as_document
from carbonedge.experiments.paper.estimate import estimate
from carbonedge.experiments.paper.plots import efficiency_figure, front_figure
from carbonedge.experiments.paper_cluster import paper_cluster
from carbonedge.runtime.local_cluster import cgroups
from carbonedge.runtime.local_cluster.record import Record, found, run_folder

EXTENT = Extent(photos=4, repeats=2, targets=3)
NODES = [node.name for node in paper_cluster().nodes]


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, said: list[str]) -> PaperResult:
    folder = tmp_path_factory.mktemp("paper")
    models = read_models([save_photo_model(folder)])
    return run_paper(models, read_photos(EXTENT.photos), EXTENT, advance=said.append)


@pytest.fixture
def model(result: PaperResult) -> ModelResult:
    return result.models[0]


def test_all_requests_of_every_way_are_answered(model: ModelResult) -> None:
    assert len(model.routed) == 9
    for one in model.routed:
        assert list(one.node_use) == NODES
        assert sum(one.node_use.values()) == pytest.approx(100)
        assert len(one.latency_ms.repeats) == EXTENT.repeats
        assert min(one.latency_ms.repeats) > 0


def test_joules_and_grams_are_node_power_and_intensity_times_time(model: ModelResult) -> None:
    nodes = {node.name: node for node in paper_cluster().nodes}
    for one in model.routed:
        used = [name for name, share in one.node_use.items() if share == 100]
        if used:
            node = nodes[used[0]]
            energy_j = node.power_w * one.latency_ms.mean / 1e3
            assert one.energy_j.mean == pytest.approx(energy_j)
            grams = energy_j * node.known_intensity() / 3.6e6
            assert one.emissions_g.mean == pytest.approx(grams)


def test_carbon_saved_is_against_monolithic(model: ModelResult) -> None:
    monolithic = model.row("monolithic")
    assert model.reduction(monolithic) == 0
    for one in model.routed:
        saved_g = monolithic.emissions_g.mean - one.emissions_g.mean
        assert model.reduction(one) == pytest.approx(saved_g / monolithic.emissions_g.mean)


def test_the_front_is_never_beaten_as_predicted(model: ModelResult) -> None:
    least_g = min(plan.emissions_g for plan in model.front)
    for plan in model.whole.values():
        assert plan.emissions_g >= least_g * (1 - 1e-9)
    for one in model.routed:
        if max(one.node_use.values()) == 100:
            assert model.above_front(one) >= -1e-9
    for target in model.targets:
        assert target.excess >= -1e-9
    assert model.most_excess >= max(target.excess for target in model.targets) - 1e-9


def test_other_work_shows_in_the_load_of_its_node_alone(
    model: ModelResult, result: PaperResult
) -> None:
    assert (model.loaded is not None) == result.throttled
    if model.loaded is None:
        return
    assert [one.routing.name for one in model.loaded.routed] == [
        *("node-high", "node-green", "balanced", "balanced")
    ]
    load = dict(model.loaded.load)
    assert 0.1 < load.pop("node-high") < 0.7
    assert max(load.values()) < 0.3


def test_every_target_has_a_plan_that_was_run(model: ModelResult) -> None:
    tried = {one.plan.identity for one in model.tried}
    assert {target.plan.identity for target in model.targets} == tried
    for one in model.tried:
        assert len(one.emissions_g.repeats) == EXTENT.repeats
        assert one.latency_error > -1


def test_links_take_at_least_what_their_figures_say(model: ModelResult) -> None:
    assert model.stage_ms >= 0
    for own, here in zip(paper_cluster().links, model.links, strict=True):
        assert (own.source, own.target) == (here.source, here.target)
        assert here.latency_ms >= own.latency_ms
        assert here.bandwidth_mbps <= own.bandwidth_mbps * (1 + 1e-9)


def test_figure_3_has_its_one_jump_where_the_paper_has_it(result: PaperResult) -> None:
    choices = [
        (step.weights.carbon, step.choices["paper"].node)
        for step in result.sweeps["reference"].steps
    ]
    assert {node for carbon, node in choices if carbon < 0.495} == {"node-high"}
    assert {node for carbon, node in choices if carbon > 0.495} == {"node-green"}


def test_it_says_how_figures_came_about(result: PaperResult, model: ModelResult) -> None:
    assert model.method == "emulated"
    assert ("CPU quota" in model.time_source) == result.throttled
    assert ("unthrottled" in model.time_source) != result.throttled
    assert result.throttled == (result.why is None)


def test_without_the_rights_it_runs_and_reaches_no_goal_of_nodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise cgroups.NoRightsError("/cg/cpu: Permission denied")

    monkeypatch.setattr(cgroups, "make", refused)
    models = read_models([save_photo_model(tmp_path)])
    result = run_paper(models, read_photos(1), Extent(photos=1, repeats=1, targets=2))
    assert (result.throttled, result.why) == (False, "/cg/cpu: Permission denied")
    *of_nodes, scheduling = conclusions(result)
    assert any(one.what.startswith("balanced") for one in of_nodes)
    for one in of_nodes:
        assert not one.reached
        assert one.figure.endswith("(unthrottled)")
    assert scheduling.reached == (result.scheduling_us <= 3)
    assert "UNTHROTTLED (/cg/cpu: Permission denied)" in paper_page(result)
    assert "unthrottled" in json.dumps(as_document(result))


def test_it_tells_what_comes_next(said: list[str], result: PaperResult) -> None:
    assert result.models
    assert said[0] == "MobileNetV2: operators"
    assert "MobileNetV2: routed, repeat 2 of 2" in said


def test_there_is_a_conclusion_for_every_goal(result: PaperResult) -> None:
    whats = " ".join(one.what for one in conclusions(result))
    for part in (
        *("Table V", "balanced", "green against monolithic", "least possible"),
        *("201 latency targets", "predicted against measured", "scheduling a task"),
    ):
        assert part in whats


def test_conclusions_turn_with_the_figures(result: PaperResult, model: ModelResult) -> None:
    def reached(changed: ModelResult) -> dict[str, bool]:
        said = conclusions(dataclasses.replace(result, models=(changed,), throttled=True))
        return {one.what.split(",")[0]: one.reached for one in said}

    def with_green(grams: float, use: dict[str, float], scoring: str) -> ModelResult:
        routed = [
            dataclasses.replace(one, emissions_g=estimate([grams]), node_use=use)
            if (one.routing.name, one.routing.scoring) == ("green", scoring)
            else one
            for one in model.routed
        ]
        return dataclasses.replace(model, routed=tuple(routed))

    monolithic_g = model.row("monolithic").emissions_g.mean
    on_green = {"node-high": 0.0, "node-medium": 0.0, "node-green": 100.0}
    on_high = {"node-high": 100.0, "node-medium": 0.0, "node-green": 0.0}
    for saved, expected in ((0.25, True), (0.20, False)):
        its = with_green(monolithic_g * (1 - saved), on_green, "normalized")
        assert reached(its)["green against monolithic"] is expected
    half = [dataclasses.replace(p, emissions_g=p.emissions_g / 2) for p in model.front]
    greener = dataclasses.replace(model, front=tuple(half))
    assert not reached(greener)["green against the least possible"]
    assert not reached(with_green(1.0, on_high, "paper"))["Table V"]

    far = dataclasses.replace(
        model,
        tried=tuple(
            dataclasses.replace(one, emissions_g=estimate([one.plan.emissions_g * 1.2]))
            for one in model.tried
        ),
    )
    assert not reached(far)["predicted against measured"]
    assert not reached(far)["emissions at 201 latency targets"]
    slow = dataclasses.replace(result, scheduling_us=3.5)
    assert not conclusions(slow)[-1].reached


def test_it_is_json_and_a_page(result: PaperResult) -> None:
    document = json.loads(json.dumps(as_document(result)))
    assert document["models"][0]["routed"][0]["routing"]["name"] == "monolithic"
    assert {one["what"] for one in document["conclusions"]} == {
        one.what for one in conclusions(result)
    }
    page = paper_page(result)
    for title in ("Table II", "Table IV", "Table V", "Figure 2", "Figure 3", "exact front"):
        assert title in page
    assert page.count("<svg") == 3


def test_joules_and_grams_can_be_redone_from_the_json(result: PaperResult) -> None:
    document = json.loads(json.dumps(as_document(result), allow_nan=False))
    nodes = {node["name"]: node for node in document["nodes"]}
    (model,) = document["models"]
    plans = [one["plan"] for one in (*model["targets"], *model["tried"], *model["strategies"])]
    for plan in (*model["front"], *model["whole"].values(), *filter(None, plans)):
        for stage in plan["stages"]:
            node = nodes[stage["node"]]
            energy_j = node["power_w"] * stage["time_ms"] / 1e3
            grams = energy_j * node["intensity_g_per_kwh"] / 3.6e6
            assert [stage["energy_j"], stage["emissions_g"]] == pytest.approx([energy_j, grams])
        for what in ("latency_ms", "energy_j", "emissions_g"):
            parts = [*plan["stages"], *plan["transfers"]]
            of_part = what.replace("latency", "time")
            assert plan[what] == pytest.approx(sum(part[of_part] for part in parts))
    for tried in model["tried"]:
        (first, *more) = tried["plan"]["stages"]
        if not more:
            assert first["time_ms"] == pytest.approx(tried["whole_ms"][first["node"]])
        medium = nodes["node-medium"]
        joules = medium["power_w"] * tried["whole_ms"]["node-medium"] / 1e3
        monolithic_g = joules * medium["intensity_g_per_kwh"] / 3.6e6
        saved = 1 - tried["emissions_g"]["mean"] / monolithic_g
        assert tried["reduction"] == pytest.approx(saved)


def test_the_json_gives_weights_only_where_they_count(result: PaperResult) -> None:
    for row in as_document(result)["models"][0]["routed"]:
        scored = row["routing"]["scoring"] in ("paper", "normalized")
        assert (row["routing"]["weights"] is not None) == scored


def test_words_name_the_model_that_was_run(result: PaperResult, model: ModelResult) -> None:
    other = dataclasses.replace(result, models=(dataclasses.replace(model, label="other"),))
    for one, label in ((result, "MobileNetV2"), (other, "other")):
        said = " ".join(how_lines(one))
        assert f"where {label} takes 254.85 ms" in said
        note = paper_tables(one)[0].note
        assert "figures are of MobileNetV2" in note
        assert ("times as long" in note) == (label == "MobileNetV2")


def test_nothing_is_said_to_be_minus_zero(result: PaperResult) -> None:
    whole = dataclasses.replace(
        result.models[0].targets[0],
        least_g=result.models[0].targets[0].plan.emissions_g * (1 + 1e-15),
    )
    model = dataclasses.replace(result.models[0], targets=(whole,))
    said = [one.figure for one in conclusions(dataclasses.replace(result, models=(model,)))]
    assert not any("-0.00%" in one for one in said)


def test_every_way_of_routing_is_in_the_plot(model: ModelResult) -> None:
    (axes,) = front_figure(model).axes
    points = {tuple(point) for line in axes.lines for point in zip(*line.get_data(), strict=True)}
    for one in model.routed:
        assert any(x == one.latency_ms.mean for x, _ in points)


def test_plots_name_their_axes(model: ModelResult) -> None:
    (axes,) = front_figure(model).axes
    assert axes.get_xlabel() == "latency of one inference, ms"
    assert "CO2eq" in axes.get_ylabel()
    (axes,) = efficiency_figure(model).axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == [
        *("monolithic", "AMP4EC", "performance", "balanced", "green")
    ]


def test_nothing_is_left_of_the_cluster(result: PaperResult) -> None:
    assert result.models
    within = run_folder()
    folders = found(within) if within.is_dir() else []
    owners = [Record.read(folder).pid for folder in folders]
    assert os.getpid() not in owners
