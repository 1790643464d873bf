from __future__ import annotations

import pytest

from carbonedge.experiments.paper.published import (
    EFFICIENCY,
    GREEN_REDUCTION,
    NODE_USE,
    REFERENCE_MS,
    TABLE_2,
    TABLE_4,
    over_monolithic,
)
from carbonedge.experiments.paper_cluster import paper_cluster


def test_the_papers_tables_agree_with_each_other() -> None:
    for name, row in TABLE_2.items():
        assert row.throughput_rps == pytest.approx(1000 / row.latency_ms, rel=0.01)
        # Its grams are rounded to two digits.
        monolithic = TABLE_2["monolithic"].emissions_g
        assert 1 - row.emissions_g / monolithic == pytest.approx(row.reduction, abs=0.03)
        if name in EFFICIENCY:
            assert EFFICIENCY[name] == pytest.approx(1 / row.emissions_g, rel=0.02)
    monolithic, green = TABLE_4["MobileNetV2"]
    assert monolithic.latency_ms == TABLE_2["monolithic"].latency_ms
    assert green.reduction == TABLE_2["green"].reduction == GREEN_REDUCTION


def test_the_papers_component_ranges_come_out_of_its_times() -> None:
    performance, carbon = [], []
    for node in paper_cluster().nodes:
        time_ms = REFERENCE_MS[node.name]
        milligrams = node.power_w * time_ms / 1e3 * node.known_intensity() / 3.6e6 * 1e3
        performance.append(1 / (1 + time_ms / 1e3))
        carbon.append(1 / (1 + milligrams))
    assert max(performance) - min(performance) == pytest.approx(0.166, abs=5e-4)
    assert max(carbon) - min(carbon) == pytest.approx(0.054, abs=5e-4)


def test_efficiency_is_figure_2s_and_else_that_of_table_2() -> None:
    assert over_monolithic("green") == pytest.approx(1.30, abs=0.005)
    assert over_monolithic("balanced") == pytest.approx(1 / 1.247)


def test_node_use_and_times_are_of_the_papers_nodes() -> None:
    names = [node.name for node in paper_cluster().nodes]
    assert list(REFERENCE_MS) == names
    for shares in NODE_USE.values():
        assert list(shares) == names
        assert sum(shares.values()) == 100
