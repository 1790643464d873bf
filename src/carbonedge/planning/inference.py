"""What is known of each tensor: by ONNX, by the model itself, and by ONNX Runtime."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import onnx
from onnx import ModelProto, TensorShapeProto, ValueInfoProto
from onnx.helper import make_tensor_value_info, make_value_info

from carbonedge.exceptions import ModelError
from carbonedge.planning.element_types import dtype_of, type_of
from carbonedge.planning.session import open_session, quiet_options

__all__ = ["declare_outputs", "infer"]

_logger = logging.getLogger(__name__)

Infos = dict[str, ValueInfoProto]

# Of their outputs, from the documents: neither onnx nor ONNX Runtime infers them all.
_RANKS = {
    "LinearClassifier": (1, 2),
    "LinearRegressor": (2,),
    "SVMClassifier": (1, 2),
    "SVMRegressor": (2,),
    "TreeEnsembleClassifier": (1, 2),
    "TreeEnsembleRegressor": (2,),
}
_SAME_RANK = {"Binarizer", "Imputer", "Normalizer", "Scaler"}


def infer(
    skeleton: ModelProto, whole: ModelProto, folder: Path | None, names: Sequence[str]
) -> Infos:
    """Types and shapes of a model's tensors, as far as anyone knows.

    What ONNX infers comes first, for what a file states of its inner tensors may be
    out of date; then what the file states; and where that leaves a type open, as for
    operators beyond ONNX's own, what ONNX Runtime says.

    Parameters
    ----------
    skeleton
        The model without heavy tensors.
    whole
        The model.
    folder
        Of its external data.
    names
        The tensors of interest.
    """
    stated = {info.name: info for info in whole.graph.value_info}
    stated |= {info.name: info for info in whole.graph.output if info.HasField("type")}
    infos = _inferred(skeleton, ())
    if whole.graph.value_info:
        infos = _merged(infos, _inferred(skeleton, stated.values()))
    infos = _merged(infos, stated)
    unclear = [name for name in names if not _is_clear(infos.get(name))]
    if unclear:
        # Sizes that follow from theirs are open too.
        unclear += [name for name in names if name in infos and _is_open_somewhere(infos[name])]
        infos = _merged(infos, _asked(skeleton, whole, folder, unclear))
        ranks = _ranks(skeleton, infos)
        if ranks:
            infos = _merged(infos, ranks)
            infos = _merged(infos, _inferred(skeleton, infos.values()))
    return infos


def declare_outputs(skeleton: ModelProto, whole: ModelProto, folder: Path | None) -> None:
    """Give outputs a shape that a file declares without, as ONNX Runtime permits."""
    missing = [info.name for info in whole.graph.output if not _is_clear(info)]
    if missing:
        infos = infer(skeleton, whole, folder, missing)
        for model in (skeleton, whole):
            for info in model.graph.output:
                if info.name in missing and info.name in infos:
                    info.CopyFrom(infos[info.name])


def _ranks(skeleton: ModelProto, infos: Infos) -> Infos:
    """Of what operators of ai.onnx.ml leave without a shape."""
    known = {info.name: info for info in skeleton.graph.input} | infos
    found = {}
    for node in skeleton.graph.node:
        if node.domain != "ai.onnx.ml":
            continue
        ranks = _RANKS.get(node.op_type, ())
        if node.op_type in _SAME_RANK and _is_clear(known.get(node.input[0])):
            ranks = (len(known[node.input[0]].type.tensor_type.shape.dim),)
        for name, rank in zip(node.output, ranks, strict=False):
            elem_type = known[name].type.tensor_type.elem_type if name in known else 0
            if elem_type and not _is_clear(known[name]):
                found[name] = make_tensor_value_info(name, elem_type, [None] * rank)
                known[name] = found[name]
    return found


def _is_clear(info: ValueInfoProto | None) -> bool:
    if info is None or not dtype_of(info.type):
        return False
    return not info.type.HasField("tensor_type") or info.type.tensor_type.HasField("shape")


def _inferred(skeleton: ModelProto, stated: Iterable[ValueInfoProto]) -> Infos:
    bare = ModelProto()
    bare.CopyFrom(skeleton)
    # Without outputs, whose shapes a file may overstate.
    del bare.graph.output[:]
    bare.graph.value_info.extend(stated)
    try:
        inferred = onnx.shape_inference.infer_shapes(bare, data_prop=True)
    except (onnx.shape_inference.InferenceError, RuntimeError) as error:
        _logger.info("onnx cannot infer the model's shapes: %s", error)
        return {}
    infos = {info.name: info for info in inferred.graph.value_info}
    for info in infos.values():
        for dimension in info.type.tensor_type.shape.dim:
            # So onnx 1.23 multiplies sizes it does not know, as of Attention.
            if dimension.HasField("dim_value") and not dimension.dim_value:
                dimension.Clear()
    return infos


def _merged(known: Mapping[str, ValueInfoProto], more: Mapping[str, ValueInfoProto]) -> Infos:
    """What is known, with gaps filled."""
    merged = dict(more)
    for name, info in known.items():
        other = more.get(name)
        if not dtype_of(info.type) and other is not None:
            continue
        merged[name] = info
        if other is not None and dtype_of(info.type) == dtype_of(other.type):
            _fill_shape(info, other)
    return merged


def _fill_shape(info: ValueInfoProto, other: ValueInfoProto) -> None:
    own, theirs = info.type.tensor_type, other.type.tensor_type
    if not info.type.HasField("tensor_type") or not theirs.HasField("shape"):
        return
    if not own.HasField("shape"):
        own.shape.CopyFrom(theirs.shape)
    elif len(own.shape.dim) == len(theirs.shape.dim):
        for mine, its in zip(own.shape.dim, theirs.shape.dim, strict=True):
            if _is_open(mine):
                mine.CopyFrom(its)


def _is_open(dimension: TensorShapeProto.Dimension) -> bool:
    # ONNX numbers what it cannot name.
    return not dimension.WhichOneof("value") or dimension.dim_param.startswith("unk__")


def _is_open_somewhere(info: ValueInfoProto) -> bool:
    return any(map(_is_open, info.type.tensor_type.shape.dim))


def _asked(
    skeleton: ModelProto, whole: ModelProto, folder: Path | None, names: Sequence[str]
) -> Infos:
    """What ONNX Runtime says of tensors that are made outputs without a type.

    The skeleton loads fast; some operators want their weights, though.
    """
    reasons = []
    for model in (skeleton, whole):
        outputs = model.graph.output
        count = len(outputs)
        present = {info.name for info in outputs}
        try:
            for name in names:
                if name not in present:
                    outputs.add().name = name
            session = open_session(model, folder=folder, sess_options=quiet_options(optimise=False))
        except ModelError as error:
            reasons.append(str(error))
        else:
            answers = {
                # ONNX Runtime infers as onnx does, sizes of 0 included.
                arg.name: type_of(arg.type, [size or None for size in arg.shape])
                for arg in session.get_outputs()
            }
            return {
                name: make_value_info(name, type_)
                for name in names
                if (type_ := answers.get(name)) is not None
            }
        finally:
            del outputs[count:]
    _logger.info("types of %d tensors stay unknown: %s", len(names), reasons[-1])
    return {}
