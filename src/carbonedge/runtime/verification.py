"""A split model on disk held against the whole."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from carbonedge.exceptions import ModelError
from carbonedge.planning import ModelGraph, load_model
from carbonedge.planning.difference import (
    TOLERANCE,
    is_equal,
    largest_difference,
    unit_difference,
)
from carbonedge.planning.manifest import End, Manifest
from carbonedge.planning.samples import made_up_requests
from carbonedge.planning.session import exact_options, open_session, run_session
from carbonedge.planning.stage_files import hash_file
from carbonedge.runtime.feeds import FeedChecker

__all__ = ["OutputDifference", "Verification", "verify"]

UNITS = 4
"""In the last place of an output's largest value, of float16 where the model has any, times
the root of the number of cuts: at each is rounded what is not within a stage."""

WOBBLES = 4
"""Times what ONNX Runtime's own optimisation of the whole changes."""

MOST_TOLERANCE = 0.25
"""Of an output's spread, whatever rounding explains: more is another answer."""

FLOAT16_EPSILON = 2.0**-10


@dataclass(frozen=True, slots=True)
class OutputDifference:
    """How one output of the split differs from the whole's.

    Parameters
    ----------
    name
        In the model.
    equal
        Whether they agree bit for bit.
    largest_difference
        See `carbonedge.planning.difference.largest_difference`; it may be infinite.
    tolerance
        What that may be: `TOLERANCE`, unless rounding explains more; see `UNITS` and
        `WOBBLES`.
    """

    name: str
    equal: bool
    largest_difference: float
    tolerance: float

    @property
    def faithful(self) -> bool:
        """Whether the largest difference is within the tolerance."""
        return self.largest_difference <= self.tolerance


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of running both.

    Parameters
    ----------
    model
        File name of the whole.
    stages
        How many there are.
    outputs
        In the order of the model's.
    """

    model: str
    stages: int
    outputs: tuple[OutputDifference, ...]

    @property
    def equal(self) -> bool:
        """Whether all outputs agree bit for bit."""
        return all(output.equal for output in self.outputs)

    @property
    def largest_difference(self) -> float:
        """Of all outputs, each relative to its spread."""
        return max((output.largest_difference for output in self.outputs), default=0.0)

    @property
    def faithful(self) -> bool:
        """Whether the largest difference of each output is within its tolerance."""
        return all(output.faithful for output in self.outputs)

    @property
    def tolerance(self) -> float:
        """The widest of all outputs."""
        return max((output.tolerance for output in self.outputs), default=TOLERANCE)

    def to_dict(self) -> dict[str, Any]:
        """As plain values; ``None`` for an infinite difference, which JSON lacks."""
        outputs = [dataclasses.asdict(output) for output in self.outputs]
        for output in outputs:
            output["largest_difference"] = _finite(output["largest_difference"])
        return {
            "model": self.model,
            "stages": self.stages,
            "equal": self.equal,
            "largest_difference": _finite(self.largest_difference),
            "tolerance": self.tolerance,
            "faithful": self.faithful,
            "outputs": outputs,
        }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def verify(
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    feed: Mapping[str, Any] | None = None,
) -> Verification:
    """Run a model, and its stages from a folder, on one request.

    Parameters
    ----------
    path
        The whole.
    folder
        From `carbonedge.planning.stage_files.split_to_folder`.
    feed
        The request, arrays by input name. When left out it is the first that
        `carbonedge.planning.samples.made_up_requests` gives and the whole runs on, or a
        later one if the answer to that is mostly rounding.

    Raises
    ------
    ModelError
        If ONNX Runtime cannot load or run the model or a stage, or an input cannot be
        made up.
    ValueError
        If the folder holds no manifest or stages of another model, or the request does not
        fit.
    """
    graph = load_model(path)
    manifest = Manifest.read(Path(folder))
    if hash_file(path) != manifest.sha256:
        raise ValueError(
            f"{str(folder)!r} holds stages of another model ({manifest.model!r}, "
            f"SHA-256 {manifest.sha256[:12]}...): split {str(path)!r} again"
        )
    if manifest.inputs != tuple(map(End.of, graph.inputs)):
        raise ModelError(f"the manifest in {str(folder)!r} names other inputs: split again")
    names = [output.name for output in graph.outputs]
    first: Verification | None = None
    for request, expected in _answers(graph, Path(path), names, feed):
        actual = _stages_answer(manifest, Path(folder), names, request)
        explained = [0.0] * len(names)
        if largest_difference(expected, actual) > TOLERANCE:
            units = UNITS * math.sqrt(max(len(manifest.cuts), 1))
            explained = _explained(graph, Path(path), names, request, expected, units)
        found = Verification(
            Path(path).name,
            len(manifest.stages),
            tuple(map(_compared, names, expected, actual, map(_tolerance, explained))),
        )
        if max(explained, default=0.0) <= MOST_TOLERANCE and not (first and _is_flat(expected)):
            return found
        # The answer is noise, as a detector's is that sees nothing: another may tell more.
        first = first or found
    assert first is not None, "_answers gives one or raises"
    return first


def _compared(name: str, expected: Any, actual: Any, tolerance: float) -> OutputDifference:
    return OutputDifference(
        name, is_equal(expected, actual), largest_difference(expected, actual), tolerance
    )


def _answers(
    graph: ModelGraph, path: Path, names: Sequence[str], feed: Mapping[str, Any] | None
) -> Iterator[tuple[Mapping[str, Any], list[Any]]]:
    """The request, or those made up that the whole runs on, and what it answers."""
    if feed is not None:
        FeedChecker(graph.inputs).check(feed)
        yield feed, _whole_answer(path, names, feed)
        return
    session, reason, answered = None, None, False
    for request in made_up_requests(graph.inputs):
        session = session or open_session(path, sess_options=exact_options())
        try:
            answer = run_session(session.run, names, request)
        except ModelError as error:
            reason = reason or error
            continue
        # The stages may need its room.
        session, answered = None, True
        yield request, answer
    if not answered:
        raise ModelError(f"no request that was made up fits, give one by --input: {reason}")


def _tolerance(explained: float) -> float:
    """Of an output, for the difference that rounding explains."""
    return max(TOLERANCE, min(explained, MOST_TOLERANCE))


def _explained(
    graph: ModelGraph,
    path: Path,
    names: Sequence[str],
    feed: Mapping[str, Any],
    expected: Sequence[Any],
    units: float,
) -> list[float]:
    """What rounding explains: of the coarsest type, or of ONNX Runtime's own choices."""
    plain = _whole_answer(path, names, feed, optimise=False)
    half = any("float16" in tensor.dtype for tensor in graph.tensors.values())
    epsilon = FLOAT16_EPSILON if half else 0.0
    return [
        max(units * unit_difference(whole, epsilon), WOBBLES * largest_difference(whole, other))
        for whole, other in zip(expected, plain, strict=True)
    ]


def _is_flat(answer: Sequence[Any]) -> bool:
    """Whether every output has the same value all over."""
    return all(
        isinstance(value, np.ndarray) and np.all(value == value.flat[:1]) for value in answer
    )


def _whole_answer(
    path: Path, names: Sequence[str], feed: Mapping[str, Any], *, optimise: bool = True
) -> list[Any]:
    session = open_session(path, sess_options=exact_options(optimise=optimise))
    return run_session(session.run, names, feed)


def _stages_answer(
    manifest: Manifest, folder: Path, names: Sequence[str], feed: Mapping[str, Any]
) -> list[Any]:
    tensors = _run_stages(manifest, folder, feed)
    for name in names:
        if name not in tensors:
            raise ModelError(f"no stage in {str(folder)!r} puts out {name!r}: split again")
    return [tensors[name] for name in names]


def _run_stages(manifest: Manifest, folder: Path, feed: Mapping[str, Any]) -> dict[str, Any]:
    """All tensors that cross or leave; a value lives on until the end."""
    tensors = dict(feed)
    for stage in manifest.stages:
        session = open_session(folder / Path(stage.file).name, sess_options=exact_options())
        names = [end.name for end in stage.outputs]
        wanted = {end.name: tensors[end.name] for end in stage.inputs}
        tensors.update(zip(names, run_session(session.run, names, wanted), strict=True))
    return tensors
