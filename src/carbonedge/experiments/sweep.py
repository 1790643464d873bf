"""Where a task goes, and what it costs, as carbon counts for more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from carbonedge._validation import count
from carbonedge.cluster import Node
from carbonedge.experiments.times import with_times
from carbonedge.scheduling import MODES, Task, Weights, schedule

__all__ = ["SWEPT", "Choice", "Step", "Sweep", "starts", "sweep_carbon"]

SWEPT = ("paper", "normalized")
"""The scorings set side by side; ``constrained`` has no weights."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The node that one scoring chooses.

    Parameters
    ----------
    node
        Its name.
    latency_ms, emissions_g
        Predicted for the task.
    """

    node: str
    latency_ms: float
    emissions_g: float


@dataclass(frozen=True, slots=True)
class Step:
    """One weight of carbon.

    Parameters
    ----------
    weights
        They sum to 1.
    choices
        By scoring, those of `SWEPT`.
    """

    weights: Weights
    choices: Mapping[str, Choice]


@dataclass(frozen=True, slots=True)
class Sweep:
    """The choices for one task as the weight of carbon goes from 0 to 1.

    Parameters
    ----------
    base
        In whose proportions the other weights stay.
    task
        What was placed.
    assumed_time_ms
        By name, the times of nodes that had none of their own.
    steps
        In the order of carbon's weight.
    """

    base: Weights
    task: Task
    assumed_time_ms: Mapping[str, float]
    steps: tuple[Step, ...]


def sweep_carbon(
    nodes: Sequence[Node],
    task: Task,
    *,
    base: Weights = MODES["balanced"],
    steps: int = 21,
    time_ms: float | None = None,
) -> Sweep:
    """Place a task once for each weight of carbon, under each scoring of `SWEPT`.

    Parameters
    ----------
    nodes
        The candidates, as they are now.
    task
        What is to be placed.
    base
        The other four weights keep its proportions.
    steps
        How many weights of carbon, evenly from 0 to 1, both included.
    time_ms
        What the task takes at speed 1: a node whose `avg_time_ms` is 0 gets this
        divided by its speed.

    Raises
    ------
    ValueError
        If `steps` is below 2, `time_ms` is not above 0, or left out where a node has
        no `avg_time_ms`, or all of `base` is carbon.
    InfeasibleError
        If no node can take the task.
    IntensityUnavailableError
        If a node has no carbon intensity.
    """
    if count("steps", steps) < 2:
        raise ValueError(f"steps is {steps}: it must be at least 2, one for each end")
    timed, assumed_time_ms = with_times(nodes, time_ms)
    return Sweep(
        base=base,
        task=task,
        assumed_time_ms=assumed_time_ms,
        steps=tuple(
            _step(timed, task, _with_carbon(base, number / (steps - 1))) for number in range(steps)
        ),
    )


def starts(sweep: Sweep, scoring: str) -> tuple[Step, ...]:
    """The first step, and each whose node differs from that of the step before it."""
    chosen = [step.choices[scoring].node for step in sweep.steps]
    return tuple(
        step
        for number, step in enumerate(sweep.steps)
        if number == 0 or chosen[number] != chosen[number - 1]
    )


def _step(nodes: Sequence[Node], task: Task, weights: Weights) -> Step:
    decisions = {scoring: schedule(task, nodes, mode=weights, scoring=scoring) for scoring in SWEPT}
    return Step(
        weights,
        {
            scoring: Choice(decision.node, decision.latency_ms, decision.emissions_g)
            for scoring, decision in decisions.items()
        },
    )


def _with_carbon(base: Weights, carbon: float) -> Weights:
    others = (base.resource, base.load, base.performance, base.balance)
    total = sum(others)
    if total == 0:
        raise ValueError(
            "all of the base weights is carbon: the others need proportions; "
            "make at least one greater than 0"
        )
    resource, load, performance, balance = (weight / total * (1 - carbon) for weight in others)
    return Weights(resource, load, performance, balance, carbon)
