"""The experiment as plain values, for JSON."""

from __future__ import annotations

import dataclasses
from typing import Any

from carbonedge.experiments.paper import published
from carbonedge.experiments.paper.conclusions import conclusions
from carbonedge.experiments.paper.result import PaperResult

__all__ = ["as_document"]


def as_document(result: PaperResult) -> dict[str, Any]:
    """All that was measured, predicted and published, and what was to be shown."""
    document = dataclasses.asdict(result)
    for model, its in zip(result.models, document["models"], strict=True):
        for routed, row in zip(model.routed, its["routed"], strict=True):
            row["reduction"] = model.reduction(routed)
            row["above_front"] = model.above_front(routed)
            row["above_least"] = model.above_least(routed)
        for target, row in zip(model.targets, its["targets"], strict=True):
            row["excess"] = target.excess
        for tried, row in zip(model.tried, its["tried"], strict=True):
            row["latency_error"] = tried.latency_error
            row["emissions_error"] = tried.emissions_error
            row["excess"] = tried.excess
            row["reduction"] = model.saved(tried)
    document["conclusions"] = [dataclasses.asdict(one) for one in conclusions(result)]
    document["published"] = {
        "table_2": {name: dataclasses.asdict(row) for name, row in published.TABLE_2.items()},
        "table_4": {
            name: dict(zip(("monolithic", "green"), map(dataclasses.asdict, rows), strict=True))
            for name, rows in published.TABLE_4.items()
        },
        "table_5": {mode: dict(shares) for mode, shares in published.NODE_USE.items()},
        "figure_2": dict(published.EFFICIENCY),
        "figure_3": published.CARBON_JUMP,
    }
    return document
