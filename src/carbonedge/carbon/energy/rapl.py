"""RAPL: what the processor itself counts, by Linux powercap."""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path
from typing import Literal, get_args

from carbonedge._backend import backend
from carbonedge._validation import non_negative
from carbonedge.carbon.energy.meter import Counter, MeterMethod
from carbonedge.carbon.energy.powercap import UJ_PER_J, Zone, distinct, find_zones
from carbonedge.exceptions import MeterUnavailableError

__all__ = ["POWERCAP", "Psys", "RaplMeter"]

POWERCAP = "/sys/class/powercap"
Psys = Literal["never", "only", "prefer"]

UNREADABLE = """\
{path} cannot be read: {reason}. Since 2020 only root may, for it tells of secrets (CVE-2020-8694). \
To let a group, such as "power", read it from each boot on, put into /etc/udev/rules.d/70-rapl.rules:
SUBSYSTEM=="powercap", ACTION=="add", KERNEL=="intel-rapl*:*", \
RUN+="/bin/chgrp power /sys%p/energy_uj", RUN+="/bin/chmod g+r /sys%p/energy_uj"
and run: sudo groupadd -f power && sudo usermod -aG power $USER && \
sudo udevadm control --reload && \
sudo udevadm trigger --subsystem-match=powercap --action=add; then log in anew. \
Until the next boot only: sudo chmod a+r {root}/intel-rapl*:*/energy_uj"""

ABSENT = (
    "{root} holds no RAPL zones: virtual machines, most containers and processors other than x86 "
    "have none. ModelMeter, or readings of a plug replayed, serve there; on a bare x86 machine "
    "try: sudo modprobe intel_rapl_msr"
)

logger = logging.getLogger(__name__)


class RaplMeter:
    """The processor's own energy counters (Intel since 2011, AMD since Zen).

    One counter a package, each of the dies of a package where they count apart, and one for the
    memory of each package. Cores and graphics (``core``, ``uncore``) lie inside their package,
    and are left out; a package that shows twice, by model-specific registers and by mapped memory
    (``intel-rapl-mmio``), is counted by the former, since the latter is there for package 0 only.
    Dies that show one and the same counter, as on AMD's Zen 1 and 2, are counted once.

    The files are opened once, and read by the core: no helper process, no thread.

    Parameters
    ----------
    root
        Where powercap is.
    dram
        Whether memory is counted, where its zones are; it is no part of a package.
    psys
        ``"never"``: packages. ``"only"``: the platform counter, of component ``machine``, which
        holds packages, memory and whatever else the maker wired to it, and so is never added to
        them. ``"prefer"``: that where it is there, else packages.
    idle_power_w
        What the counters but memory's draw together when nothing runs, in W: measure it once, as
        the hardware does not tell. Split over them evenly.

    Raises
    ------
    MeterUnavailableError
        If there are no such counters, or this user may not read them; the message says what helps.

    Notes
    -----
    Counters wrap, every quarter of an hour at 290 W where they count 61 uJ in 32 bits. One that is
    not read for as long as it may take to wrap is warned of, once. On some machines a suspend to
    memory sets them to 0, which looks like a wrap.
    """

    name = "rapl"
    method: MeterMethod = "measured"

    def __init__(
        self,
        root: str | Path = POWERCAP,
        *,
        dram: bool = True,
        psys: Psys = "never",
        idle_power_w: float = 0.0,
    ) -> None:
        idle_power_w = non_negative("idle_power_w", idle_power_w)
        if psys not in get_args(Psys):
            raise ValueError(f"psys is {psys!r}: choose one of {', '.join(get_args(Psys))}")
        try:
            zones = _chosen(find_zones(Path(root)), root, dram, psys)
            self._wraps_after_s = min(zone.wraps_after_s for zone in zones)
            self._energy = backend().Counters(
                [zone.energy for zone in zones], [zone.range_uj for zone in zones]
            )
        except PermissionError as error:
            raise MeterUnavailableError(
                UNREADABLE.format(path=error.filename, reason=error.strerror, root=root)
            ) from error
        except (OSError, ValueError) as error:
            raise MeterUnavailableError(f"RAPL cannot be read: {error}") from error
        share_w = idle_power_w / sum(zone.component != "memory" for zone in zones)
        self._counters = tuple(
            Counter(zone.name, zone.component, 0.0 if zone.component == "memory" else share_w)
            for zone in zones
        )
        self._due_s = time.monotonic() + self._wraps_after_s

    @property
    def counters(self) -> tuple[Counter, ...]:
        return self._counters

    def read_j(self) -> tuple[float, ...]:
        try:
            totals = self._energy.read()
        except (OSError, ValueError) as error:
            raise MeterUnavailableError(f"RAPL can no longer be read: {error}") from error
        now_s = time.monotonic()
        if now_s > self._due_s:
            self._warn(now_s)
        self._due_s = now_s + self._wraps_after_s
        return tuple([total / UJ_PER_J for total in totals])

    def close(self) -> None:
        self._energy.close()

    def _warn(self, now_s: float) -> None:
        logger.warning(
            "RAPL was not read for %.3g s, and may wrap in %.3g s: energy may be missing; "
            "read it more often",
            now_s - self._due_s + self._wraps_after_s,
            self._wraps_after_s,
        )
        self._wraps_after_s = math.inf  # once is enough


def _chosen(zones: list[Zone], root: str | Path, dram: bool, psys: Psys) -> list[Zone]:
    platform = [zone for zone in zones if zone.component == "machine"]
    packages = [zone for zone in zones if zone.component == "cpu"]
    if not zones:
        raise MeterUnavailableError(ABSENT.format(root=root))
    if psys == "only" and not platform:
        raise MeterUnavailableError(
            f"{root} holds no psys zone, which only some Intel machines have: "
            'give psys="prefer" to count packages there'
        )
    if psys != "never" and platform:
        return platform
    if not packages:
        held = ", ".join(zone.name for zone in zones)
        raise MeterUnavailableError(
            f'{root} holds no package zones, only {held}: psys is counted by psys="prefer"'
        )
    kept = distinct(packages)
    return [zone for zone in zones if zone in kept or (dram and zone.component == "memory")]
