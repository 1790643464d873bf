"""Emissions over time: energy of each time slice x the intensity of that slice."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from carbonedge._validation import at_least_one, non_negative
from carbonedge.carbon.intensity.series import Series
from carbonedge.carbon.intensity.signal import Signal
from carbonedge.carbon.intensity.times import stamp
from carbonedge.carbon.intensity.trace import Trace
from carbonedge.carbon.range_sums import range_sums
from carbonedge.exceptions import IntensityUnavailableError
from carbonedge.units import J_PER_KWH

__all__ = ["integrate_g", "operational_g"]

_Floats = npt.NDArray[np.float64]


def operational_g(
    energy_j: float,
    start_s: float,
    stop_s: float,
    signal: Signal,
    zone: str,
    *,
    pue: float = 1.0,
) -> float:
    """Operational gCO2eq of energy drawn evenly from start to stop.

    The stretch is parted where the signal's values change: ``sum(E_i * I_i) * PUE``.

    Parameters
    ----------
    energy_j
        Of the machine, without PUE.
    start_s, stop_s
        In seconds since 1970; the same for what took no time.
    signal
        Knows the stretch all the way, as a trace does of the past.
    zone
        Of the machine.
    pue
        Power usage effectiveness.

    Raises
    ------
    IntensityUnavailableError
        If an intensity is not known, all the way.
    ValueError
        If the stop is before the start, or energy or PUE are out of their range.
    """
    energy_j = non_negative("energy_j", energy_j)
    pue = at_least_one("pue", pue)
    if stop_s == start_s:
        return energy_j * signal.at(zone, start_s).g_per_kwh * pue / J_PER_KWH
    weighted, known_until_s = 0.0, start_s
    for value in signal.forecast(zone, start_s, stop_s):
        if value.valid_from_s > known_until_s:
            break
        known_s = min(value.valid_until_s, stop_s)
        weighted += value.g_per_kwh * (known_s - known_until_s)
        known_until_s = known_s
    if known_until_s < stop_s:
        raise IntensityUnavailableError(
            f"the intensity of {zone!r} is not known from {stamp(known_until_s)}, of what runs "
            f"from {stamp(start_s)} to {stamp(stop_s)}: use a signal that knows it all the way"
        )
    return energy_j * (weighted / (stop_s - start_s)) * pue / J_PER_KWH


def integrate_g(
    trace: Trace,
    zone: str,
    energy_j: npt.ArrayLike,
    start_s: npt.ArrayLike,
    stop_s: npt.ArrayLike,
    *,
    pue: float = 1.0,
) -> _Floats:
    """What `operational_g` gives, of many slices of energy at once.

    Parameters
    ----------
    trace, zone
        The intensities.
    energy_j : float array, shape (slices,)
        Drawn evenly from start to stop, without PUE.
    start_s, stop_s : float array, shape (slices,)
        In seconds since 1970. Slices may overlap, and come in any order.
    pue
        Power usage effectiveness.

    Returns
    -------
    float64 array, shape (slices,)
        GCO2eq of each.

    Raises
    ------
    IntensityUnavailableError
        If a slice reaches out of the trace, or into a gap too long to fill.
    ValueError
        If the arrays are not rows of one length, a slice stops before it starts, or energy or
        PUE are out of their range.
    """
    series = trace.series(zone)
    pue = at_least_one("pue", pue)
    energy_j, start_s, stop_s = _checked_slices(energy_j, start_s, stop_s)
    if not energy_j.size:
        return energy_j
    from_start_s, from_stop_s = start_s - series.start_s, stop_s - series.start_s
    first = np.floor(from_start_s / series.step_s)
    last = np.maximum(first, np.ceil(from_stop_s / series.step_s) - 1)
    outside = (first < 0) | (last >= series.g_per_kwh.size)
    _check_known(series, outside, start_s, stop_s)
    first, last = first.astype(np.intp), last.astype(np.intp)
    mean = series.g_per_kwh[first]
    several = np.flatnonzero(first != last)
    if several.size:
        mean[several] = _mean_of_several(
            series, first[several], last[several], from_start_s[several], from_stop_s[several]
        )
    _check_known(series, np.isnan(mean), start_s, stop_s)
    return energy_j * mean * (pue / J_PER_KWH)


def _mean_of_several(
    series: Series,
    first: npt.NDArray[np.intp],
    last: npt.NDArray[np.intp],
    from_start_s: _Floats,
    from_stop_s: _Floats,
) -> _Floats:
    """Mean intensity of slices that reach over a border: a head, whole slots and a tail."""
    values, step_s = series.g_per_kwh, series.step_s
    head = values[first] * ((first + 1) * step_s - from_start_s)
    whole = range_sums(values, first + 1, last - 1) * step_s
    tail = values[last] * (from_stop_s - last * step_s)
    return (head + whole + tail) / (from_stop_s - from_start_s)


def _checked_slices(*rows: npt.ArrayLike) -> tuple[_Floats, _Floats, _Floats]:
    energy_j, start_s, stop_s = (np.asarray(row, dtype=np.float64) for row in rows)
    if not (energy_j.ndim == 1 and energy_j.shape == start_s.shape == stop_s.shape):
        raise ValueError(
            f"energy_j, start_s and stop_s have shapes {energy_j.shape}, {start_s.shape} and "
            f"{stop_s.shape}: give rows of one length"
        )
    for what, row in (("energy_j", energy_j), ("start_s", start_s), ("stop_s", stop_s)):
        if not np.isfinite(row).all():
            raise ValueError(f"{what} has a value that is not finite: leave such slices out")
    if (energy_j < 0).any():
        raise ValueError(f"energy_j is {energy_j.min():g} somewhere: it must be 0 or above")
    for slice_ in np.flatnonzero(stop_s < start_s)[:1]:
        raise ValueError(
            f"slice {slice_} stops at {stop_s[slice_]:.6f}, before it starts at "
            f"{start_s[slice_]:.6f}: swap them"
        )
    return energy_j, start_s, stop_s


def _check_known(series: Series, wrong: npt.NDArray[np.bool_], *ends_s: _Floats) -> None:
    """Say what is not known of the first slice that is wrong."""
    for slice_ in np.flatnonzero(wrong)[:1]:
        start_s, stop_s = (float(row[slice_]) for row in ends_s)
        try:
            series.between(start_s, stop_s)
        except IntensityUnavailableError as error:
            raise IntensityUnavailableError(f"slice {slice_}: {error}") from error
