from __future__ import annotations

import pytest

from carbonedge import IntensityUnavailableError, Node
from carbonedge.carbon import stage_emissions_g, transfer_emissions_g


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
