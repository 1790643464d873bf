"""Times of operators on this machine, by ONNX Runtime's own profiler.

ONNX Runtime fuses operators into kernels and times those. A kernel's time is given
back to the operators it stands for, in proportion to their multiply-accumulates.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from carbonedge.planning.fusion import optimizing_options, read_fusion
from carbonedge.planning.model import ModelGraph
from carbonedge.planning.profile import Conditions, Profile
from carbonedge.planning.samples import made_up_request
from carbonedge.planning.session import open_session, run_session
from carbonedge.planning.sized import input_shapes, sized
from carbonedge.units import MS_PER_S

__all__ = ["measure"]

WARM_UP_RUNS = 2
LEAST_RUNS = 10
MOST_RUNS = 1000
TIME_BUDGET_S = 0.75
MOST_EVENTS = 50_000
"""Of the profiler, whose file has to be read."""

_KERNEL_SUFFIX = "_kernel_time"
_WITH_BODIES = ("If", "Loop", "Scan")


def measure(
    model: ModelGraph,
    *,
    feed: Mapping[str, Any] | None = None,
    providers: Sequence[Any] | None = None,
    sess_options: Any = None,
) -> Profile:
    """Run a model and attribute its time to its operators.

    Times are medians over runs for three quarters of a second, at least 10 of them,
    after a warm-up. Together with the overhead they are those of the whole run.

    Parameters
    ----------
    model
        From `load_model`.
    feed
        Inputs by name; see `made_up_request` for what they are when left out.
    providers, sess_options
        ONNX Runtime's. Of the options the profiled runs take over threads, execution
        mode and optimisation level.

    Raises
    ------
    ModelError
        If ONNX Runtime cannot run the model.
    """
    run = open_session(model, providers=providers, sess_options=sess_options).run
    if feed is None:
        feed = made_up_request(model, run=run)
    run_ms = _median_ms(lambda: run_session(run, None, feed))
    with tempfile.TemporaryDirectory(prefix="carbonedge-") as folder:
        kernels = _kernel_times(model, feed, Path(folder), providers, sess_options)
        fusion = read_fusion(model, Path(folder))

    work = np.array([op.macs for op in sized(model, feed).operators], dtype=np.float64)
    time_ms = np.zeros(len(model.operators))
    for name, kernel_ms in kernels.items():
        everything = range(len(model.operators))
        members = fusion.groups[fusion.kernels[name]] if name in fusion.kernels else everything
        time_ms[list(members)] += kernel_ms * _proportions(work, members)
    if not time_ms.any():
        # The profiler counts whole microseconds, and none took one.
        time_ms += _proportions(work, range(len(model.operators)))

    # The profiler slows what it watches, so that its times serve as proportions only.
    overhead_ms = min(_floor_ms(providers, sess_options), run_ms / 2)
    time_ms *= (run_ms - overhead_ms) / time_ms.sum()
    return Profile(
        Conditions.here(model, providers, sess_options),
        input_shapes(model, feed),
        tuple(operator.name for operator in model.operators),
        time_ms,
        overhead_ms,
        fusion.positions,
    )


def _proportions(work: NDArray[np.float64], members: Iterable[int]) -> NDArray[np.float64]:
    parts = work[list(members)]
    if not parts.any():
        parts[:] = 1.0
    shares: NDArray[np.float64] = parts / parts.sum()
    return shares


def _median_ms(run: Callable[[], object]) -> float:
    for _ in range(WARM_UP_RUNS):
        run()
    times_ms: list[float] = []
    ends = time.perf_counter() + TIME_BUDGET_S
    while len(times_ms) < LEAST_RUNS or (len(times_ms) < MOST_RUNS and time.perf_counter() < ends):
        began = time.perf_counter()
        run()
        times_ms.append((time.perf_counter() - began) * MS_PER_S)
    return float(np.median(times_ms))


def _floor_ms(providers: Sequence[Any] | None, sess_options: Any) -> float:
    """What a run takes however little it computes."""
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Neg", ["x"], ["y"])],
        "floor",
        [info("x", onnx.TensorProto.FLOAT, (1,))],
        [info("y", onnx.TensorProto.FLOAT, (1,))],
    )
    opsets = [onnx.helper.make_opsetid("", 13)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
    run = open_session(model, providers=providers, sess_options=sess_options).run
    feed = {"x": np.zeros(1, np.float32)}
    return _median_ms(lambda: run_session(run, ["y"], feed))


def _kernel_times(
    model: ModelGraph,
    feed: Mapping[str, Any],
    folder: Path,
    providers: Sequence[Any] | None,
    sess_options: Any,
) -> dict[str, float]:
    options = optimizing_options(folder, sess_options)
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    session = open_session(model, providers=providers, sess_options=options)
    began = time.perf_counter()
    runs = 0
    most = max(LEAST_RUNS, min(MOST_RUNS, MOST_EVENTS // len(model.operators)))
    while runs < WARM_UP_RUNS + LEAST_RUNS or (
        runs < most and time.perf_counter() - began < TIME_BUDGET_S
    ):
        run_session(session.run, None, feed)
        runs += 1
    events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))

    times_ms = defaultdict(list)
    for event in _outermost(events):
        times_ms[event["name"].removesuffix(_KERNEL_SUFFIX)].append(event["dur"] / 1e3)
    return {name: float(np.median(times[WARM_UP_RUNS:])) for name, times in times_ms.items()}


def _outermost(events: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Kernels that run for themselves, and not within the body of another."""
    found = []
    body_since_us: dict[int, int] = {}
    # A kernel is noted down when it ends: what stands before one with a body, and began on
    # its thread since it did, is the body's. Ends are rounded, and may seem to overlap.
    for event in reversed(events):
        if event["cat"] != "Node" or not event["name"].endswith(_KERNEL_SUFFIX):
            continue
        if event["ts"] >= body_since_us.get(event["tid"], math.inf):
            continue
        if event["args"]["op_name"] in _WITH_BODIES:
            body_since_us[event["tid"]] = event["ts"]
        found.append(event)
    return found[::-1]
