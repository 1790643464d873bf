"""A call made again and again beside the program."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from carbonedge.exceptions import MeterUnavailableError

__all__ = ["Repeated"]

logger = logging.getLogger(__name__)


class Repeated:
    """Calls something every so many seconds, in one daemon thread, until it is stopped."""

    def __init__(self, call: Callable[[], object], every_s: float, name: str) -> None:
        self._call = call
        self._every_s = every_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it; a call that is being made is waited for."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._every_s):
            try:
                self._call()
            except MeterUnavailableError as error:
                # Whoever reads the meter next meets the same, and is told.
                logger.debug("%s: %s", self._thread.name, error)
