"""A signal that remembers what another one answered, in memory and on disk."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from carbonedge._optional import optional
from carbonedge._validation import non_negative
from carbonedge.carbon.intensity.points import (
    HOUR_S,
    is_now,
    moment,
    touching,
    window,
    zone_name,
)
from carbonedge.carbon.intensity.signal import Accounting, Factors, Intensity, Signal
from carbonedge.exceptions import IntensityUnavailableError

__all__ = ["Cache"]

logger = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")

_VERSION = 1
_COOLDOWN_S = 30.0
_MOST = 512
_AHEAD_S = 60.0


@dataclass(frozen=True, slots=True)
class _Kept:
    asked_s: float
    points: tuple[Intensity, ...]


@dataclass(frozen=True, slots=True)
class _Shelf:
    """What the file of a zone holds."""

    version: int
    identity: str
    zone: str
    now: _Kept | None
    forecast: _Kept | None
    past: tuple[_Kept, ...]


@dataclass(slots=True)
class _Zone:
    """What is known of a zone, and the lock of those who ask for more."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    now: _Kept | None = None
    forecast: _Kept | None = None
    past: dict[float, _Kept] = field(default_factory=dict)
    """By when the point begins; the one asked last stands last."""
    failures: dict[tuple[str, float], tuple[float, str]] = field(default_factory=dict)
    """By what was asked: when it failed, on the monotonic clock, and the message."""
    seen: tuple[int, int, int] | None = None
    """The file as it was read or written last."""


class Cache:
    """Remembers a signal's answers, for all threads and processes that share a directory.

    What was answered for now serves while it is valid, and for `fresh_s` after it was asked
    for. Where the source then fails, it goes on to serve, with its age: ``Chain`` limits how
    old it may be. Past values serve for good, forecasts for `fresh_s` and then only where the
    source fails. A failure is remembered for 30 s (`fresh_s` where that is less), so that a
    dead source is not asked on every call. However many threads want a zone, one asks.

    Parameters
    ----------
    signal
        Whose answers to remember. To be kept on disk it needs an ``identity``: a str that tells
        it from others with other settings, and holds no key. The live sources have one.
    directory
        One file a zone is kept there; the user's cache directory when left out, and in memory
        alone for ``False``. A file that cannot be read is written anew; a directory that
        cannot be written to is logged once, and memory goes on.
    fresh_s
        For how long an answer serves though it is valid no more.

    Raises
    ------
    ValueError
        If the signal has no identity and is to be kept on disk.
    IntensityUnavailableError
        If the directory is left out and the extra ``live`` is not installed.
    """

    immediate = False
    identity = ""

    def __init__(
        self,
        signal: Signal,
        *,
        directory: str | os.PathLike[str] | Literal[False] | None = None,
        fresh_s: float = 300.0,
    ) -> None:
        self._signal = signal
        self._fresh_s = non_negative("fresh_s", fresh_s)
        self._cooldown_s = min(_COOLDOWN_S, self._fresh_s)
        self._zones: dict[str, _Zone] = {}
        self._complained = False
        self._directory: Path | None = None
        self.identity = getattr(signal, "identity", "")
        if directory is False:
            return
        if not self.identity:
            raise ValueError(
                f"{signal!r} has no identity, by which files are told apart: give directory=False"
            )
        if directory is None:
            dirs: Any = optional("platformdirs", "live", IntensityUnavailableError)
            directory = Path(dirs.user_cache_dir("carbonedge"), "intensity")
        self._directory = Path(directory)

    def __repr__(self) -> str:
        return f"<Cache of {self.identity}>"

    @property
    def accounting(self) -> Accounting:
        """The signal's."""
        accounting: Accounting = self._signal.accounting  # type: ignore[attr-defined]
        return accounting

    @property
    def factors(self) -> Factors:
        """The signal's."""
        factors: Factors = self._signal.factors  # type: ignore[attr-defined]
        return factors

    def at(self, zone: str, when: datetime | float | None = None) -> Intensity:
        """The intensity of a zone at a time, remembered or asked for."""
        zone, time_s = zone_name(zone), moment(when)
        known = self._zones.get(zone) or self._zones.setdefault(zone, _Zone())
        if is_now(time_s):
            return self._remembered(
                zone,
                known,
                ("now", 0.0),
                lambda failed: self._now(known, time_s, stale=failed),
                lambda: self._ask_now(zone, known),
            )
        return self._remembered(
            zone,
            known,
            ("past", time_s // HOUR_S),
            lambda _: self._past(known, time_s),
            lambda: self._ask_past(zone, known, time_s),
        )

    def forecast(
        self, zone: str, start: datetime | float, end: datetime | float
    ) -> Sequence[Intensity]:
        """Intensities from start to end, remembered or asked for."""
        zone, (start_s, end_s) = zone_name(zone), window(start, end)
        known = self._zones.get(zone) or self._zones.setdefault(zone, _Zone())
        return self._remembered(
            zone,
            known,
            ("forecast", (end_s - start_s) // HOUR_S),
            lambda failed: self._ahead(known, start_s, end_s, stale=failed),
            lambda: self._ask_ahead(zone, known, start_s, end_s),
        )

    def close(self) -> None:
        """Close the signal."""
        close = getattr(self._signal, "close", None)
        if close is not None:
            close()

    def _remembered(
        self,
        zone: str,
        known: _Zone,
        what: tuple[str, float],
        look: Callable[[bool], _Answer | None],
        ask: Callable[[], _Answer],
    ) -> _Answer:
        answer = look(False)
        if answer is not None:
            return answer
        with known.lock:
            # Another thread may have asked while this one waited, or another process.
            self._load(zone, known)
            answer = look(False)
            if answer is not None:
                return answer
            failed_s, message = known.failures.get(what, (-math.inf, ""))
            since_s = time.monotonic() - failed_s
            if since_s < self._cooldown_s:
                answer = look(True)
                if answer is not None:
                    return answer
                raise IntensityUnavailableError(
                    f"{message} (asked {since_s:.0f} s ago, and not again within "
                    f"{self._cooldown_s:g} s)"
                )
            try:
                answer = ask()
            except IntensityUnavailableError as error:
                _remember(known.failures, what, (time.monotonic(), str(error)))
                answer = look(True)
                if answer is None:
                    raise
                logger.warning("an older value serves: %s", error)
                return answer
            self._save(zone, known)
            return answer

    def _now(self, known: _Zone, time_s: float, *, stale: bool) -> Intensity | None:
        if known.now is None:
            return None
        (point,) = known.now.points
        if point.valid_from_s <= time_s < point.valid_until_s:
            return point
        if stale or self._fresh(known.now):
            return replace(point, age_s=max(0.0, time_s - point.valid_until_s))
        return None

    def _past(self, known: _Zone, time_s: float) -> Intensity | None:
        for kept in tuple(known.past.values()):
            (point,) = kept.points
            final = point.kind != "forecast" and kept.asked_s >= point.valid_until_s
            if point.valid_from_s <= time_s < point.valid_until_s and (final or self._fresh(kept)):
                return point
        return None

    def _ahead(
        self, known: _Zone, start_s: float, end_s: float, *, stale: bool
    ) -> Sequence[Intensity] | None:
        kept = known.forecast
        if kept is None or not (stale or self._fresh(kept)):
            return None
        points, gap_s = touching(kept.points, start_s, end_s)
        return points if gap_s is None else None

    def _ask_now(self, zone: str, known: _Zone) -> Intensity:
        point = self._signal.at(zone)
        known.now = _Kept(time.time(), (replace(point, age_s=0.0),))
        return point

    def _ask_past(self, zone: str, known: _Zone, time_s: float) -> Intensity:
        point = self._signal.at(zone, time_s)
        _remember(known.past, point.valid_from_s, _Kept(time.time(), (point,)))
        return point

    def _ask_ahead(
        self, zone: str, known: _Zone, start_s: float, end_s: float
    ) -> Sequence[Intensity]:
        points = tuple(self._signal.forecast(zone, start_s, end_s))
        known.forecast = _Kept(time.time(), points)
        return points

    def _fresh(self, kept: _Kept) -> bool:
        # One from the future was asked for before the clock was set back.
        return -_AHEAD_S <= time.time() - kept.asked_s < self._fresh_s

    def _file(self, zone: str) -> Path | None:
        if self._directory is None:
            return None
        name = hashlib.sha256(f"{self.identity}\n{zone}".encode()).hexdigest()
        return self._directory / f"{name[:32]}.json"

    def _load(self, zone: str, known: _Zone) -> None:
        """Take from the file what is newer there; one that is not ours is passed over."""
        path = self._file(zone)
        if path is None:
            return
        try:
            seen = _stamp(path.stat())
            if seen == known.seen:
                return
            shelf = _shelf(path.read_bytes())
        except OSError:
            return  # Not there yet, or not to be read: saving says so.
        known.seen = seen
        if shelf is None or (shelf.version, shelf.identity, shelf.zone) != (
            _VERSION,
            self.identity,
            zone,
        ):
            return
        if any(p.zone != zone for kept in _all_of(shelf) for p in kept.points):
            return
        known.now = _newer(known.now, shelf.now)
        known.forecast = _newer(known.forecast, shelf.forecast)
        for kept in shelf.past:
            start_s = kept.points[0].valid_from_s
            newest = _newer(known.past.get(start_s), kept)
            if newest is kept:
                _remember(known.past, start_s, kept)

    def _save(self, zone: str, known: _Zone) -> None:
        import msgspec

        path = self._file(zone)
        if path is None:
            return
        shelf = _Shelf(
            _VERSION,
            self.identity,
            zone,
            _finite(known.now),
            _finite(known.forecast),
            tuple(kept for kept in known.past.values() if _finite(kept)),
        )
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            known.seen = _replace(path, msgspec.json.encode(shelf))
        except OSError as error:
            if not self._complained:
                self._complained = True
                logger.warning(
                    "intensities are kept in memory alone, for %s cannot be written to (%s)",
                    self._directory,
                    error,
                )


def _remember(among: dict[Any, Any], key: Any, value: Any) -> None:
    """Put it last, and let the first go where there are too many."""
    among.pop(key, None)
    among[key] = value
    while len(among) > _MOST:
        del among[next(iter(among))]


def _shelf(text: bytes) -> _Shelf | None:
    import msgspec

    try:
        shelf = msgspec.json.decode(text, type=_Shelf)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    one_each = all(len(kept.points) == 1 for kept in (*shelf.past, shelf.now) if kept)
    sound = all(
        0 <= point.g_per_kwh < math.inf and point.valid_from_s < point.valid_until_s
        for kept in _all_of(shelf)
        for point in kept.points
    )
    return shelf if one_each and sound else None


def _all_of(shelf: _Shelf) -> list[_Kept]:
    return [kept for kept in (shelf.now, shelf.forecast, *shelf.past) if kept is not None]


def _newer(ours: _Kept | None, theirs: _Kept | None) -> _Kept | None:
    if theirs is None or theirs.asked_s > time.time() + _AHEAD_S:
        return ours
    return theirs if ours is None or theirs.asked_s > ours.asked_s else ours


def _finite(kept: _Kept | None) -> _Kept | None:
    """What JSON can hold: it knows no infinity."""
    if kept is None or any(
        math.isinf(point.valid_from_s) or math.isinf(point.valid_until_s) for point in kept.points
    ):
        return None
    return kept


def _stamp(stat: os.stat_result) -> tuple[int, int, int]:
    """What tells one state of a file from another."""
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def _replace(path: Path, text: bytes) -> tuple[int, int, int]:
    """Write a file so that whoever reads it finds the old one or the new one whole."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            written = _stamp(os.fstat(file.fileno()))
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
    return written
