"""What CodeCarbon measures or models of the whole machine."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

from carbonedge._optional import optional
from carbonedge._validation import positive
from carbonedge.carbon.energy.background import Repeated
from carbonedge.carbon.energy.meter import Component, Counter, MeterMethod
from carbonedge.exceptions import MeterUnavailableError
from carbonedge.units import J_PER_KWH

__all__ = ["CodeCarbonMeter"]

ENERGIES: dict[Component, str] = {
    "cpu": "cpu_energy",
    "gpu": "gpu_energy",
    "memory": "ram_energy",
}
"""As CodeCarbon calls them; all in kWh."""

SENSORS = (
    *("CPU(Intel Rapl", "CPU(Intel Power Gadget", "CPU(Windows Emi"),
    *("AppleSiliconChip", "GPU", "Raspberry"),
)
"""How its descriptions begin of what it reads from a sensor."""


class CodeCarbonMeter:
    """The host as CodeCarbon sees it in machine mode: the paper's own integration.

    It runs offline: nothing is written or sent, and intensity is left to signals. CodeCarbon
    measures at each read and in between by one daemon thread, but never within 50 ms of the
    last time, so a shorter window may be empty. The first tracker of a process probes the
    hardware for a second or two. Its log is kept from the application's, errors excepted.

    Parameters
    ----------
    measure_every_s
        Time between its measurements when nobody reads.

    Raises
    ------
    MeterUnavailableError
        If CodeCarbon is not installed or cannot measure.
    """

    name = "codecarbon"

    def __init__(self, *, measure_every_s: float = 1.0) -> None:
        every_s = positive("measure_every_s", measure_every_s)
        self._lock = threading.Lock()
        self._open = True
        self._totals = _Totals()
        self._quiet = _Quiet()
        log = logging.getLogger("codecarbon")
        with contextlib.ExitStack() as opened:
            log.addFilter(self._quiet)
            opened.callback(log.removeFilter, self._quiet)
            with _kept(log):
                self._tracker = _tracker(self._totals)
                opened.callback(self._tracker.stop)
                self._tracker.start()
                self._measure()
            # CodeCarbon tells how it measures nowhere but in its list of hardware.
            described = [part.description() for part in self._tracker._hardware]
            self._sensors = {part: part.startswith(SENSORS) for part in described}
            gpus = self._tracker.get_detected_hardware()["gpu_count"]
            self._counters = tuple(
                Counter(part, part) for part in ENERGIES if part != "gpu" or gpus
            )
            self._start_kwh = self._kwh()
            measuring = Repeated(self.read_j, every_s, "carbonedge-codecarbon")
            opened.callback(measuring.stop)
            self._opened = opened.pop_all()

    @property
    def method(self) -> MeterMethod:
        """Measured where all it covers has a sensor, which on most machines memory lacks."""
        return "measured" if all(self._sensors.values()) else "modelled"

    @property
    def detail(self) -> str:
        """How each part is obtained, such as ``"CPU(Intel Rapl) measured, RAM() modelled"``."""
        return ", ".join(
            f"{part} {'measured' if sensor else 'modelled'}"
            for part, sensor in self._sensors.items()
        )

    @property
    def counters(self) -> tuple[Counter, ...]:
        return self._counters

    def read_j(self) -> tuple[float, ...]:
        with self._lock:
            if not self._open:
                raise MeterUnavailableError("the codecarbon meter is closed: open another")
            self._measure()
            return tuple(
                (now_kwh - start_kwh) * J_PER_KWH
                for now_kwh, start_kwh in zip(self._kwh(), self._start_kwh, strict=True)
            )

    def _measure(self) -> None:
        self._totals.latest = None
        # The one public way to have it measure now; what it finds is handed to its outputs.
        self._tracker.flush()
        if self._totals.latest is None:
            raise MeterUnavailableError(
                f"CodeCarbon cannot measure ({self._quiet.why()}): see "
                "whether its own tracker works here, and for settings in .codecarbon.config"
            )
        self._quiet.forget()

    def _kwh(self) -> tuple[float, ...]:
        return tuple(
            getattr(self._totals.latest, ENERGIES[counter.component]) for counter in self._counters
        )

    def close(self) -> None:
        with self._lock:
            self._open = False
        self._opened.close()


def _tracker(totals: _Totals) -> Any:
    """A tracker that writes, sends and looks up nothing, whatever CodeCarbon is configured to."""
    codecarbon = optional("codecarbon", "codecarbon", MeterUnavailableError)
    return codecarbon.OfflineEmissionsTracker(
        tracking_mode="machine",
        # It does not guard its sums against two that measure at once: its own timer stays out.
        measure_power_secs=threading.TIMEOUT_MAX,
        output_methods=[],
        output_handlers=[totals],
        output_dir=tempfile.gettempdir(),
        api_call_interval=-1,
        emissions_endpoint="",
        electricitymaps_api_token="",
        force_carbon_intensity_g_co2e_kwh=0.0,
        country_iso_code=None,
        region=None,
        cloud_provider=None,
        cloud_region=None,
        pue=1.0,
        allow_multiple_runs=True,
        log_level="warning",
    )


class _Totals:
    """An output of CodeCarbon that keeps the latest totals."""

    def __init__(self) -> None:
        self.latest: Any = None

    def out(self, total: Any, _delta: Any) -> None:
        self.latest = total

    def exit(self) -> None:
        """Part of what CodeCarbon calls; there is nothing to end."""


class _Quiet(logging.Filter):
    """Lets errors alone through, and remembers what CodeCarbon caught and logged first."""

    def __init__(self) -> None:
        super().__init__()
        self._caught: BaseException | None = None

    def forget(self) -> None:
        self._caught = None

    def why(self) -> str:
        return str(self._caught or "it does not say why")

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and self._caught is None:
            self._caught = record.exc_info[1]
        return record.levelno >= logging.ERROR


@contextlib.contextmanager
def _kept(log: logging.Logger) -> Iterator[None]:
    """A log that CodeCarbon sets up for itself is given back as the application had it."""
    level, handlers, propagate = log.level, log.handlers[:], log.propagate
    try:
        yield
    finally:
        log.setLevel(level)
        log.handlers[:] = handlers
        log.propagate = propagate
