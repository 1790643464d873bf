"""The models of the experiment."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from carbonedge.exceptions import ModelError
from carbonedge.experiments.paper.photos import SIDE
from carbonedge.experiments.paper.published import MODELS
from carbonedge.planning import ModelGraph, load_model

__all__ = ["PaperModel", "read_models"]

TAKEN = (1, 3, SIDE, SIDE)
DTYPE = "tensor(float)"


@dataclass(frozen=True, slots=True, eq=False)
class PaperModel:
    """A model that takes photos.

    Parameters
    ----------
    label
        The paper's name for it, or its file's.
    graph
        From `load_model`.
    input
        The name of what takes the photo.
    """

    label: str
    graph: ModelGraph
    input: str


def read_models(paths: Sequence[str | os.PathLike[str]]) -> list[PaperModel]:
    """ONNX files as models of the experiment, the paper's own first and in its order.

    Raises
    ------
    ModelError
        If one cannot be read, takes anything but one photo, or two have one name.
    """
    models = [_read(path) for path in paths]
    labels = [model.label for model in models]
    for label in labels:
        if labels.count(label) > 1:
            raise ModelError(f"two models are {label}: give one of each")
    known = list(MODELS.values())
    return sorted(
        models,
        key=lambda one: known.index(one.label) if one.label in known else len(known),
    )


def _read(path: str | os.PathLike[str]) -> PaperModel:
    graph = load_model(path)
    stem = Path(path).stem
    label = next((name for begins, name in MODELS.items() if stem.startswith(begins)), stem)
    shapes = [tensor.shape for tensor in graph.inputs]
    fits = len(shapes) == 1 and shapes[0] is not None and len(shapes[0]) == len(TAKEN)
    if fits and graph.inputs[0].dtype != DTYPE:
        raise ModelError(
            f"model {os.fspath(path)!r} takes {graph.inputs[0].dtype} and photos are {DTYPE}: export "
            "it with a float32 input"
        )
    if not fits or any(
        isinstance(size, int) and size != taken
        for size, taken in zip(shapes[0] or (), TAKEN, strict=True)
    ):
        raise ModelError(
            f"model {os.fspath(path)!r} takes inputs of shapes {shapes}: give one that takes one "
            f"photo, {'x'.join(map(str, TAKEN))}"
        )
    return PaperModel(label, graph, graph.inputs[0].name)
