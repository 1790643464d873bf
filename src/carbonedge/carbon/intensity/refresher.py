"""Intensities fetched in the background, so that no request waits for the network."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import math
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Protocol, Self

from carbonedge._validation import non_negative, positive, target
from carbonedge.carbon.intensity.comparable import check_comparable
from carbonedge.carbon.intensity.signal import Intensity, Signal, seconds
from carbonedge.carbon.intensity.times import checked_span, stamp
from carbonedge.cluster import Node
from carbonedge.exceptions import IntensityUnavailableError

__all__ = ["Refresher", "Updatable"]

logger = logging.getLogger(__name__)

JITTER = 0.1
"""Share by which each wait is longer or shorter, so that processes do not ask all at once."""

AGED_ANSWER_S = 1.0
"""How long the answer that a value is too old is given again: making one takes longer than
reading one.
"""

CLOSING_S = 1.0
"""How long `close` waits for a source that may hang; its thread ends with the process."""

Callback = Callable[[str, Intensity], None]


class Updatable(Protocol):
    """What takes new numbers of a node: a `Scheduler` or a session."""

    def update(self, name: str, **state: float) -> None:
        """Set numbers of a node that have changed."""


class _Held:
    """The last value of a zone. A newer one gets an object of its own, so that who reads the
    older one at that moment leaves no trace in it.
    """

    __slots__ = ("from_s", "ready", "value")

    def __init__(self, value: Intensity) -> None:
        self.value = value
        self.from_s = min(value.valid_from_s, time.time())
        """The newest value holds from when it came, though its provider's clock runs ahead."""
        self.ready = value, value.valid_until_s
        """What is answered now, and until when."""


class Refresher:
    """A signal that asks another in a thread of its own and answers from memory.

    It gives the last value that it fetched, with its age, however the source fares. Failures
    are counted and logged. Safe to use from several threads.

    Parameters
    ----------
    signal
        Where values are from.
    zones
        Which to fetch.
    every_s
        From one round to the next, give or take a tenth.
    horizon_s
        How far into the future forecasts are fetched too; not at all when 0.
    max_age_s
        A value that has not been valid for longer is not given; any is when left out.
    mixed
        Let zones have intensities of different sorts; as the signal has it when left out.

    Raises
    ------
    ValueError
        If there is no zone, or a number is out of its range.
    """

    def __init__(
        self,
        signal: Signal,
        zones: Iterable[str],
        *,
        every_s: float = 300.0,
        horizon_s: float = 0.0,
        max_age_s: float | None = None,
        mixed: bool | None = None,
    ) -> None:
        self._signal = signal
        self._zones = tuple(dict.fromkeys(zones))
        if not self._zones:
            raise ValueError("no zones to refresh: give at least one")
        self._every_s = positive("every_s", every_s)
        self._horizon_s = non_negative("horizon_s", horizon_s)
        self._max_age_s = math.inf if max_age_s is None else target("max_age_s", max_age_s)
        self._mixed = getattr(signal, "mixed", False) if mixed is None else mixed
        self._held: dict[str, _Held] = {}
        self._forecasts: dict[str, Sequence[Intensity]] = {}
        self._reasons: dict[str, str] = {}
        self._callbacks: list[Callback] = []
        self._failures = 0
        # Held while values are stored and told of, never while a source is asked.
        self._telling = threading.RLock()
        self._closing: threading.Event | None = None
        self._thread: threading.Thread | None = None

    @property
    def immediate(self) -> bool:
        return True

    @property
    def mixed(self) -> bool:
        """Whether zones may have intensities of different sorts."""
        return self._mixed

    @property
    def zones(self) -> tuple[str, ...]:
        """Those it fetches."""
        return self._zones

    @property
    def failures(self) -> int:
        """How often a zone could not be fetched."""
        return self._failures

    def at(self, zone: str, when: datetime | float | None = None) -> Intensity:
        held = self._held.get(zone)
        if when is None and held is not None:
            answer, until_s = held.ready
            if time.time() < until_s:
                return answer
        return self._look_up(zone, held, when)

    def forecast(
        self, zone: str, start: datetime | float, end: datetime | float
    ) -> Sequence[Intensity]:
        start_s, end_s = checked_span(start, end)
        if self._signal.immediate:
            return self._signal.forecast(zone, start_s, end_s)
        values = [
            value
            for value in self._forecasts.get(zone, ())
            if value.valid_from_s < end_s and start_s < value.valid_until_s
        ]
        if values and values[0].valid_from_s <= start_s and end_s <= values[-1].valid_until_s:
            return values
        raise IntensityUnavailableError(
            f"no forecast of {zone!r} from {stamp(start_s)} to {stamp(end_s)} was fetched: start "
            f"the refresher, with that in its horizon_s, which is {self._horizon_s:g}"
            + self._last_reason(zone)
        )

    def refresh_now(self) -> None:
        """Fetch every zone here and now; this waits for the source, and failures count."""
        self._refresh(threading.Event())

    def subscribe(self, callback: Callback) -> Callable[[], None]:
        """Have a function called with zone and value each time that a zone has a new one.

        It is called by the thread that fetches, and had better be quick; what it raises is
        logged. Call what this returns to end it.
        """
        with self._telling:
            self._callbacks.append(callback)
        return functools.partial(self._unsubscribe, callback)

    def push_to(self, target: Updatable, nodes: Iterable[Node]) -> Callable[[], None]:
        """Keep the intensities of nodes up to date, from what is known already on.

        Parameters
        ----------
        target
            A `Scheduler` or a session.
        nodes
            Those it has; one without a zone keeps its intensity.

        Returns
        -------
        callable
            Ends it.

        Raises
        ------
        ValueError
            If a node's zone is not among those fetched, or the target refuses what is known
            already; what it refuses later is logged.
        """
        names: dict[str, list[str]] = {}
        for node in nodes:
            if node.zone is not None:
                names.setdefault(node.zone, []).append(node.name)
        for zone in names:
            if zone not in self._zones:
                raise ValueError(
                    f"zone {zone!r} of node {names[zone][0]!r} is not refreshed: the refresher has "
                    f"{', '.join(self._zones)}"
                )

        def push(zone: str, intensity: Intensity) -> None:
            for name in names.get(zone, ()):
                with _logged(zone):
                    target.update(name, intensity_g_per_kwh=intensity.g_per_kwh)

        with self._telling:
            for zone, held in self._held.items():
                for name in names.get(zone, ()):
                    target.update(name, intensity_g_per_kwh=held.value.g_per_kwh)
            return self.subscribe(push)

    def start(self) -> Self:
        """Begin to fetch, at once and then every so often."""
        if self._thread is None:
            self._closing = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(self._closing,), name="carbonedge-refresher", daemon=True
            )
            self._thread.start()
        return self

    def close(self) -> None:
        """Stop to fetch; what is known stays."""
        thread, self._thread = self._thread, None
        if thread is not None and self._closing is not None:
            self._closing.set()
            if thread is not threading.current_thread():
                thread.join(CLOSING_S)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _look_up(self, zone: str, held: _Held | None, when: datetime | float | None) -> Intensity:
        time_s = seconds(when)
        if when is not None and self._signal.immediate:
            return self._signal.at(zone, time_s)
        covered = held is not None and held.from_s <= time_s < held.value.valid_until_s
        if when is not None and not covered:
            for value in self._forecasts.get(zone, ()):
                if value.valid_from_s <= time_s < value.valid_until_s:
                    return value
        if held is None or (when is not None and time_s < held.from_s):
            raise IntensityUnavailableError(self._about_missing(zone, time_s))
        value = held.value
        age_s = max(0.0, time_s - value.valid_until_s)
        if age_s > self._max_age_s:
            raise IntensityUnavailableError(
                f"the last intensity of {zone!r}, from {value.source}, is {age_s:.0f} s old, and "
                f"max_age_s is {self._max_age_s:g}{self._last_reason(zone)}"
            )
        answer = dataclasses.replace(value, age_s=age_s) if age_s else value
        if when is None and age_s:
            held.ready = answer, min(time_s + AGED_ANSWER_S, value.valid_until_s + self._max_age_s)
        return answer

    def _about_missing(self, zone: str, time_s: float) -> str:
        if zone not in self._zones:
            return (
                f"zone {zone!r} is not refreshed: the refresher has {', '.join(self._zones)}; "
                "name it as one of its zones"
            )
        return (
            f"the intensity of {zone!r} at {stamp(time_s)} was not fetched: start the refresher, "
            f"or call refresh_now(){self._last_reason(zone)}"
        )

    def _last_reason(self, zone: str) -> str:
        reason = self._reasons.get(zone)
        return "" if reason is None else f" (the last try: {reason})"

    def _run(self, closing: threading.Event) -> None:
        wait_s = 0.0
        while not closing.wait(wait_s):
            self._refresh(closing)
            wait_s = self._every_s * random.uniform(1 - JITTER, 1 + JITTER)

    def _refresh(self, closing: threading.Event) -> None:
        for zone in self._zones:
            with self._counting_failures(zone):
                answer = self._signal.at(zone)
                if not closing.is_set():
                    self._take(zone, answer)
            if self._horizon_s and not closing.is_set():
                with self._counting_failures(zone):
                    now_s = time.time()
                    values = self._signal.forecast(zone, now_s, now_s + self._horizon_s)
                    self._forecasts[zone] = values
            if closing.is_set():
                return

    @contextlib.contextmanager
    def _counting_failures(self, zone: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - nothing that a source raises ends the thread
            # What others raise may quote an address with a key in it.
            known = isinstance(error, IntensityUnavailableError)
            reason = str(error) if known else type(error).__name__
            self._reasons[zone] = reason
            with self._telling:
                self._failures += 1
            logger.warning("the intensity of %s was not refreshed: %s", zone, reason)

    def _take(self, zone: str, answer: Intensity) -> None:
        value = dataclasses.replace(answer, age_s=0.0) if answer.age_s else answer
        with self._telling:
            others = [held.value for other, held in self._held.items() if other != zone]
            try:
                check_comparable([*others, value], mixed=self._mixed)
            except ValueError as error:
                raise IntensityUnavailableError(str(error)) from error
            self._reasons.pop(zone, None)
            before = self._held.get(zone)
            if before is not None and before.value == value:
                return
            self._held[zone] = _Held(value)
            for callback in tuple(self._callbacks):
                with _logged(zone):
                    callback(zone, value)

    def _unsubscribe(self, callback: Callback) -> None:
        with self._telling:
            if callback in self._callbacks:
                self._callbacks.remove(callback)


@contextlib.contextmanager
def _logged(zone: str) -> Iterator[None]:
    """Lets nothing that a listener raises stop the others or the thread."""
    try:
        yield
    except Exception:
        logger.exception("a listener to the intensity of %s failed", zone)
