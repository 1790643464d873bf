"""What is written down of each inference and stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from carbonedge.carbon.energy.meter import MeterMethod
from carbonedge.carbon.intensity.signal import Intensity

__all__ = ["Entry", "EntryValues", "Origin"]


@dataclass(frozen=True, slots=True)
class Origin:
    """What all entries of one stage of one session have in common.

    Parameters
    ----------
    node, zone
        Where it ran; the zone is empty where none is given.
    model
        Its name.
    plan
        Identifies the plan.
    stage
        Its place in the plan, from 0: each inference has one entry of stage 0.
    pue
        Of the node.
    energy_source
        How the joules came about, for people, such as ``"rapl, by CPU time"``.
    method
        The same in a word: measured, modelled or emulated.
    """

    node: str
    zone: str
    model: str
    plan: str
    stage: int
    pue: float
    energy_source: str
    method: MeterMethod


class Entry(NamedTuple):
    """One stage of one inference. A tuple: it is made on every request.

    Joules are the stage's own, without PUE; grams have it in.
    """

    time_s: float
    """When the stage began, in seconds since 1970."""
    inference: int
    """The same for all stages of one inference."""
    origin: Origin
    intensity: Intensity
    latency_ms: float
    cpu_j: float
    memory_j: float
    gpu_j: float
    machine_j: float
    """The whole machine's, where its parts are not told apart."""
    idle_j: float
    """What of these four together it would have drawn idle."""
    transfer_j: float
    """Of the tensors that left this stage, and for stage 0 of those that came from the source."""
    operational_g: float
    embodied_g: float
    transfer_g: float


EntryValues = tuple[
    *tuple[float, int, Origin, Intensity, float],
    *tuple[float, float, float, float, float, float],
    *tuple[float, float, float],
]
"""The values of an `Entry` in their order, before it takes as long again to name them."""
