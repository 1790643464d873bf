"""Metering what runs: nothing that is run fails because a meter does."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from carbonedge.carbon.energy import Attribution, Portion
from carbonedge.exceptions import MeterUnavailableError

__all__ = ["Gauge", "new_threads"]

logger = logging.getLogger(__name__)

TASKS = Path("/proc/self/task")


class Gauge:
    """Takes what one stage draws, each time that it runs.

    Parameters
    ----------
    attribution
        Of the meter; `None` where none counts.
    threads
        Native ids of those that work for the stage.
    quota
        See `Attribution.begin`.
    """

    __slots__ = ("_attribution", "_failing", "_quota", "_threads")

    def __init__(
        self, attribution: Attribution | None, threads: Sequence[int], quota: float
    ) -> None:
        self._attribution = attribution
        self._threads = threads
        self._quota = quota
        self._failing = False

    @contextlib.contextmanager
    def measuring(self, portions: list[Portion | None]) -> Iterator[None]:
        """Append what is drawn within; `None` where it cannot be told, said once in the log."""
        work = None
        if self._attribution is None:
            portions.append(None)
            yield
            return
        try:
            work = self._attribution.begin(threads=self._threads, quota=self._quota)
        except MeterUnavailableError as error:
            self._note(error)
        portion = None
        try:
            yield
        finally:
            if work is not None:
                try:
                    portion = self._attribution.end(work)
                    self._failing = False
                except MeterUnavailableError as error:
                    self._note(error)
            portions.append(portion)

    def _note(self, error: MeterUnavailableError) -> None:
        if not self._failing:
            logger.warning("counting node power x time instead: %s", error)
        self._failing = True


@contextlib.contextmanager
def new_threads() -> Iterator[list[int]]:
    """Native ids of the threads of this process that begin within, known at the end.

    ONNX Runtime tells nobody which threads are a session's; they begin as it opens.
    """
    found: list[int] = []
    before = _threads()
    yield found
    found.extend(sorted(_threads() - before))


def _threads() -> set[int]:
    return {int(task.name) for task in TASKS.iterdir()} if TASKS.is_dir() else set()
