"""A model as it is for inputs of given sizes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto

from carbonedge.planning.model import ModelGraph, tensor_of
from carbonedge.planning.work import WorkCounter

__all__ = ["sized"]

SMALL_CONSTANT = 1024
"""Elements; larger ones say nothing about shapes but their own."""


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
    shapes = {
        tensor.name: np.shape(feed[tensor.name])
        for tensor in model.inputs
        if tensor.name in feed and tensor.shape != np.shape(feed[tensor.name])
    }
    if not shapes:
        return model
    proto = onnx.shape_inference.infer_shapes(_declared(model, shapes), data_prop=True)
    graph = proto.graph
    infos = (*graph.value_info, *graph.input, *graph.output)
    known = {**model.tensors, **{info.name: tensor_of(info) for info in infos}}
    tensors = {name: known[name] for name in model.tensors}
    work = WorkCounter(proto)
    operators = tuple(
        dataclasses.replace(
            operator,
            macs=work.macs(node),
            activation_mb=sum(tensors[name].mb for name in operator.outputs) + work.body_mb(node),
        )
        for operator, node in zip(model.operators, model.nodes, strict=True)
    )
    return dataclasses.replace(
        model,
        operators=operators,
        cuts=tuple(
            dataclasses.replace(cut, tensors=tuple(tensors[tensor.name] for tensor in cut.tensors))
            for cut in model.cuts
        ),
        inputs=tuple(tensors[tensor.name] for tensor in model.inputs),
        outputs=tuple(known[tensor.name] for tensor in model.outputs),
        tensors=tensors,
    )


def _declared(model: ModelGraph, shapes: Mapping[str, tuple[int, ...]]) -> ModelProto:
    """The model without its weights and with inputs of fixed shapes."""
    whole = model.proto
    proto = ModelProto(ir_version=whole.ir_version)
    proto.opset_import.extend(whole.opset_import)
    proto.functions.extend(whole.functions)
    graph = proto.graph
    graph.name = whole.graph.name
    graph.node.extend(whole.graph.node)
    graph.sparse_initializer.extend(whole.graph.sparse_initializer)
    for value in whole.graph.input:
        graph.input.append(value)
        if value.name in shapes:
            elem_type = value.type.tensor_type.elem_type
            graph.input[-1].CopyFrom(
                onnx.helper.make_tensor_value_info(value.name, elem_type, shapes[value.name])
            )
    for constant in whole.graph.initializer:
        if math.prod(constant.dims) <= SMALL_CONSTANT:
            graph.initializer.append(constant)
        else:
            graph.input.append(
                onnx.helper.make_tensor_value_info(constant.name, constant.data_type, constant.dims)
            )
    graph.output.extend(whole.graph.output)
    # A name for a size would stand against what follows from the inputs.
    for value in graph.output:
        for dimension in value.type.tensor_type.shape.dim:
            if not dimension.HasField("dim_value"):
                dimension.Clear()
    return proto
