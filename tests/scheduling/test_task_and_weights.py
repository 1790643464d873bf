from __future__ import annotations

import math
from typing import Any

import pytest

from carbonedge import MODES, Task, Weights


def test_a_task_needs_little_and_tolerates_all_unless_told() -> None:
    assert (Task().cpu_cores, Task().memory_mb, Task().slo_ms) == (0.1, 64.0, None)


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        ({"cpu_cores": -0.1}, "cpu_cores of the task is -0.1"),
        ({"memory_mb": math.inf}, "memory_mb of the task is inf"),
        ({"slo_ms": 0}, "slo_ms of the task is 0"),
        ({"slo_ms": math.nan}, "slo_ms of the task is nan"),
    ],
)
def test_wrong_needs_are_named(needs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Task(**needs)


def test_what_is_no_number_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="cpu_cores of the task is '1'"):
        Task(cpu_cores="1")  # type: ignore[arg-type]


def test_the_papers_weights_sum_to_one() -> None:
    for weights in MODES.values():
        assert sum(weights) == pytest.approx(1)


@pytest.mark.parametrize("wrong", [-0.1, math.nan, math.inf])
def test_wrong_weights_are_named(wrong: float) -> None:
    with pytest.raises(ValueError, match="weight 'balance'"):
        Weights(0.2, 0.2, 0.2, wrong, 0.2)


def test_weights_that_sum_to_zero_decide_nothing() -> None:
    with pytest.raises(ValueError, match="sum to 0"):
        Weights(0, 0, 0, 0, 0)


def test_a_weight_of_zero_is_fine() -> None:
    assert Weights(0, 0, 0, 0, 1).carbon == 1
