"""Which operators ONNX Runtime fuses, read off the graph it optimises a model into."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import onnx
from onnx import NodeProto

from carbonedge.planning.model import ModelGraph, Operator
from carbonedge.planning.session import open_session, quiet_options

__all__ = ["Fusion", "fusion", "optimizing_options", "read_fusion"]

OPTIMIZED_FILE = "optimized.onnx"
WEIGHTS_FILE = "optimized.weights"

# A kernel in ONNX Runtime's blocked layout has the name of the tensor it stood for before
# sums and activations behind it were drawn in.
_BLOCKED_DOMAIN = "com.microsoft.nchwc"
_BLOCKED_SUFFIX = "_nchwc"
_INPUTS_OF_CONV = 3
_SUMS = ("Add", "Sum")
_COPIED_OPTIONS = (
    "execution_mode",
    "graph_optimization_level",
    "inter_op_num_threads",
    "intra_op_num_threads",
)


@dataclass(frozen=True, slots=True)
class Fusion:
    """Groups of operators that run as one.

    Parameters
    ----------
    groups
        Positions of operators, each in one group; by the last of each.
    kernels
        The group of each of ONNX Runtime's kernels, by name.
    """

    groups: Mapping[int, tuple[int, ...]]
    kernels: Mapping[str, int]

    @property
    def positions(self) -> frozenset[int]:
        """Where a cut parts no group."""
        parted: set[int] = set()
        for group in self.groups.values():
            parted.update(range(min(group) + 1, max(group) + 1))
        num_operators = sum(map(len, self.groups.values()))
        return frozenset(range(num_operators + 1)) - parted


def fusion(
    model: ModelGraph, *, providers: Sequence[Any] | None = None, sess_options: Any = None
) -> Fusion:
    """What ONNX Runtime fuses here; it loads the model but does not run it.

    Raises
    ------
    ModelError
        If ONNX Runtime cannot load the model.
    """
    with tempfile.TemporaryDirectory(prefix="carbonedge-") as folder:
        options = optimizing_options(Path(folder), sess_options)
        open_session(model, providers=providers, sess_options=options)
        return read_fusion(model, Path(folder))


def optimizing_options(folder: Path, sess_options: Any) -> Any:
    """Options that leave the optimised graph in a folder.

    Threads, execution mode and optimisation level are those of `sess_options`.
    """
    # That the optimised model fits this machine only, of which it warns, is just what is wanted.
    options = quiet_options()
    if sess_options is not None:
        for name in _COPIED_OPTIONS:
            setattr(options, name, getattr(sess_options, name))
    options.optimized_model_filepath = str(folder / OPTIMIZED_FILE)
    # No model file holds more than 2 GB.
    options.add_session_config_entry(
        "session.optimized_model_external_initializers_file_name", WEIGHTS_FILE
    )
    return options


def read_fusion(model: ModelGraph, folder: Path) -> Fusion:
    """What was fused in the optimised graph that a session left in a folder."""
    optimized = onnx.load(folder / OPTIMIZED_FILE, load_external_data=False)
    chain = _Chain.of(model)
    ends = _ends(chain, optimized.graph.node)
    end_of = _end_of(model, chain, set(ends.values()))
    groups = defaultdict(list)
    for position, end in enumerate(end_of):
        groups[end].append(position)
    kernels = {name: end_of[end] for name, end in ends.items()}
    return Fusion({end: tuple(members) for end, members in groups.items()}, kernels)


@dataclass(frozen=True, slots=True)
class _Chain:
    """Where in a model's row of operators names and tensors come up."""

    operators: Sequence[Operator]
    names: Mapping[str, int]
    producers: Mapping[str, int]
    readers: Mapping[str, Sequence[int]]

    @classmethod
    def of(cls, model: ModelGraph) -> Self:
        readers = defaultdict(list)
        for position, operator in enumerate(model.operators):
            for name in operator.inputs:
                readers[name].append(position)
        numbered = list(enumerate(model.operators))
        return cls(
            model.operators,
            {operator.name: position for position, operator in numbered},
            {name: position for position, operator in numbered for name in operator.outputs},
            readers,
        )

    def namesake(self, kernel: NodeProto) -> int | None:
        """The operator whose result or name a kernel bears."""
        for name in (*kernel.output, kernel.name.partition(_BLOCKED_SUFFIX)[0]):
            if name in self.producers:
                return self.producers[name]
        return self.names.get(kernel.name)

    def only_reader(self, position: int) -> int | None:
        """The operator that alone reads what one puts out."""
        readers = {r for name in self.operators[position].outputs for r in self.readers[name]}
        return readers.pop() if len(readers) == 1 else None


def _ends(chain: _Chain, kernels: Sequence[NodeProto]) -> dict[str, int]:
    """The last operator that each kernel stands for."""
    known = {}
    for number, kernel in enumerate(kernels):
        position = chain.namesake(kernel)
        if position is not None:
            known[number] = position
    for number, position in known.items():
        known[number] = _drawn_in(chain, kernels[number], position, set(known.values()))

    # What only changes a layout goes with the kernel that it is done for.
    reader = {name: n for n in range(len(kernels) - 1, -1, -1) for name in kernels[n].input}
    for number in range(len(kernels) - 1, -1, -1):
        for name in kernels[number].output:
            if number not in known and reader.get(name) in known:
                known[number] = known[reader[name]]
    return {kernels[number].name: position for number, position in known.items()}


def _drawn_in(chain: _Chain, kernel: NodeProto, position: int, claimed: set[int]) -> int:
    """The last operator of a convolution in the blocked layout, which adds up a fourth
    input and applies an activation itself, without taking their names.
    """
    if kernel.domain != _BLOCKED_DOMAIN or kernel.op_type != "Conv":
        return position
    activation = next((a.s.decode() for a in kernel.attribute if a.name == "activation"), None)
    adds = len(kernel.input) > _INPUTS_OF_CONV and bool(kernel.input[_INPUTS_OF_CONV])
    for wanted in (_SUMS if adds else (), (activation,) if activation else ()):
        further = chain.only_reader(position)
        if further is None or further in claimed:
            continue
        if chain.operators[further].op_type in wanted:
            position = further
    return position


def _end_of(model: ModelGraph, chain: _Chain, ends: set[int]) -> list[int]:
    """The last of each operator's group: a kernel stands for the operators whose results
    go into it. What ONNX Runtime works out ahead, from shapes alone, stands for itself.
    """
    folded = _folded(model, ends)
    end_of = list(range(len(model.operators)))
    for position in range(len(model.operators) - 1, -1, -1):
        readers = [r for name in chain.operators[position].outputs for r in chain.readers[name]]
        if position not in ends and position not in folded and readers:
            end_of[position] = end_of[min(readers)]
    return end_of


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
