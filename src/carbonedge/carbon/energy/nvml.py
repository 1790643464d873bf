"""NVIDIA GPUs, as their driver measures them."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, Protocol

from carbonedge._optional import optional
from carbonedge._validation import count, positive
from carbonedge.carbon.energy.background import Repeated
from carbonedge.carbon.energy.meter import Counter, MeterMethod
from carbonedge.exceptions import MeterUnavailableError

__all__ = ["NvmlMeter"]

logger = logging.getLogger(__name__)

MILLIJOULES_PER_J = 1e3
MILLIWATTS_PER_W = 1e3

REMEDIES: Mapping[str, str] = {
    "NVML_ERROR_LIBRARY_NOT_FOUND": "install the NVIDIA driver, or give the container "
    "libnvidia-ml.so.1 of its host (NVIDIA Container Toolkit)",
    "NVML_ERROR_DRIVER_NOT_LOADED": "load the NVIDIA driver (nvidia-smi tells whether it is)",
    "NVML_ERROR_LIB_RM_VERSION_MISMATCH": "reboot, or reload the NVIDIA driver: it was updated "
    "under way",
    "NVML_ERROR_NO_PERMISSION": "let this user open /dev/nvidiactl and /dev/nvidia0...",
    "NVML_ERROR_GPU_IS_LOST": "reset the GPU or reboot (dmesg has its Xid error), then open the "
    "meter again",
    "NVML_ERROR_RESET_REQUIRED": "reset the GPU (nvidia-smi --gpu-reset), then open the meter again",
    "NVML_ERROR_UNINITIALIZED": "open the meter again: the driver was unloaded",
}
"""What helps, by NVML's name of the error."""


class NvmlMeter:
    """Energy of NVIDIA GPUs, a counter for each: everything on the board.

    A GPU that counts its own energy (Volta and later) is asked for that; the driver renews the
    number 10 to 50 times a second. The power of any other GPU is integrated by the trapezoid
    rule, at each read and in between by one daemon thread.

    Parameters
    ----------
    devices
        Which GPUs, as ``nvidia-smi`` numbers them; all when left out.
    sample_every_s
        Time between the samples of GPUs that tell only their power.

    Raises
    ------
    MeterUnavailableError
        If NVML or a GPU does not answer, or a GPU tells neither energy nor power.
    """

    name = "nvml"
    method: MeterMethod = "measured"

    def __init__(
        self, *, devices: Sequence[int] | None = None, sample_every_s: float = 0.1
    ) -> None:
        wanted = None if devices is None else _checked(devices)
        every_s = positive("sample_every_s", sample_every_s)
        nvml = optional("pynvml", "nvml", MeterUnavailableError)
        self._nvml = nvml
        self._lock = threading.Lock()
        self._open = True
        with contextlib.ExitStack() as opened:
            with _explained(nvml, "NVML cannot be used"):
                nvml.nvmlInit()
            opened.callback(_shut_down, nvml)
            self._gpus = {index: _gpu(nvml, index) for index in _indices(nvml, wanted)}
            self._counters = tuple(Counter(f"gpu-{index}", "gpu") for index in self._gpus)
            if any(isinstance(gpu, _Integrated) for gpu in self._gpus.values()):
                sampling = Repeated(self.read_j, every_s, "carbonedge-nvml")
                opened.callback(sampling.stop)
            self._opened = opened.pop_all()

    @property
    def counters(self) -> tuple[Counter, ...]:
        return self._counters

    def read_j(self) -> tuple[float, ...]:
        with self._lock:
            if not self._open:
                raise MeterUnavailableError("the nvml meter is closed: open another")
            return tuple(self._read_j(index, gpu) for index, gpu in self._gpus.items())

    def _read_j(self, index: int, gpu: _Gpu) -> float:
        with _explained(self._nvml, f"GPU {index} cannot be read"):
            return gpu.read_j()

    def close(self) -> None:
        with self._lock:
            self._open = False
        self._opened.close()


class _Gpu(Protocol):
    def read_j(self) -> float:
        """Joules since it was made."""


class _Counted:
    """A GPU that counts its energy itself."""

    def __init__(self, nvml: ModuleType, handle: Any) -> None:
        self._ask = nvml.nvmlDeviceGetTotalEnergyConsumption
        self._handle = handle
        self._last_mj = self._ask(handle)
        self._total_mj = 0

    def read_j(self) -> float:
        now_mj = self._ask(self._handle)
        # The count starts anew with the driver: what it had not told by then is lost.
        self._total_mj += max(0, now_mj - self._last_mj)
        self._last_mj = now_mj
        return self._total_mj / MILLIJOULES_PER_J


class _Integrated:
    """A GPU that tells its power alone."""

    def __init__(self, nvml: ModuleType, handle: Any) -> None:
        self._ask = nvml.nvmlDeviceGetPowerUsage
        self._handle = handle
        self._power_w = self._ask(handle) / MILLIWATTS_PER_W
        self._time_s = time.monotonic()
        self._total_j = 0.0

    def read_j(self) -> float:
        power_w = self._ask(self._handle) / MILLIWATTS_PER_W
        time_s = time.monotonic()
        self._total_j += (self._power_w + power_w) / 2 * (time_s - self._time_s)
        self._power_w, self._time_s = power_w, time_s
        return self._total_j


def _checked(devices: Sequence[int]) -> tuple[int, ...]:
    wanted = tuple(count("a GPU in devices", index) for index in devices)
    if not wanted or len(set(wanted)) < len(wanted):
        raise ValueError(f"devices is {list(wanted)}: name at least one GPU, each once")
    return wanted


def _indices(nvml: ModuleType, wanted: tuple[int, ...] | None) -> Sequence[int]:
    with _explained(nvml, "GPUs cannot be counted"):
        there = nvml.nvmlDeviceGetCount()
    if there == 0:
        raise MeterUnavailableError(
            "the NVIDIA driver sees no GPU: let the container or the virtual machine have one"
        )
    for index in wanted or ():
        if index >= there:
            raise MeterUnavailableError(
                f"there is no GPU {index}: the NVIDIA driver sees {there}, numbered from 0"
            )
    return range(there) if wanted is None else wanted


def _gpu(nvml: ModuleType, index: int) -> _Gpu:
    """By its energy counter where it has one, else by its power."""
    lacking = (nvml.NVML_ERROR_NOT_SUPPORTED, nvml.NVML_ERROR_FUNCTION_NOT_FOUND)
    with _explained(nvml, f"GPU {index} cannot be read"):
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        for kind in (_Counted, _Integrated):
            try:
                return kind(nvml, handle)
            except nvml.NVMLError as error:
                if error.value not in lacking:
                    raise
    raise MeterUnavailableError(
        f"GPU {index} tells neither its energy nor its power, as parts of a GPU (MIG, vGPU) do "
        "not: run the meter on the host, or leave this GPU out of devices"
    )


@contextlib.contextmanager
def _explained(nvml: ModuleType, what: str) -> Iterator[None]:
    """Errors of NVML become the package's own, with what helps."""
    try:
        yield
    except nvml.NVMLError as error:
        remedies = {getattr(nvml, name): remedy for name, remedy in REMEDIES.items()}
        remedy = remedies.get(error.value, "see whether nvidia-smi works")
        raise MeterUnavailableError(f"{what} ({error}): {remedy}") from error


def _shut_down(nvml: ModuleType) -> None:
    try:
        nvml.nvmlShutdown()
    except nvml.NVMLError as error:
        # There is nothing left to let go.
        logger.debug("NVML did not shut down: %s", error)
