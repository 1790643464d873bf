"""What each operator costs on each node, from three sources in one shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carbonedge.cluster import Node
from carbonedge.exceptions import InfeasibleError, ModelError
from carbonedge.planning.model import ModelGraph
from carbonedge.planning.profile import profile

__all__ = ["SOURCES", "OperatorCosts", "operator_costs"]

SOURCES = ("measured", "macs", "paper")


@dataclass(frozen=True, slots=True, eq=False)
class OperatorCosts:
    """Cost of operators on nodes.

    Parameters
    ----------
    source
        ``"measured"`` here with ONNX Runtime's profiler and scaled by each node's
        speed, or each node's ``avg_time_ms`` shared out by ``"macs"`` or by the
        ``"paper"``'s Eq. 5.
    time_ms
        Shape [operators, nodes].
    overhead_ms
        Of a stage beyond its operators, shape [nodes].
    positions
        Where a cut leaves whole what ONNX Runtime fuses; all positions when it was
        not asked.
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
        Inputs to measure with; made up, with dynamic sizes 1, when left out.
    providers, sess_options
        ONNX Runtime's, for ``"measured"``.

    Raises
    ------
    ValueError
        If the source is not known, or a node lacks the time that is to be shared out.
    InfeasibleError
        If the nodes together, or the largest for one operator, have too little memory.
    ModelError
        If ONNX Runtime cannot run the model, or nothing in it depends on its inputs.
    """
    if source not in SOURCES:
        raise ValueError(f"costs {source!r} are not known: choose one of {', '.join(SOURCES)}")
    if not model.operators:
        raise ModelError("nothing in the model depends on its inputs: there is nothing to plan")
    _check_memory(model, nodes)
    everywhere = frozenset(range(len(model.operators) + 1))
    if source == "measured":
        here = profile(model, feed=feed, providers=providers, sess_options=sess_options)
        speeds = np.array([node.speed for node in nodes])
        return OperatorCosts(
            source,
            here.time_ms[:, np.newaxis] / speeds,
            here.overhead_ms / speeds,
            here.positions,
        )
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
    times = np.array([node.avg_time_ms for node in nodes])
    shares = np.array(work, dtype=np.float64) / total
    return OperatorCosts(source, np.outer(shares, times), np.zeros(len(nodes)), everywhere)


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
