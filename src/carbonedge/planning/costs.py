"""What each operator costs on each node, from three sources in one shape."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carbonedge.cluster import Node
from carbonedge.exceptions import InfeasibleError, ModelError
from carbonedge.planning.fusion import fusion
from carbonedge.planning.measuring import measure
from carbonedge.planning.model import ModelGraph
from carbonedge.planning.profile import Conditions, Profile, read_profile
from carbonedge.planning.samples import for_request

__all__ = ["SOURCES", "OperatorCosts", "operator_costs"]

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
    """

    source: str
    time_ms: NDArray[np.float64]
    overhead_ms: NDArray[np.float64]
    positions: frozenset[int]


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
        Inputs to measure with, or to count with. When left out, they are as those of the
        profile, or else made up, see `made_up_request`; what is counted has dynamic sizes
        of 1 then.
    profile
        What was measured here before, or the file it is in: nothing is measured then.
    node_profiles
        By node, what was measured on that node itself. It counts as it is, and the other
        nodes' times are scaled from here.
    all_cuts
        Whether a cut may part what ONNX Runtime fuses, which costs time.
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
    of_nodes = dict(node_profiles or {})
    _check_profiles(nodes, source, profile, of_nodes)
    if feed is not None or source == "measured":
        model, feed = for_request(model, feed, profile)
    _check_memory(model, nodes)
    if source == "measured":
        costs = _measured(model, nodes, feed, profile, of_nodes, providers, sess_options)
    else:
        shared = _shared_out(model, nodes, source)
        positions = frozenset[int]()
        if not all_cuts:
            positions = fusion(model, providers=providers, sess_options=sess_options).positions
        costs = OperatorCosts(source, shared, np.zeros(len(nodes)), positions)
    if all_cuts:
        return dataclasses.replace(costs, positions=frozenset(range(len(model.operators) + 1)))
    return costs


def _check_profiles(
    nodes: Sequence[Node], source: str, profile: object, of_nodes: Mapping[str, object]
) -> None:
    if source != "measured" and (profile is not None or of_nodes):
        raise ValueError(f"a profile holds measured costs, not {source!r}: ask for one or other")
    names = [node.name for node in nodes]
    for name in of_nodes:
        if name not in names:
            raise ValueError(
                f"a profile is for node {name!r}, which is not there: choose from "
                f"{', '.join(names)}"
            )


def _measured(
    model: ModelGraph,
    nodes: Sequence[Node],
    feed: Mapping[str, Any] | None,
    profile: Profile | str | os.PathLike[str] | None,
    of_nodes: Mapping[str, Profile | str | os.PathLike[str]],
    providers: Sequence[Any] | None,
    sess_options: Any,
) -> OperatorCosts:
    there = {name: read_profile(given) for name, given in of_nodes.items()}
    here = None if profile is None else read_profile(profile)
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
