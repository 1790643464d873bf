"""What a replay found."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["ORACLE", "PolicyResult", "Replay", "Worth", "ZoneResult"]

ORACLE = "oracle"


@dataclass(frozen=True, slots=True)
class ZoneResult:
    """A zone of a replay.

    Attributes
    ----------
    name, nodes, requests
        How many nodes stand there, and requests come from there.
    utc_offset_h
        Local time less UTC.
    slo_ms
        What its requests tolerate.
    intensity_g_per_kwh
        On average over the window.
    missing
        How many values of its trace are missing.
    by_month_g_per_kwh, by_hour_g_per_kwh
        On average in each month, and in each hour of the day in UTC.
    """

    name: str
    nodes: int
    requests: int
    utc_offset_h: float
    slo_ms: float
    intensity_g_per_kwh: float
    missing: int
    by_month_g_per_kwh: tuple[float, ...]
    by_hour_g_per_kwh: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """What a policy made of all requests.

    Attributes
    ----------
    name
        Of the policy, or ``"oracle"``.
    requests, energy_j, emissions_g
        Joules of the machines; grams with PUE and the embodied share.
    regret_g, regret
        Emissions above the oracle's, in grams and as a share of those.
    latency_median_ms, latency_p99_ms
        From a request to its answer.
    misses
        Requests answered after their SLO.
    waited, waited_mean_ms, waited_longest_ms
        Requests that waited for a slot or for room; the time over all requests, and of the one
        that waited longest. An oracle waits for cleaner hours alone.
    zone_use
        Share of requests by the zone of the node that they ran on.
    nodes_used, busiest_node, busiest_share
        How many nodes ran any request; the one that ran longest, and the share of its slots'
        time that it did, until the last answer.
    by_month_g, by_hour_g
        Emissions by the month, and by the hour of the day in UTC, in which a request came.
    """

    name: str
    requests: int
    energy_j: float
    emissions_g: float
    regret_g: float
    regret: float
    latency_median_ms: float
    latency_p99_ms: float
    misses: int
    waited: int
    waited_mean_ms: float
    waited_longest_ms: float
    zone_use: Mapping[str, float]
    nodes_used: int
    busiest_node: str
    busiest_share: float
    by_month_g: tuple[float, ...]
    by_hour_g: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Worth:
    """What it is worth to run requests in other zones than their own.

    Attributes
    ----------
    extra_ms
        Latency tolerated above that of the fastest node of the own zone.
    at_home_g, anywhere_g
        The oracle's emissions with the nodes of the own zone alone, and with all.
    saving
        By how much the second is less, as a share.
    moved
        Share of requests that run in another zone.
    saving_by_zone
        The same for the requests of each zone.
    """

    extra_ms: float
    at_home_g: float
    anywhere_g: float
    saving: float
    moved: float
    saving_by_zone: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Replay:
    """All of a replay.

    Attributes
    ----------
    start, stop
        The window in which requests came, ISO 8601 in UTC.
    nodes, requests
        How many.
    zones
        In the order of the cluster.
    months
        Those of the window, such as ``"2022-01"``.
    oracle
        The least that was possible.
    policies
        In the order asked for.
    worth
        By tolerated extra latency.
    """

    start: str
    stop: str
    nodes: int
    requests: int
    zones: tuple[ZoneResult, ...]
    months: tuple[str, ...]
    oracle: PolicyResult
    policies: tuple[PolicyResult, ...]
    worth: tuple[Worth, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return {"method": "modelled", **dataclasses.asdict(self)}
