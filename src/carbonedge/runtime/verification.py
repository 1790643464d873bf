"""A split model on disk held against the whole."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carbonedge.exceptions import ModelError
from carbonedge.planning import ModelGraph, load_model
from carbonedge.planning.difference import (
    TOLERANCE,
    is_equal,
    largest_difference,
    unit_difference,
)
from carbonedge.planning.manifest import End, Manifest
from carbonedge.planning.session import open_session, run_session
from carbonedge.planning.stage_files import hash_file
from carbonedge.runtime.feeds import FeedChecker
from carbonedge.runtime.requests import made_up_requests

__all__ = ["OutputDifference", "Verification", "verify"]

UNITS = 4
"""In the last place of an output's largest value, of float16 where the model has any: at a
cut is rounded what is not within a stage."""

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
        The request, arrays by input name; made up when left out.

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
    feed, expected = _answered(graph, Path(path), names, feed)
    tensors = _run_stages(manifest, Path(folder), feed)
    for name in names:
        if name not in tensors:
            raise ModelError(f"no stage in {str(folder)!r} puts out {name!r}: split again")
    actual = [tensors[name] for name in names]
    tolerances = [TOLERANCE] * len(names)
    if largest_difference(expected, actual) > TOLERANCE:
        tolerances = _wider_tolerances(graph, Path(path), names, feed, expected)
    return Verification(
        Path(path).name,
        len(manifest.stages),
        tuple(map(_compared, names, expected, actual, tolerances)),
    )


def _compared(name: str, expected: Any, actual: Any, tolerance: float) -> OutputDifference:
    return OutputDifference(
        name, is_equal(expected, actual), largest_difference(expected, actual), tolerance
    )


def _answered(
    graph: ModelGraph, path: Path, names: Sequence[str], feed: Mapping[str, Any] | None
) -> tuple[Mapping[str, Any], list[Any]]:
    """A request, and what the whole answers."""
    session = open_session(path, sess_options=_quiet())
    if feed is not None:
        FeedChecker(graph.inputs).check(feed)
        return feed, run_session(session.run, names, feed)
    for made_up in made_up_requests(graph.inputs):
        try:
            return made_up, run_session(session.run, names, made_up)
        except ModelError as error:
            reason = error
    raise ModelError(f"no request that was made up fits, give one by --input: {reason}")


def _wider_tolerances(
    graph: ModelGraph,
    path: Path,
    names: Sequence[str],
    feed: Mapping[str, Any],
    expected: Sequence[Any],
) -> list[float]:
    """What rounding explains: of the coarsest type, or of ONNX Runtime's own choices."""
    session = open_session(path, sess_options=_unoptimised())
    plain = run_session(session.run, names, feed)
    half = any("float16" in tensor.dtype for tensor in graph.tensors.values())
    epsilon = FLOAT16_EPSILON if half else 0.0
    tolerances = []
    for whole, other in zip(expected, plain, strict=True):
        wobble = largest_difference(whole, other)
        explained = max(
            UNITS * unit_difference(whole, epsilon),
            WOBBLES * wobble if math.isfinite(wobble) else 0.0,
        )
        tolerances.append(max(TOLERANCE, min(explained, MOST_TOLERANCE)))
    return tolerances


def _run_stages(manifest: Manifest, folder: Path, feed: Mapping[str, Any]) -> dict[str, Any]:
    """All tensors that cross or leave; a value lives on until the end."""
    tensors = dict(feed)
    for stage in manifest.stages:
        session = open_session(folder / Path(stage.file).name, sess_options=_quiet())
        names = [end.name for end in stage.outputs]
        wanted = {end.name: tensors[end.name] for end in stage.inputs}
        tensors.update(zip(names, run_session(session.run, names, wanted), strict=True))
    return tensors


def _quiet() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # What fails is raised; the same again on stderr helps nobody.
    options.log_severity_level = 4
    return options


def _unoptimised() -> Any:
    import onnxruntime

    options = _quiet()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options
