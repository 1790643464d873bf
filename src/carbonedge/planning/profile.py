"""Times of operators on this machine, by ONNX Runtime's own profiler.

ONNX Runtime fuses operators into kernels and times those. A kernel's time is given
back to the operators it stands for, in proportion to their multiply-accumulates, and
the positions that part none of them are where a cut costs least.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from carbonedge.planning.model import ModelGraph
from carbonedge.planning.samples import sample_inputs
from carbonedge.planning.session import open_session, run_session
from carbonedge.units import MS_PER_S

__all__ = ["Profile", "profile"]

WARM_UP_RUNS = 3
RUNS = 15
RUN_FLOOR_MS = 0.01
"""What a session's run takes however little it computes."""
_KERNEL_SUFFIX = "_kernel_time"
# ONNX Runtime names a kernel in its blocked layout after the tensor it stands for.
_BLOCKED_SUFFIX = "_nchwc"
_COPIED_OPTIONS = (
    "execution_mode",
    "graph_optimization_level",
    "inter_op_num_threads",
    "intra_op_num_threads",
)


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Median times of a model here.

    Parameters
    ----------
    time_ms
        Of each operator, shape [operators].
    overhead_ms
        Of a run beyond its operators.
    positions
        Cuts that part no kernel.
    """

    time_ms: NDArray[np.float64]
    overhead_ms: float
    positions: frozenset[int]


def profile(
    model: ModelGraph,
    *,
    feed: Mapping[str, Any] | None = None,
    providers: Sequence[Any] | None = None,
    sess_options: Any = None,
) -> Profile:
    """Run a model and attribute its time to its operators.

    Inputs are made up where `feed` is left out. Of `sess_options` the profiled runs
    take over threads, execution mode and optimisation level.

    Raises
    ------
    ModelError
        If ONNX Runtime cannot run the model.
    """
    if feed is None:
        feed = sample_inputs(model, seed=0)
    run_ms = _run_time(model, feed, providers, sess_options)
    with tempfile.TemporaryDirectory(prefix="carbonedge-") as folder:
        kernels = _kernel_times(model, feed, Path(folder), providers, sess_options)
        stands_for = _kernel_outputs(Path(folder) / "optimized.onnx")
    ends = _ends(model, stands_for)
    groups = _groups(model, set(ends.values()))
    time_ms = np.zeros(len(model.operators))
    for name, kernel_ms in kernels.items():
        members = groups[ends[name]] if name in ends else range(len(model.operators))
        time_ms[list(members)] += kernel_ms * _proportions(model, members)

    if not time_ms.any():
        # The profiler counts whole microseconds, and none took one.
        time_ms += _proportions(model, range(len(model.operators)))

    # The profiler slows what it watches, so that its times serve as proportions only.
    overhead_ms = min(RUN_FLOOR_MS, run_ms / 2)
    time_ms *= (run_ms - overhead_ms) / time_ms.sum()
    positions = _whole_positions(len(model.operators), groups.values())
    return Profile(time_ms, overhead_ms, positions)


def _run_time(
    model: ModelGraph,
    feed: Mapping[str, Any],
    providers: Sequence[Any] | None,
    sess_options: Any,
) -> float:
    session = open_session(model, providers=providers, sess_options=sess_options)
    times_ms = []
    for _ in range(WARM_UP_RUNS + RUNS):
        began = time.perf_counter()
        run_session(session.run, None, feed)
        times_ms.append((time.perf_counter() - began) * MS_PER_S)
    return float(np.median(times_ms[WARM_UP_RUNS:]))


def _kernel_times(
    model: ModelGraph,
    feed: Mapping[str, Any],
    folder: Path,
    providers: Sequence[Any] | None,
    sess_options: Any,
) -> dict[str, float]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if sess_options is not None:
        for name in _COPIED_OPTIONS:
            setattr(options, name, getattr(sess_options, name))
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    # That the optimised model fits this machine only is just what is wanted.
    options.log_severity_level = 3
    session = open_session(model, providers=providers, sess_options=options)
    for _ in range(WARM_UP_RUNS + RUNS):
        run_session(session.run, None, feed)
    events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))

    times_ms = defaultdict(list)
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith(_KERNEL_SUFFIX):
            times_ms[event["name"].removesuffix(_KERNEL_SUFFIX)].append(event["dur"] / 1e3)
    return {name: float(np.median(times[-RUNS:])) for name, times in times_ms.items()}


def _kernel_outputs(path: Path) -> dict[str, list[str]]:
    optimized = onnx.load(path, load_external_data=False)
    return {node.name: list(node.output) for node in optimized.graph.node}


def _ends(model: ModelGraph, kernels: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """The operator whose output each kernel puts out; none for a change of layout."""
    producers = {
        tensor: position
        for position, operator in enumerate(model.operators)
        for tensor in operator.outputs
    }
    ends = {}
    for name, outputs in kernels.items():
        for tensor in (*outputs, name.removesuffix(_BLOCKED_SUFFIX)):
            if tensor in producers:
                ends[name] = producers[tensor]
                break
    return ends


def _groups(model: ModelGraph, ends: set[int]) -> dict[int, list[int]]:
    """The operators each kernel stands for, by the last: those whose results go into
    it. What ONNX Runtime works out ahead, from shapes alone, stands for itself.
    """
    folded = _folded(model, ends)
    readers: dict[str, int] = {}
    for position in range(len(model.operators) - 1, -1, -1):
        readers.update(dict.fromkeys(model.operators[position].inputs, position))
    end_of: dict[int, int] = {}
    for position in range(len(model.operators) - 1, -1, -1):
        next_readers = [readers[t] for t in model.operators[position].outputs if t in readers]
        inside = position not in ends and position not in folded and bool(next_readers)
        end_of[position] = end_of[min(next_readers)] if inside else position
    groups: dict[int, list[int]] = {}
    for position in range(len(model.operators)):
        groups.setdefault(end_of[position], []).append(position)
    return groups


def _folded(model: ModelGraph, ends: set[int]) -> set[int]:
    from_shapes: set[str] = set()
    folded = set()
    for position, operator in enumerate(model.operators):
        varying = [name for name in operator.inputs if name in model.tensors]
        of_shapes = operator.op_type in ("Shape", "Size") or from_shapes.issuperset(varying)
        if position not in ends and of_shapes:
            folded.add(position)
            from_shapes.update(operator.outputs)
    return folded


def _proportions(model: ModelGraph, members: Iterable[int]) -> NDArray[np.float64]:
    work = np.array([model.operators[i].macs for i in members], dtype=np.float64)
    if not work.any():
        work[:] = 1.0
    shares: NDArray[np.float64] = work / work.sum()
    return shares


def _whole_positions(num_operators: int, groups: Iterable[Sequence[int]]) -> frozenset[int]:
    parted: set[int] = set()
    for group in groups:
        parted.update(range(min(group) + 1, max(group) + 1))
    return frozenset(range(num_operators + 1)) - parted
