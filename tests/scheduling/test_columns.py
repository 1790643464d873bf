from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import strategies
from hypothesis import given, settings

from carbonedge import InfeasibleError, Node, Scheduler, Task, Weights, schedule
from carbonedge._kernels import FIELDS
from carbonedge.scheduling.columns import REQUIRED

SIZE = 3
FINE = {
    "cpu_cores": 2.0,
    "memory_mb": 512.0,
    "power_w": 5.0,
    "intensity_g_per_kwh": 300.0,
    "pue": 1.2,
    "load": 0.25,
    "network_latency_ms": 2.0,
    "avg_time_ms": 20.0,
    "running_tasks": 1.0,
    "parallelism": 2.0,
    "embodied_g_per_hour": 3.0,
}
BELOW = {
    **dict.fromkeys(FIELDS, -1.0),
    **dict.fromkeys(("cpu_cores", "memory_mb", "power_w", "parallelism"), 0.0),
    "pue": 0.99,
}
ABOVE = {**dict.fromkeys(FIELDS, 2e15), "load": 1.01}


def columns(**changes: Any) -> dict[str, Any]:
    return {name: np.full(SIZE, value) for name, value in FINE.items()} | changes


def with_last(value: Any) -> np.ndarray:
    return np.array([*[2] * (SIZE - 1), value], dtype=np.asarray(value).dtype)


@pytest.mark.usefixtures("each_backend")
def test_a_fine_column_each_makes_a_scheduler() -> None:
    assert set(FINE) == set(FIELDS)
    assert Scheduler(columns()).schedule(Task()).node == "0"


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, BELOW, ABOVE, 1e300])
def test_a_wrong_number_is_named_with_its_place_and_rule(field: str, wrong: Any) -> None:
    value = wrong[field] if isinstance(wrong, dict) else wrong
    column = np.full(SIZE, FINE[field])
    column[-1] = value
    message = rf"{field}\[{SIZE - 1}\] is \S+: (it must|give a whole number)"
    for make in (Scheduler, lambda nodes: schedule(Task(), nodes)):
        with pytest.raises((ValueError, TypeError), match=message):
            make(columns(**{field: column}))
    # Alone it stands for all nodes.
    with pytest.raises((ValueError, TypeError), match=rf"{field}\[0\] is "):
        Scheduler(columns(**{field: value}))


@pytest.mark.parametrize("field", ["running_tasks", "parallelism"])
def test_half_a_task_is_refused(field: str) -> None:
    with pytest.raises(TypeError, match=rf"{field}\[2\] is 2.5: give a whole number"):
        Scheduler(columns(**{field: [1.0, 2.0, 2.5]}))


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(
    "wrong",
    [
        np.ones(SIZE, dtype=bool),
        np.ones(SIZE, dtype=complex),
        np.array(["1"] * SIZE),
        np.array([1, 1, None]),
        np.array([1] * SIZE, dtype="datetime64[s]"),
        np.zeros(SIZE, dtype=[("x", float)]),
        [10**400] * SIZE,
        "1",
        None,
        True,
        {1, 2, 3},
        np.ma.array([1.0] * SIZE, mask=[False, False, True]),
    ],
    ids=repr,
)
def test_what_is_no_number_is_a_type_error(field: str, wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"column '{field}' (holds|has masked)"):
        Scheduler(columns(**{field: wrong}))


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.ones(SIZE + 1), r"column '\w+' has \d nodes and '\w+' has \d: .* of one length"),
        (np.ones(1), r"column '\w+' has \d nodes and '\w+' has \d: .* of one length"),
        ([], r"column '\w+' has \d nodes and '\w+' has \d: .* of one length"),
        (np.ones((SIZE, 1)), r"has shape \(3, 1\): give one dimension"),
        (np.ones((1, SIZE)), r"has shape \(1, 3\): give one dimension"),
        ([[1.0], [1.0, 1.0], [1.0]], "has rows of several lengths: give one dimension"),
    ],
)
def test_a_column_of_another_shape_is_refused(field: str, wrong: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Scheduler(columns(**{field: wrong}))


@pytest.mark.parametrize("field", FIELDS)
def test_two_thousand_million_nodes_are_refused_before_anything_is_copied(field: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="2147483648 nodes: at most"):
            Scheduler({name: np.broadcast_to(FINE[name], 2**31) for name in (*REQUIRED, field)})
        with pytest.raises(ValueError, match=r"shape \(2147483648,\): give 3 names"):
            Scheduler(columns(name=np.broadcast_to("n", 2**31)))
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("field", REQUIRED)
def test_a_missing_column_is_named(field: str) -> None:
    given = columns()
    del given[field]
    with pytest.raises(ValueError, match=f"column '{field}' is missing: give cpu_cores"):
        Scheduler(given)


@pytest.mark.parametrize("unknown", ["colour", "cpu", "speed", 3])
def test_an_unknown_column_is_named(unknown: Any) -> None:
    with pytest.raises(ValueError, match=f"column {unknown!r} is not known: give any of name, cpu"):
        Scheduler({**columns(), unknown: np.ones(SIZE)})


def test_there_must_be_nodes() -> None:
    with pytest.raises(ValueError, match="there are no nodes: give at least one"):
        Scheduler({field: [] for field in FIELDS})
    with pytest.raises(ValueError, match="all columns are single numbers"):
        Scheduler(FINE)
    with pytest.raises(ValueError, match="'cpu_cores' is missing"):
        Scheduler({})


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        (["a", "b", "a"], ValueError, "two nodes are named 'a'"),
        (["a", "b"], ValueError, r"has shape \(2,\): give 3 names"),
        ("abc", ValueError, r"has shape \(\): give 3 names"),
        ([["a", "b", "c"]], ValueError, r"has shape \(1, 3\): give 3 names"),
        (["a", "b", 3], TypeError, r"name\[2\] is 3: give a string"),
        (np.array([b"a", b"b", b"c"]), TypeError, r"name\[0\] is b'a': give a string"),
        (["a", None, "c"], TypeError, r"name\[1\] is None: give a string"),
        (["a", " ", "c"], ValueError, r"name\[1\] is ' ': give a name"),
    ],
)
def test_wrong_names_are_refused(names: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Scheduler(columns(name=names))


def as_read_only(values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values.flags.writeable = False
    return values


@pytest.mark.usefixtures("each_backend")
@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(
    "shaped",
    [
        as_read_only,
        lambda values: np.repeat(values, 2)[::2],
        lambda values: values[::-1].copy()[::-1],
        lambda values: values.astype(values.dtype.newbyteorder()),
        lambda values: np.asfortranarray(np.stack([values, values], axis=1))[:, 1],
        lambda values: np.broadcast_to(values[0], values.shape),
        lambda values: values[0],
        np.ndarray.tolist,
    ],
)
def test_any_layout_of_numbers_is_read_right(
    field: str, shaped: Callable[[np.ndarray], Any]
) -> None:
    given = shaped(np.full(SIZE, FINE[field]))
    assert Scheduler(columns(**{field: given})).snapshot()["columns"][field] == [FINE[field]] * SIZE


@pytest.mark.usefixtures("each_backend")
@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "longdouble", "int8", "int64", "uint64"])
def test_narrow_floats_and_whole_numbers_are_read_right(field: str, dtype: str) -> None:
    values = np.array([1, 1, 1] if field in ("load", "pue") else [1, 2, 3], dtype=dtype)
    read = Scheduler(columns(**{field: values})).snapshot()["columns"][field]
    assert read == values.tolist()


@pytest.mark.usefixtures("each_backend")
def test_each_node_keeps_its_own_numbers() -> None:
    given = {name: [value, value / 2 + 0.5, 1.0] for name, value in FINE.items()}
    given |= {"running_tasks": [0, 1, 2], "parallelism": [3, 1, 2], "pue": [1.0, 1.5, 2.0]}
    assert Scheduler(given).snapshot()["columns"] == given


@pytest.mark.usefixtures("each_backend")
@pytest.mark.parametrize("field", FIELDS)
def test_arrays_are_neither_changed_nor_kept(field: str) -> None:
    given = columns(name=[f"n{i}" for i in range(SIZE)])
    before = {name: np.copy(values) for name, values in given.items()}
    scheduler, untouched = Scheduler(given), Scheduler(given)
    scheduler.complete(scheduler.schedule(Task()), 99.0)
    scheduler.update("n1", load=0.75)
    scheduler.remove("n2")
    for name, values in before.items():
        assert np.array_equal(given[name], values)
    given[field][:] = 1.0 if field == "load" else 0.0
    given["name"][0] = "another"
    decision = untouched.schedule(Task())
    assert decision[:-1] == Scheduler(before).schedule(Task())[:-1]
    assert decision.node == "n0"


@pytest.mark.usefixtures("each_backend")
@settings(max_examples=40)
@given(strategies.nodes(most=20), strategies.tasks, strategies.weights)
def test_arrays_decide_as_nodes_do(nodes: list[Node], task: Task, weights: Weights) -> None:
    given = {field: [getattr(node, field) for node in nodes] for field in FIELDS}
    names = [node.name for node in nodes]
    for scoring in ("paper", "normalized", "constrained"):
        of_nodes = Scheduler(nodes, mode=weights, scoring=scoring)
        of_arrays = Scheduler({**given, "name": names}, mode=weights, scoring=scoring)
        unnamed = Scheduler(given, mode=weights, scoring=scoring)
        expected = said(lambda s=of_nodes: s.schedule(task))
        assert said(lambda s=of_arrays: s.schedule(task)) == expected
        once = said(lambda n=nodes, s=scoring: schedule(task, n, mode=weights, scoring=s))
        assert once == expected
        for arrays in ({**given, "name": np.array(names)}, {**given, "name": tuple(names)}):
            made = said(lambda n=arrays, s=scoring: schedule(task, n, mode=weights, scoring=s))
            assert made == expected
        by_position = said(lambda s=unnamed: s.schedule(task))
        if isinstance(expected, tuple):
            assert by_position == (str(expected[1]), *expected[1:])
        else:
            assert by_position == expected.replace("n0:", "0:") if len(nodes) == 1 else by_position


def said(decide: Callable[[], Any]) -> tuple[Any, ...] | str:
    """A decision without its ticket, or why there is none."""
    try:
        return tuple(decide())[:-1]
    except InfeasibleError as error:
        return str(error)
