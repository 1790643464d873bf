from __future__ import annotations

import pytest

from carbonedge import IntensityUnavailableError, Node
from carbonedge.carbon import (
    embodied_g,
    embodied_g_per_hour,
    stage_emissions_g,
    transfer_emissions_g,
)


def node(intensity: float | None, **more: float) -> Node:
    return Node("n", cpu_cores=1, memory_mb=1, power_w=1, intensity_g_per_kwh=intensity, **more)


def test_a_kilowatt_hour_emits_the_intensity() -> None:
    assert stage_emissions_g(node(400), 3.6e6, 0) == 400


def test_pue_multiplies_and_embodied_carbon_adds() -> None:
    emissions_g = stage_emissions_g(node(400, pue=1.5, embodied_g_per_hour=7), 3.6e6, 3.6e6)
    assert emissions_g == 400 * 1.5 + 7


def test_a_transfer_emits_at_the_mean_of_both_grids() -> None:
    assert transfer_emissions_g(node(100), node(300, pue=2), 3.6e6) == 200


def test_a_clean_grid_emits_nothing() -> None:
    assert stage_emissions_g(node(0), 1e9, 1e9) == 0


def test_an_unknown_intensity_is_no_zero() -> None:
    with pytest.raises(IntensityUnavailableError):
        stage_emissions_g(node(None), 1, 1)


def test_a_server_of_a_tonne_over_four_years_is_28_g_an_hour() -> None:
    """The example of the SCI specification, ISO/IEC 21031:2024."""
    lifespan_h = 4 * 365 * 24
    assert embodied_g_per_hour(1_000_000, lifespan_h) == pytest.approx(28.54, abs=0.005)
    assert embodied_g(1_000_000, 1, lifespan_h) == embodied_g_per_hour(1_000_000, lifespan_h)


def test_embodied_carbon_falls_to_a_use_by_its_time_and_its_share_of_the_hardware() -> None:
    assert embodied_g(1000, 10, 100, reserved_resources=2, total_resources=8) == 25
    assert embodied_g(1000, 100, 100) == 1000
    assert embodied_g(1000, 10, 100, reserved_resources=0) == 0


def test_embodied_carbon_of_a_node_is_that_of_its_hours() -> None:
    rate = embodied_g_per_hour(300_000, 26_280, reserved_resources=1, total_resources=4)
    assert stage_emissions_g(node(0, embodied_g_per_hour=rate), 1, 2 * 3.6e6) == embodied_g(
        300_000, 2, 26_280, reserved_resources=1, total_resources=4
    )


def test_no_more_is_reserved_than_there_is() -> None:
    with pytest.raises(ValueError, match="reserved_resources is 9 of 8"):
        embodied_g(1, 1, 1, reserved_resources=9, total_resources=8)
    for wrong in ((-1, 1, 1), (1, -1, 1), (1, 1, 0)):
        with pytest.raises(ValueError, match="it must be finite and"):
            embodied_g(*wrong)
