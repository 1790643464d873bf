from __future__ import annotations

from pathlib import Path

import pytest
from entries import NOON_S, entry, intensity, origin

from carbonedge.carbon.ledger import Ledger
from carbonedge.carbon.report import report
from carbonedge.carbon.sci import Sci, sci

KWH = 3.6e6


def scored(path: Path, *entries: object, mixed: bool = False) -> Sci:
    with Ledger(path) as ledger:
        for one in entries:
            ledger.append(one)  # type: ignore[arg-type]
    return sci(report(path, mixed=mixed))


def two_stages() -> list[object]:
    """Two inferences over two nodes: 1 kJ each at 360 g/kWh, PUE 1.5 on the second node."""
    first = origin("board", plan="p", stage=0)
    second = origin(
        "server", plan="p", stage=1, pue=1.5, energy_source="CPU time x power", method="modelled"
    )
    shared = {
        "intensity": intensity(360.0),
        "cpu_j": 800.0,
        "memory_j": 200.0,
        "idle_j": 100.0,
    }
    return [
        one
        for number in (1, 2)
        for one in (
            entry(
                NOON_S,
                number,
                origin=first,
                operational_g=0.1,
                embodied_g=0.02,
                transfer_j=100.0,
                transfer_g=0.01,
                **shared,
            ),
            entry(
                NOON_S,
                number,
                origin=second,
                operational_g=0.15,
                embodied_g=0.0,
                transfer_j=0.0,
                transfer_g=0.0,
                **shared,
            ),
        )
    ]


def test_the_score_is_what_the_standard_says(tmp_path: Path) -> None:
    score = scored(tmp_path / "ledger.db", *two_stages())
    # O = 2 x (0.1 + 0.15 + 0.01), M = 2 x 0.02, R = 2.
    assert score.operational_g == pytest.approx(0.52)
    assert score.embodied_g == pytest.approx(0.04)
    assert score.inferences == 2
    assert score.score_g == pytest.approx(0.28)


def test_every_term_has_its_value_and_its_method(tmp_path: Path) -> None:
    score = scored(tmp_path / "ledger.db", *two_stages())
    nodes, links, mean, operational, embodied, unit, whole = score.figures
    assert [figure.symbol for figure in score.figures] == ["E", "E", "I", "O", "M", "R", "SCI"]
    assert nodes.value == pytest.approx(2 * (1000 + 1500) / KWH)
    assert nodes.method == "CPU time x power (modelled); rapl, by CPU time (measured)"
    assert links.value == pytest.approx(200 / KWH)
    assert mean.value == pytest.approx(360)
    assert mean.method == "location-based, average, lifecycle factors: trace de.csv (actual)"
    # Energy x intensity, and links.
    assert operational.value == pytest.approx(nodes.value * mean.value + 0.02)
    # 0.2 g of RAPL, 0.3 g of a model and 0.02 g of links.
    assert "(38.5 % measured, 61.5 % modelled)" in operational.method
    assert embodied.value == pytest.approx(0.04)
    assert embodied.method.endswith("(modelled)")
    assert (unit.value, unit.method) == (2, "counted")
    assert whole.value == pytest.approx(0.28)
    assert whole.method == "35.7 % measured, 64.3 % modelled"


def test_the_boundary_and_what_is_left_out_are_stated(tmp_path: Path) -> None:
    score = scored(tmp_path / "ledger.db", *two_stages())
    assert score.boundary == (
        "energy of CPU, memory while stages ran, 10 % of it idle draw",
        "overhead of facilities, PUE up to 1.5",
        "energy of links that tensors crossed",
        "embodied carbon of board, by the time of their stages",
    )
    assert score.left_out[:4] == (
        "energy of GPU, of which none was counted",
        "overhead of the facilities of board, whose PUE is 1",
        "networking equipment beyond the energy of links",
        "embodied carbon of server, for which none is given",
    )
    said = " ".join(score.left_out)
    for never in ("between inferences", "end users", "training", "offsets", "market-based"):
        assert never in said


def test_machines_measured_whole_leave_no_part_out(tmp_path: Path) -> None:
    score = scored(
        tmp_path / "ledger.db",
        entry(cpu_j=0.0, memory_j=0.0, machine_j=5.0, transfer_j=0.0, idle_j=0.0),
    )
    assert score.boundary[0] == "energy of whole machines while stages ran"
    assert not any("none was counted" in line for line in score.left_out[:1])
    assert "networking equipment: no energy of links was counted" in score.left_out


def test_direct_factors_leave_out_what_comes_before_the_power_plant(tmp_path: Path) -> None:
    score = scored(
        tmp_path / "ledger.db",
        entry(intensity=intensity(factors="direct", accounting="marginal")),
        entry(intensity=intensity(), origin=origin("b")),
        mixed=True,
    )
    assert any("factors are direct" in line for line in score.left_out)
    mean = score.figures[2]
    assert "location-based, marginal, direct factors: trace de.csv (actual)" in mean.method
    assert "location-based, average, lifecycle factors: trace de.csv (actual)" in mean.method


def test_emulated_nodes_make_every_figure_emulated(tmp_path: Path) -> None:
    score = scored(tmp_path / "ledger.db", entry(origin=origin(method="emulated")))
    for figure in score.figures:
        if figure.symbol not in ("I", "R"):
            assert "emulated" in figure.method
            assert "modelled" not in figure.method


def test_links_and_manufacture_are_emulated_on_emulated_nodes_alone(tmp_path: Path) -> None:
    shares = {"operational_g": 0.6, "embodied_g": 0.3, "transfer_g": 0.1}
    score = scored(
        tmp_path / "ledger.db",
        entry(**shares),
        entry(origin=origin("b", method="emulated", energy_source="power x time"), **shares),
    )
    methods = {figure.symbol: figure.method for figure in score.figures}
    assert "(42.9 % measured, 7.14 % modelled, 50 % emulated)" in methods["O"]
    assert "(50 % modelled, 50 % emulated)" in methods["M"]
    assert methods["SCI"] == "30 % measured, 20 % modelled, 50 % emulated"


def test_nothing_that_ran_has_no_score(tmp_path: Path) -> None:
    score = scored(tmp_path / "ledger.db")
    assert score.score_g is None
    assert score.boundary == ()
    document = score.to_dict()
    assert document["score_g_per_inference"] is None
    assert document["functional_unit"] == "one inference"
    assert document["standard"] == "ISO/IEC 21031:2024"
