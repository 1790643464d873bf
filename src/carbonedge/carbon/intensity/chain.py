"""Several sources in order, the next where one fails."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from carbonedge._validation import target
from carbonedge.carbon.intensity.comparable import check_comparable
from carbonedge.carbon.intensity.signal import Intensity, Signal, seconds
from carbonedge.carbon.intensity.times import checked_span, stamp
from carbonedge.exceptions import IntensityUnavailableError

__all__ = ["Chain"]

logger = logging.getLogger(__name__)


class Chain:
    """A signal that asks others in turn; the answer says which of them it is from.

    Where all fail, the last answer for a zone serves on, with its age, while it is not older
    than `max_age_s`. The first answer of all decides what sort a chain gives (average or
    marginal, lifecycle or direct): a source of another sort is passed over, and the log says
    so once.

    Parameters
    ----------
    signals
        The preferred first.
    max_age_s
        An answer that has not been valid for longer is passed over; none is when left out.
    mixed
        Let sources of another sort answer too.

    Raises
    ------
    ValueError
        If there is no signal, or the age is not above 0.
    """

    __slots__ = ("_first", "_last", "_max_age_s", "_mixed", "_signals", "_warned")

    def __init__(
        self,
        signals: Iterable[Signal],
        *,
        max_age_s: float | None = None,
        mixed: bool = False,
    ) -> None:
        self._signals = tuple(signals)
        if not self._signals:
            raise ValueError("a chain of no signals: give at least one")
        self._max_age_s = float("inf") if max_age_s is None else target("max_age_s", max_age_s)
        self._mixed = mixed
        self._first: Intensity | None = None
        self._warned = False
        self._last: dict[str, Intensity] = {}

    @property
    def mixed(self) -> bool:
        """Whether it may answer in different sorts."""
        return self._mixed

    @property
    def immediate(self) -> bool:
        return all(signal.immediate for signal in self._signals)

    def at(self, zone: str, when: datetime | float | None = None) -> Intensity:
        asked_s = seconds(when)
        answers, reasons = self._ask(lambda signal: [signal.at(zone, when)])
        last = self._last.get(zone)
        if answers:
            begun = answers[0].valid_from_s <= time.time()
            if begun and (last is None or answers[0].valid_until_s >= last.valid_until_s):
                self._last[zone] = answers[0]
            return answers[0]
        if last is not None and last.valid_from_s <= asked_s:
            age_s = max(0.0, asked_s - last.valid_until_s)
            if age_s <= self._max_age_s:
                return dataclasses.replace(last, age_s=age_s)
        raise _failure(zone, f"at {stamp(asked_s)}", reasons)

    def forecast(
        self, zone: str, start: datetime | float, end: datetime | float
    ) -> Sequence[Intensity]:
        start_s, end_s = checked_span(start, end)
        answers, reasons = self._ask(lambda signal: signal.forecast(zone, start, end))
        if answers:
            return answers
        raise _failure(zone, f"from {stamp(start_s)} to {stamp(end_s)}", reasons)

    def _ask(
        self, ask: Callable[[Signal], Sequence[Intensity]]
    ) -> tuple[Sequence[Intensity], list[str]]:
        """The first answer that will do, all of it from one source, or why there is none."""
        reasons = []
        for signal in self._signals:
            try:
                answers = ask(signal)
                self._check(answers)
            except IntensityUnavailableError as error:
                reasons.append(f"{type(signal).__name__}: {error}")
            else:
                return answers, []
        return [], reasons

    def _check(self, answers: Sequence[Intensity]) -> None:
        oldest = max(answers, key=lambda answer: answer.age_s)
        if oldest.age_s > self._max_age_s:
            raise IntensityUnavailableError(
                f"{oldest.source} is {oldest.age_s:.0f} s old, and max_age_s is {self._max_age_s:g}"
            )
        first = self._first or answers[0]
        try:
            check_comparable([first, *answers], mixed=self._mixed)
        except ValueError as error:
            if not self._warned:
                self._warned = True
                logger.warning("a source of a chain is passed over: %s", error)
            raise IntensityUnavailableError(str(error)) from error
        self._first = first


def _failure(zone: str, when: str, reasons: Sequence[str]) -> IntensityUnavailableError:
    return IntensityUnavailableError(
        f"no source of the chain knows {zone!r} {when}; add one that does, such as a static "
        f"value. {'; '.join(reasons)}"
    )
