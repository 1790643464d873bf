"""Checks on numbers where they enter, with messages of value, rule and remedy."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral, Real

__all__ = [
    "LARGEST",
    "Rule",
    "at_least_one",
    "count",
    "fraction",
    "identity",
    "non_negative",
    "positive",
    "slots",
    "target",
]

Rule = Callable[[str, object], float]
"""Takes what a value is called and the value; returns it, or raises."""

LARGEST = 1e15
"""No machine comes near it, and products of all that is known of one stay finite."""


def _number(what: str, value: object) -> float:
    # isinstance of an abstract class takes longer than a decision: most are floats.
    if type(value) is not float and (isinstance(value, bool) or not isinstance(value, Real)):
        raise TypeError(f"{what} is {value!r}: give a number")
    try:
        number = float(value)
    except OverflowError:
        number = -math.inf if value < 0 else math.inf
    if LARGEST < abs(number) < math.inf:
        raise ValueError(f"{what} is {number:g}: it must be at most {LARGEST:g}; check its unit")
    return number


def _whole(what: str, value: object) -> Integral:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{what} is {value!r}: give a whole number")
    return value


def positive(what: str, value: object) -> float:
    """A capacity, power or speed: finite and above 0."""
    number = _number(what, value)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{what} is {number:g}: it must be finite and above 0")
    return number


def non_negative(what: str, value: object) -> float:
    """A cost, time or intensity: finite and 0 or above."""
    number = _number(what, value)
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{what} is {number:g}: it must be finite and 0 or above")
    return number


def fraction(what: str, value: object) -> float:
    """A share, 0 to 1."""
    number = _number(what, value)
    if not 0 <= number <= 1:
        raise ValueError(f"{what} is {number:g}: it must lie between 0 and 1")
    return number


def at_least_one(what: str, value: object) -> float:
    """A factor such as PUE: finite and 1 or above."""
    number = _number(what, value)
    if not (math.isfinite(number) and number >= 1):
        raise ValueError(f"{what} is {number:g}: it must be finite and 1 or above")
    return number


def target(what: str, value: object) -> float:
    """A limit from above: above 0, infinite for none."""
    number = _number(what, value)
    if not number > 0:
        raise ValueError(f"{what} is {number:g}: it must be above 0; leave it out for no limit")
    return number


def count(what: str, value: object) -> int:
    """A whole number, 0 or above."""
    return int(non_negative(what, _whole(what, value)))


def identity(what: str, value: object) -> int:
    """A whole number that names something, of any size."""
    return int(_whole(what, value))


def slots(what: str, value: object) -> int:
    """A whole number, 1 or above."""
    return int(at_least_one(what, _whole(what, value)))
