from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import pytest

from carbonedge.carbon.settings import check_settings, needed_settings


class Made:
    """Takes a parameter of every kind."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        root: str | Path = "/",
        on: bool = True,
        cores: int | None = None,
        power_w: float = 0.0,
        policy: Literal["never", "always"] = "never",
        devices: Sequence[int] | None = None,
        by_zone: float | Mapping[str, float] = 1.0,
        folder: str | Literal[False] = False,
        clock: Callable[[], float] = float,
    ) -> None:
        raise AssertionError("it is only checked")


FITTING = (
    ("path", "a"),
    ("path", Path("a")),
    ("root", "a"),
    ("root", Path("a")),
    ("on", False),
    ("cores", 3),
    ("cores", None),
    ("power_w", 3),
    ("power_w", 3.5),
    ("policy", "always"),
    ("devices", [0, 1]),
    ("devices", ()),
    ("by_zone", {"DE": 380}),
    ("folder", False),
)
WRONG = (
    ("path", 1, "text"),
    ("root", None, "text"),
    ("on", 1, "true or false"),
    ("cores", 1.0, "a whole number"),
    ("cores", True, "a whole number"),
    ("power_w", "3", "a number"),
    ("power_w", False, "a number"),
    ("policy", "sometimes", "'never' or 'always'"),
    ("devices", 0, "a list, each of it a whole number"),
    ("devices", "01", "a list, each of it a whole number"),
    ("devices", [0.5], "a list, each of it a whole number"),
    ("by_zone", {"DE": "380"}, "a number or a table, each of it a number"),
    ("folder", 0, "text or False"),
)


@pytest.mark.parametrize(("name", "value"), FITTING)
def test_values_of_their_type_are_taken(name: str, value: object) -> None:
    check_settings("it", Made, {"path": "a", name: value})


@pytest.mark.parametrize(("name", "value", "words"), WRONG)
def test_other_values_are_refused_with_what_to_give(name: str, value: object, words: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} of it is ") as refused:
        check_settings("it", Made, {"path": "a", name: value})
    assert str(refused.value) == f"{name} of it is {value!r}: give {words}"


def test_what_no_file_can_hold_is_no_setting() -> None:
    with pytest.raises(
        ValueError, match="it has no setting 'clock': known are path, root, on, cores,"
    ):
        check_settings("it", Made, {"path": "a", "clock": float})


def test_a_setting_without_default_must_be_given() -> None:
    assert needed_settings(Made) == ["path"]
    with pytest.raises(ValueError, match="it needs the setting 'path'"):
        check_settings("it", Made, {})


def test_there_may_be_more_settings_than_parameters_and_fewer() -> None:
    check_settings("it", Made, {"path": "a", "more": object()}, besides=["more"])
    with pytest.raises(ValueError, match=r"no setting 'cores': known are path, root, on, power_w"):
        check_settings("it", Made, {"path": "a", "cores": 1}, without=["cores"])
