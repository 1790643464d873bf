"""Plans of a model, up on the nodes of a local cluster."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from carbonedge.cluster import Cluster, Node
from carbonedge.exceptions import InfeasibleError, ModelError
from carbonedge.experiments.paper.models import PaperModel
from carbonedge.experiments.paper.photos import Photos
from carbonedge.planning import OperatorCosts, Plan
from carbonedge.planning.whole import whole_plans
from carbonedge.runtime import InferenceSession

__all__ = ["check_fits", "open_plan", "open_whole", "warm_up"]


def check_fits(model: PaperModel, nodes: Sequence[Node]) -> None:
    """See that each node could hold the whole model.

    Raises
    ------
    ModelError
        If one has too little memory.
    """
    for node in nodes:
        if model.graph.memory_mb > node.memory_mb:
            raise _too_large(
                model,
                f"it takes {model.graph.memory_mb:.0f} MB and {node.name} has {node.memory_mb:g}",
            )


def _too_large(model: PaperModel, why: str) -> ModelError:
    return ModelError(
        f"{model.label} does not fit whole on each of the paper's nodes: {why}; give a smaller one"
    )


def open_plan(
    model: PaperModel,
    cluster: Cluster,
    plan: Plan,
    *,
    costs: OperatorCosts,
    photos: Photos,
    address: str,
) -> InferenceSession:
    """A session of one plan that stays as it is, with workers on its nodes only: more of them
    would not fit into what memory nodes have.
    """
    used = {stage.node for stage in plan.stages}
    kept = [place for place, node in enumerate(cluster.nodes) if node.name in used]
    links = [link for link in cluster.links if {link.source, link.target} <= used]
    return InferenceSession(
        model.graph,
        Cluster([cluster.nodes[place] for place in kept], links),
        plan=plan,
        runtime="ray",
        address=address,
        costs=dataclasses.replace(
            costs, time_ms=costs.time_ms[:, kept], overhead_ms=costs.overhead_ms[kept]
        ),
        feed={model.input: photos.tensors[0]},
        adaptation=None,
    )


def warm_up(model: PaperModel, session: InferenceSession, photos: Photos) -> None:
    """Answer all photos once, for a worker that has just begun is slower than it will be."""
    for photo in photos.tensors:
        session.run(None, {model.input: photo})


@contextlib.contextmanager
def open_whole(
    model: PaperModel, cluster: Cluster, *, costs: OperatorCosts, photos: Photos, address: str
) -> Iterator[Mapping[str, InferenceSession]]:
    """The whole model on every node, by its name.

    Raises
    ------
    ModelError
        If one has too little memory, beside what its worker takes.
    """
    plans = whole_plans(model.graph, cluster, costs=costs)
    with contextlib.ExitStack() as opened, ThreadPoolExecutor(len(plans)) as pool:
        started = [
            pool.submit(
                open_plan, model, cluster, plan, costs=costs, photos=photos, address=address
            )
            for plan in plans
        ]
        sessions = {}
        for plan, one in zip(plans, started, strict=True):
            try:
                sessions[plan.stages[0].node] = opened.enter_context(one.result())
            except InfeasibleError as error:
                raise _too_large(model, str(error).partition(";")[0]) from error
        yield sessions
