"""Requests while node-high has other work too."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence

from carbonedge.cluster import Node
from carbonedge.experiments.paper.calibration import time_whole, timed
from carbonedge.experiments.paper.models import PaperModel
from carbonedge.experiments.paper.other_work import busy
from carbonedge.experiments.paper.photos import Photos
from carbonedge.experiments.paper.result import Loaded
from carbonedge.experiments.paper.routing import Routing, answer_photos, summed_up
from carbonedge.runtime import InferenceSession
from carbonedge.scheduling import MODES

__all__ = ["answer_loaded"]

CORES = 0.15
"""So little that node-high stays the fastest."""
SETTLED_S = 2.5
"""Nodes tell their load once a second, of the second before."""


def answer_loaded(
    model: PaperModel,
    nodes: Sequence[Node],
    whole: Mapping[str, InferenceSession],
    photos: Photos,
    *,
    repeats: int,
    scale: float,
    environment: Mapping[str, str],
) -> Loaded:
    """Answer all photos, several times, always on the node with the highest intensity, always on
    that with the least, and balanced, while another process takes 0.15 cores of the former.
    """
    by_intensity = sorted(nodes, key=lambda node: node.known_intensity())
    green, high = by_intensity[0].name, by_intensity[-1].name
    balanced = MODES["balanced"]
    ways = (
        Routing(high, node=high),
        Routing(green, node=green),
        Routing("balanced", balanced, "normalized"),
        Routing("balanced", balanced, "paper"),
    )
    with busy(high, CORES, environment):
        time.sleep(SETTLED_S)
        load = {name: session.nodes[0].load or 0.0 for name, session in whole.items()}
        loaded = [
            dataclasses.replace(node, load=load[node.name])
            for node in timed(nodes, time_whole(model, whole, photos))
        ]
        done = [
            answer_photos(model, ways, loaded, whole, photos, scale=scale) for _ in range(repeats)
        ]
    routed = tuple(
        summed_up(way, nodes, repeats_of)
        for way, repeats_of in zip(ways, zip(*done, strict=True), strict=True)
    )
    return Loaded(load, routed)
