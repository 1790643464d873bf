"""Which meters this machine has."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

from carbonedge.carbon.energy.choice import METERS, maker, open_meter
from carbonedge.carbon.energy.meter import Meter, MeterMethod
from carbonedge.carbon.settings import needed_settings
from carbonedge.exceptions import MeterUnavailableError

__all__ = ["MeterStatus", "survey"]

LONGEST_OPENING_S = 10.0
READS = 7
PAUSE_S = 0.06
"""Between reads: CodeCarbon measures no more often than every 50 ms."""


@dataclass(frozen=True, slots=True)
class MeterStatus:
    """Whether a meter is there, and what it gives.

    Parameters
    ----------
    name
        As `open_meter` takes it.
    available
        Whether it can be opened and read without any setting.
    reason
        Why not, and what helps; empty where it is available.
    method
        How its joules come about; ``None`` where it is not available.
    read_us
        Median time of a read after a pause, in microseconds; ``None`` where it is not available.
    covers
        The names of its counters by component.
    """

    name: str
    available: bool
    reason: str = ""
    method: MeterMethod | None = None
    read_us: float | None = None
    covers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def survey() -> list[MeterStatus]:
    """Open and read every meter once; it takes a few seconds, most of them CodeCarbon's probe."""
    return [_status(kind) for kind in METERS]


def _status(kind: str) -> MeterStatus:
    needed = needed_settings(maker(kind))
    if needed:
        return MeterStatus(
            kind,
            False,
            f"it needs the setting {', '.join(map(repr, needed))}: give it in [meter] of a "
            f"cluster file, or a path as --meter {kind}:FILE",
        )
    try:
        meter = _opened_in_time(kind)
        try:
            read_us = _read_us(meter)
        finally:
            meter.close()
    except MeterUnavailableError as error:
        return MeterStatus(kind, False, str(error))
    covers: dict[str, tuple[str, ...]] = {}
    for counter in meter.counters:
        covers[counter.component] = (*covers.get(counter.component, ()), counter.name)
    return MeterStatus(kind, True, "", meter.method, read_us, covers)


def _opened_in_time(kind: str) -> Meter:
    """A meter that opens for too long is given up, and closed if it ever opens."""
    opening: Future[Meter] = Future()
    threading.Thread(target=_open, args=(kind, opening), daemon=True).start()
    try:
        return opening.result(LONGEST_OPENING_S)
    except TimeoutError:
        opening.add_done_callback(_close_late)
        raise MeterUnavailableError(
            f"it did not open within {LONGEST_OPENING_S:g} s: open it by itself to see whether it "
            "ever does"
        ) from None


def _open(kind: str, opening: Future[Meter]) -> None:
    try:
        opening.set_result(open_meter(kind))
    except BaseException as error:  # noqa: BLE001 - whoever waits raises it
        opening.set_exception(error)


def _close_late(opening: Future[Meter]) -> None:
    if opening.exception() is None:
        opening.result().close()


def _read_us(meter: Meter) -> float:
    times_s = []
    for _ in range(READS):
        time.sleep(PAUSE_S)
        start_s = time.perf_counter()
        meter.read_j()
        times_s.append(time.perf_counter() - start_s)
    return 1e6 * sorted(times_s)[READS // 2]
