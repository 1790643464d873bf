"""A model as it is for inputs of given sizes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import ValueInfoProto
from onnx.helper import make_tensor_value_info

from carbonedge.planning.assembly import assemble
from carbonedge.planning.cuts import resized
from carbonedge.planning.inference import infer
from carbonedge.planning.model import ModelGraph
from carbonedge.planning.tensor import tensor
from carbonedge.planning.work import WorkCounter

__all__ = ["input_shapes", "of_sizes", "shapes_of", "sized"]


def sized(model: ModelGraph, feed: Mapping[str, Any]) -> ModelGraph:
    """The same operators and cuts, with the work and the sizes that a request's inputs
    give them.

    Parameters
    ----------
    model
        From `load_model`.
    feed
        Inputs by name.

    Returns
    -------
    ModelGraph
        Over the same ``proto``; `model` itself where the request decides on no size.
    """
    return of_sizes(model, shapes_of(feed))


def of_sizes(model: ModelGraph, given: Mapping[str, tuple[int, ...]]) -> ModelGraph:
    """The same for inputs of given shapes, by name."""
    shapes = {
        declared.name: given[declared.name]
        for declared in model.inputs
        if declared.name in given and declared.shape != given[declared.name]
    }
    if not shapes:
        return model
    graph = model.proto.graph
    inputs = [_of_shape(info, shapes.get(info.name)) for info in graph.input]
    outputs = [_of_any_size(info) for info in graph.output]
    skeleton = assemble(
        model.proto, graph.node, graph.initializer, graph.sparse_initializer, inputs, outputs
    ).skeleton()
    written = [name for operator in model.operators for name in operator.outputs]
    infos = infer(skeleton, model.proto, model.folder, written)
    sizes = _named_sizes(model, shapes)
    infos = {name: _bound(info, sizes) for name, info in infos.items()}
    infos |= {info.name: info for info in inputs}
    known = {**model.tensors, **{t.name: t for t in model.outputs}}
    known |= {name: tensor(info) for name, info in infos.items() if name in known}
    work = WorkCounter(skeleton, infos)
    operators = tuple(
        dataclasses.replace(
            operator,
            macs=work.macs(node),
            activation_mb=sum(known[name].mb for name in operator.outputs) + work.body_mb(node),
        )
        for operator, node in zip(model.operators, model.nodes, strict=True)
    )
    return dataclasses.replace(
        model,
        operators=operators,
        cuts=resized(model.cuts, known),
        inputs=tuple(known[declared.name] for declared in model.inputs),
        outputs=tuple(known[declared.name] for declared in model.outputs),
        tensors={name: known[name] for name in model.tensors},
    )


def shapes_of(feed: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes of a request's arrays; sequences and maps have none."""
    return {name: value.shape for name, value in feed.items() if isinstance(value, np.ndarray)}


def input_shapes(
    model: ModelGraph, feed: Mapping[str, Any] | None = None
) -> dict[str, tuple[int, ...]]:
    """Shapes of the inputs that a plan of a model is for: a request's, or the declared ones
    with dynamic sizes taken as 1; none of sequences, maps and what has no known rank.
    """
    declared = {
        tensor.name: tuple(size if isinstance(size, int) else 1 for size in tensor.shape)
        for tensor in model.inputs
        if tensor.shape is not None
    }
    given = shapes_of(feed or {})
    return declared | {t.name: given[t.name] for t in model.inputs if t.name in given}


def _of_shape(info: ValueInfoProto, shape: tuple[int, ...] | None) -> ValueInfoProto:
    if shape is None:
        return info
    return make_tensor_value_info(info.name, info.type.tensor_type.elem_type, shape)


def _named_sizes(model: ModelGraph, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """What the names of dynamic sizes stand for."""
    return {
        name: size
        for tensor in model.inputs
        for name, size in zip(tensor.shape or (), shapes.get(tensor.name, ()), strict=False)
        if isinstance(name, str)
    }


def _bound(info: ValueInfoProto, sizes: Mapping[str, int]) -> ValueInfoProto:
    """With sizes in the place of names that nothing but the file speaks of."""
    if not any(d.dim_param in sizes for d in info.type.tensor_type.shape.dim):
        return info
    copy = ValueInfoProto()
    copy.CopyFrom(info)
    for dimension in copy.type.tensor_type.shape.dim:
        if dimension.dim_param in sizes:
            dimension.dim_value = sizes[dimension.dim_param]
    return copy


def _of_any_size(info: ValueInfoProto) -> ValueInfoProto:
    """A name for a size would stand against what follows from the inputs."""
    copy = ValueInfoProto()
    copy.CopyFrom(info)
    for dimension in copy.type.tensor_type.shape.dim:
        if not dimension.HasField("dim_value"):
            dimension.Clear()
    return copy
