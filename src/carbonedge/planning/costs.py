"""What each operator costs on each node, from three sources in one shape."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from carbonedge.cluster import Node
from carbonedge.exceptions import InfeasibleError, ModelError
from carbonedge.planning.fusion import fusion
from carbonedge.planning.measuring import measure
from carbonedge.planning.model import ModelGraph
from carbonedge.planning.profile import Conditions, Profile, read_profile
from carbonedge.planning.samples import for_request
from carbonedge.planning.sized import input_shapes, of_sizes

__all__ = ["SOURCES", "Measuring", "OperatorCosts", "given_costs", "operator_costs"]

SOURCES = ("measured", "macs", "paper")


@dataclass(frozen=True, slots=True, eq=False)
class OperatorCosts:
    """Cost of operators on nodes.

    Parameters
    ----------
    source
        ``"measured"`` with ONNX Runtime's profiler, on the node itself or here and scaled
        by its speed; or its ``avg_time_ms`` shared out by ``"macs"`` or by the
        ``"paper"``'s Eq. 5.
    time_ms
        Shape [operators, nodes].
    overhead_ms
        Of a stage beyond its operators, shape [nodes].
    positions
        Where a cut leaves whole what ONNX Runtime fuses, or all.
    parting
        Those of them where it does not: its parts take longer, which is not in `time_ms`.
        With one such cut SqueezeNet took 1 to 10 % longer than uncut, 3.5 % in the mean,
        and ResNet-50 1 to 2 %; with a cut that leaves all whole 1.5 to 5 %, 2.7 % in the
        mean, and 1 to 3 %. ``None`` where nobody looked.
    inputs
        The shapes of inputs that they are for; ``None`` for whatever the model has.
    """

    source: str
    time_ms: NDArray[np.float64]
    overhead_ms: NDArray[np.float64]
    positions: frozenset[int]
    parting: frozenset[int] | None = frozenset()
    inputs: Mapping[str, tuple[int, ...]] | None = None


class Measuring(TypedDict, total=False):
    """What costs are made from besides their source; see `operator_costs`."""

    feed: Mapping[str, Any] | None
    profile: Profile | str | os.PathLike[str] | None
    node_profiles: Mapping[str, Profile | str | os.PathLike[str]] | None
    all_cuts: bool
    providers: Sequence[Any] | None
    sess_options: Any


def operator_costs(
    model: ModelGraph,
    nodes: Sequence[Node],
    source: str = "measured",
    *,
    feed: Mapping[str, Any] | None = None,
    profile: Profile | str | os.PathLike[str] | None = None,
    node_profiles: Mapping[str, Profile | str | os.PathLike[str]] | None = None,
    all_cuts: bool = False,
    providers: Sequence[Any] | None = None,
    sess_options: Any = None,
) -> OperatorCosts:
    """Cost of a model's operators on nodes.

    Parameters
    ----------
    model
        From `load_model`.
    nodes
        Where the operators may run.
    source
        One of `SOURCES`.
    feed
        Inputs to measure with, or to count with. When left out, they have the sizes of the
        profiles, or else those measured with are made up, see `made_up_request`, and what is
        counted has dynamic sizes of 1.
    profile
        What was measured here before, or the file it is in: nothing is measured then. It
        must be for inputs of the same sizes, as those of nodes must.
    node_profiles
        By node, what was measured on that node itself. It counts as it is, and the other
        nodes' times are scaled from here.
    all_cuts
        Whether a cut may part what ONNX Runtime fuses. The parts are charged what falls to
        them of the time that it takes whole, and take longer: see `OperatorCosts.parting`.
    providers, sess_options
        ONNX Runtime's.

    Raises
    ------
    ValueError
        If the source is not known, a node lacks the time that is to be shared out, or a
        profile cannot be read or used.
    InfeasibleError
        If the nodes together, or the largest for one operator, have too little memory.
    ModelError
        If ONNX Runtime cannot run the model, a profile is stale, or nothing in the model
        depends on its inputs.
    """
    if source not in SOURCES:
        raise ValueError(f"costs {source!r} are not known: choose one of {', '.join(SOURCES)}")
    if not model.operators:
        raise ModelError("nothing in the model depends on its inputs: there is nothing to plan")
    here = None if profile is None else read_profile(profile)
    there = {name: read_profile(given) for name, given in (node_profiles or {}).items()}
    _check_profiles(nodes, source, here, there)
    known = next((found.inputs for found in (here, *there.values()) if found is not None), None)
    if feed is None and known is not None and _admits(model, known):
        model = of_sizes(model, known)
    elif feed is not None or source == "measured":
        model, feed = for_request(model, feed, providers=providers, sess_options=sess_options)
    _check_memory(model, nodes)
    if source == "measured":
        costs = _measured(model, nodes, feed, here, there, providers, sess_options)
    else:
        shared = _shared_out(model, nodes, source)
        costs = OperatorCosts(source, shared, np.zeros(len(nodes)), frozenset(), None)
        if not all_cuts:
            whole = fusion(model, providers=providers, sess_options=sess_options).positions
            costs = dataclasses.replace(costs, positions=whole, parting=frozenset())
    if all_cuts:
        everywhere = frozenset(range(len(model.operators) + 1))
        # ONNX Runtime is asked only where it has to run the model anyway.
        parting = everywhere - costs.positions if source == "measured" else None
        costs = dataclasses.replace(costs, positions=everywhere, parting=parting)
    return dataclasses.replace(costs, inputs=input_shapes(model, feed))


def given_costs(
    costs: str | OperatorCosts,
    model: ModelGraph,
    nodes: Sequence[Node],
    **measuring: Unpack[Measuring],
) -> tuple[ModelGraph, OperatorCosts]:
    """A model in the sizes that it is planned for, and its costs: by their source, or those
    given, which must be of this model on these nodes and for inputs of the same sizes.

    Raises
    ------
    ValueError
        If they are not, or come with arguments that only making them needs; for the rest
        see `operator_costs`.
    """
    feed = measuring.get("feed")
    if isinstance(costs, str):
        made = operator_costs(model, nodes, costs, **measuring)
        return _in_sizes(model, feed, made, made.inputs), made
    if any(measuring.get(name) for name in ("profile", "node_profiles", "all_cuts")):
        raise ValueError("costs are given: pass profile and all_cuts to operator_costs instead")
    shape = (len(model.operators), len(nodes))
    if costs.time_ms.shape != shape:
        raise ValueError(
            f"the costs are of {costs.time_ms.shape[0]} operators on {costs.time_ms.shape[1]} "
            f"nodes and there are {shape[0]} on {shape[1]}: give those of this model and cluster"
        )
    shapes = input_shapes(model, feed)
    if feed is None and costs.inputs is not None and _admits(model, costs.inputs):
        shapes = dict(costs.inputs)
    if costs.inputs not in (None, shapes):
        raise ValueError(
            f"the costs are for inputs of shapes {costs.inputs} and the plan for {shapes}: "
            "give both the same feed, or the costs only"
        )
    return _in_sizes(model, feed, costs, shapes), costs


def _admits(model: ModelGraph, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether a model's inputs may be of some shapes."""
    return all(
        tensor.shape is None
        or (
            len(tensor.shape) == len(shapes[tensor.name])
            and all(
                declared == size or not isinstance(declared, int)
                for declared, size in zip(tensor.shape, shapes[tensor.name], strict=True)
            )
        )
        for tensor in model.inputs
        if tensor.name in shapes
    )


def _in_sizes(
    model: ModelGraph,
    feed: Mapping[str, Any] | None,
    costs: OperatorCosts,
    shapes: Mapping[str, tuple[int, ...]] | None,
) -> ModelGraph:
    # What was run has the sizes that follow from a 1 too; what is only counted may not bear it.
    run = feed is not None or (costs.source == "measured" and costs.inputs is not None)
    return of_sizes(model, shapes or {}) if run or shapes != input_shapes(model) else model


def _check_profiles(
    nodes: Sequence[Node], source: str, here: Profile | None, there: Mapping[str, Profile]
) -> None:
    if source != "measured" and (here is not None or there):
        raise ValueError(f"a profile holds measured costs, not {source!r}: ask for one or other")
    names = [node.name for node in nodes]
    for name in there:
        if name not in names:
            raise ValueError(
                f"a profile is for node {name!r}, which is not there: choose from "
                f"{', '.join(names)}"
            )


def _measured(
    model: ModelGraph,
    nodes: Sequence[Node],
    feed: Mapping[str, Any] | None,
    here: Profile | None,
    there: Mapping[str, Profile],
    providers: Sequence[Any] | None,
    sess_options: Any,
) -> OperatorCosts:
    if there or here is not None:
        conditions = Conditions.here(model, providers, sess_options)
        for name, found in there.items():
            found.check(model, conditions, feed=feed, node=name)
        if here is not None:
            here.check(model, conditions, feed=feed)
    if here is None and any(node.name not in there for node in nodes):
        here = measure(model, feed=feed, providers=providers, sess_options=sess_options)

    times, overheads, used = [], [], []
    for node in nodes:
        if node.name in there:
            found, speed = there[node.name], 1.0
        else:
            assert here is not None, "measured for the nodes without a profile"
            found, speed = here, node.speed
        times.append(found.time_ms / speed)
        overheads.append(found.overhead_ms / speed)
        used.append(found.positions)
    positions = frozenset.intersection(*used)
    return OperatorCosts("measured", np.stack(times, axis=1), np.array(overheads), positions)


def _shared_out(model: ModelGraph, nodes: Sequence[Node], source: str) -> NDArray[np.float64]:
    work = [op.macs if source == "macs" else op.paper_cost for op in model.operators]
    total = sum(work)
    if total == 0:
        raise ValueError(f"costs {source!r} are 0 for every operator: use costs='measured'")
    for node in nodes:
        if node.avg_time_ms == 0:
            raise ValueError(
                f"costs {source!r} share out avg_time_ms, which node {node.name!r} lacks: "
                "set it, or use costs='measured'"
            )
    times_ms = np.array([node.avg_time_ms for node in nodes])
    return np.outer(np.array(work, dtype=np.float64) / total, times_ms)


def _check_memory(model: ModelGraph, nodes: Sequence[Node]) -> None:
    # Before anything is run here that no node could run.
    largest = max(node.memory_mb for node in nodes)
    for operator in model.operators:
        if operator.memory_mb > largest:
            raise InfeasibleError(
                f"operator {operator.name!r} needs {operator.memory_mb:.4g} MB and the largest "
                f"node has {largest:g} MB: add memory"
            )
    together = sum(node.memory_mb for node in nodes)
    if model.memory_mb > together:
        raise InfeasibleError(
            f"the model needs {model.memory_mb:.4g} MB and the nodes have {together:g} MB "
            "together: add memory or nodes"
        )
