"""The intensities of a plan's nodes as requests need them: at hand, and no older than need be."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from carbonedge._validation import non_negative
from carbonedge.carbon.integration import operational_g
from carbonedge.carbon.intensity import (
    Intensity,
    Signal,
    given_intensity,
    provenance,
    seconds,
)
from carbonedge.cluster import Node
from carbonedge.exceptions import ClusterError, IntensityUnavailableError
from carbonedge.units import J_PER_KWH

__all__ = ["Known", "Lookup"]

logger = logging.getLogger(__name__)

LOOK_AGAIN_S = 1.0
"""A signal may learn better within the time its value holds for: it is asked that often."""


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """Intensities as they were looked up last.

    Parameters
    ----------
    by_node
        By the node's name.
    source
        Where they are from, for people.
    from_s, until_s
        When all of them hold.
    again_s
        When to look again.
    """

    by_node: Mapping[str, Intensity]
    source: str
    from_s: float
    until_s: float
    again_s: float


class Lookup:
    """Knows the intensity of every node. Safe for threads.

    An intensity that can no longer be had is the last known one, and the log says so once:
    no inference fails of it.

    Parameters
    ----------
    nodes
        Whose intensities are wanted.
    signal
        Intensity of nodes with a zone; it must answer from memory. Without it, and of
        nodes without a zone, the node's own holds.

    Raises
    ------
    IntensityUnavailableError
        If the intensity of a node is not known now.
    ValueError
        If the signal does not answer from memory.
    """

    def __init__(self, nodes: Iterable[Node], signal: Signal | None = None) -> None:
        if signal is not None and not signal.immediate:
            raise ValueError(
                f"{signal!r} waits for the network, which no request may: wrap it in a Refresher"
            )
        self._nodes = {node.name: node for node in nodes}
        self._signal = signal
        self._set: dict[str, Intensity] = {}
        self._stale: set[str] = set()
        self._known = self._look(seconds(None), {})

    @property
    def latest(self) -> Known:
        """The intensities as they were looked up last."""
        return self._known

    def known(self, when_s: float) -> Known:
        """The intensities at a time, in seconds since 1970."""
        known = self._known
        if not known.from_s <= when_s < known.again_s:
            known = self._known = self._look(when_s, known.by_node)
        return known

    def over(
        self, node: Node, energy_j: float, start_s: float, stop_s: float
    ) -> tuple[Intensity, float]:
        """The mean intensity while energy is drawn evenly, and its grams, PUE in."""
        intensity = self._known.by_node[node.name]
        if stop_s > intensity.valid_until_s and energy_j and not intensity.age_s:
            assert self._signal is not None
            try:
                grams = operational_g(
                    energy_j, start_s, stop_s, self._signal, intensity.zone, pue=node.pue
                )
            except IntensityUnavailableError:
                # What comes next is not known yet; if it stays so, the next look tells.
                pass
            else:
                mean = grams / (energy_j * node.pue) * J_PER_KWH
                return dataclasses.replace(intensity, g_per_kwh=mean), grams
        return intensity, energy_j * intensity.g_per_kwh * node.pue / J_PER_KWH

    def set(self, name: str, g_per_kwh: float) -> None:
        """From now on a node has this intensity, whatever its signal says.

        Raises
        ------
        ClusterError
            If there is no such node.
        ValueError
            If the value is out of its range.
        """
        value = non_negative(f"intensity_g_per_kwh of node {name!r}", g_per_kwh)
        if name not in self._nodes:
            raise ClusterError(
                f"nothing runs on a node {name!r}: the plan has {', '.join(self._nodes)}"
            )
        zone = self._nodes[name].zone or ""
        self._set[name] = Intensity(value, zone, "set by update", "static")
        self._known = self._look(seconds(None), self._known.by_node)

    def _look(self, now_s: float, before: Mapping[str, Intensity]) -> Known:
        by_node = {name: self._intensity(node, now_s, before) for name, node in self._nodes.items()}
        return Known(
            by_node,
            "; ".join(dict.fromkeys(map(provenance, by_node.values()))),
            now_s,
            min((one.valid_until_s for one in by_node.values() if not one.age_s), default=math.inf),
            now_s + LOOK_AGAIN_S,
        )

    def _intensity(self, node: Node, now_s: float, before: Mapping[str, Intensity]) -> Intensity:
        if node.name in self._set:
            return self._set[node.name]
        if self._signal is None or node.zone is None:
            return given_intensity(node)
        try:
            intensity = self._signal.at(node.zone, now_s)
        except IntensityUnavailableError as error:
            last = before.get(node.name)
            if last is None:
                raise
            if node.name not in self._stale:
                self._stale.add(node.name)
                logger.warning("going on with the last known intensity of %s: %s", node.name, error)
            return dataclasses.replace(last, age_s=max(0.0, now_s - last.valid_until_s))
        self._stale.discard(node.name)
        return intensity
