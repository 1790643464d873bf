"""A split model on disk held against the whole."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carbonedge.exceptions import ModelError
from carbonedge.planning import load_model
from carbonedge.planning.difference import TOLERANCE, is_equal, largest_difference
from carbonedge.planning.manifest import Manifest
from carbonedge.planning.samples import sample_inputs
from carbonedge.planning.session import open_session, run_session
from carbonedge.planning.stage_files import hash_file
from carbonedge.runtime.feeds import FeedChecker

__all__ = ["OutputDifference", "Verification", "verify"]


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
    """

    name: str
    equal: bool
    largest_difference: float


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
        """Whether the largest difference is within `TOLERANCE`."""
        return self.largest_difference <= TOLERANCE

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
            "tolerance": TOLERANCE,
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
        If the folder holds stages of another model, or the request does not fit.
    OSError
        If the folder holds no manifest.
    """
    graph = load_model(path)
    manifest = Manifest.read(Path(folder))
    if hash_file(path) != manifest.sha256:
        raise ValueError(
            f"{str(folder)!r} holds stages of another model ({manifest.model!r}, "
            f"SHA-256 {manifest.sha256[:12]}...): split {str(path)!r} again"
        )
    if feed is None:
        feed = sample_inputs(graph, seed=0)
    FeedChecker(graph.inputs).check(feed)
    whole = open_session(Path(path), sess_options=_quiet())
    expected = run_session(whole.run, [output.name for output in graph.outputs], feed)
    del whole
    tensors = _run_stages(manifest, Path(folder), feed)
    outputs = []
    for output, value in zip(graph.outputs, expected, strict=True):
        if output.name not in tensors:
            raise ModelError(f"no stage in {str(folder)!r} puts out {output.name!r}: split again")
        actual = tensors[output.name]
        outputs.append(
            OutputDifference(
                output.name, is_equal(value, actual), largest_difference(value, actual)
            )
        )
    return Verification(Path(path).name, len(manifest.stages), tuple(outputs))


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
