"""A stand-in for ``onnxruntime.InferenceSession`` that runs a plan and counts grams."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from onnx import ModelProto

from carbonedge.carbon import Accounting, Footprint, Metered
from carbonedge.carbon.accounting import Writer
from carbonedge.carbon.energy import Attribution, Meter
from carbonedge.carbon.energy.attribution import ShareBy
from carbonedge.carbon.intensity import Signal
from carbonedge.cluster import Cluster
from carbonedge.exceptions import CarbonEdgeError
from carbonedge.planning import (
    ModelGraph,
    OperatorCosts,
    Plan,
    Profile,
    Tensor,
    load_model,
    partition_for_mode,
)
from carbonedge.planning.costs import given_costs
from carbonedge.runtime.feeds import FeedChecker
from carbonedge.runtime.local import LocalStages
from carbonedge.runtime.monitor import Monitor, stands_in
from carbonedge.runtime.turns import taking_turns

__all__ = ["InferenceSession", "NodeArg"]


@dataclass(frozen=True, slots=True)
class NodeArg:
    """An input or output, with the attributes of ONNX Runtime's own ``NodeArg``."""

    name: str
    type: str
    shape: list[int | str | None]


class InferenceSession:
    """Runs a model in stages over a cluster, under ``onnxruntime``'s signatures.

    Parameters
    ----------
    model
        An ONNX file, a model, or a graph from `load_model`.
    cluster
        Where it runs.
    mode
        ``"performance"``, ``"balanced"`` or ``"green"``; see `partition_for_mode`.
    plan
        A plan of your own instead.
    runtime
        ``"local"``: every stage in this process.
    slo_ms
        The latency the plan may not exceed.
    costs, feed, profile, all_cuts
        What the plan is made from; see `partition`. Requests may have other sizes than
        `feed`, which the plan is for.
    meter, share_by, intensity, ledger
        What counts energy, how requests that overlap share it, where intensities come from, and
        where each inference is written down; see `Monitor`. Without a meter, energy is node
        power x time; without an intensity, each node's own holds.
    providers, sess_options
        Passed on to ONNX Runtime for every stage.

    Attributes
    ----------
    plan
        What runs where, and what was predicted.

    Raises
    ------
    ModelError
        If the model cannot be read, cut or run.
    InfeasibleError
        If no plan meets the limits.
    MeterUnavailableError, IntensityUnavailableError
        If the meter or an intensity is not to be had now.
    ValueError
        If an argument is out of its range.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | ModelProto | ModelGraph,
        cluster: Cluster | None = None,
        *,
        mode: str = "green",
        plan: Plan | None = None,
        runtime: str = "local",
        slo_ms: float | None = None,
        costs: str | OperatorCosts = "measured",
        feed: Mapping[str, Any] | None = None,
        profile: Profile | str | os.PathLike[str] | None = None,
        all_cuts: bool = False,
        meter: Meter | Attribution | str | Mapping[str, Any] | None = None,
        share_by: ShareBy = "cpu_time",
        intensity: Signal | str | Mapping[str, Any] | None = None,
        ledger: Writer | str | os.PathLike[str] | None = None,
        providers: Sequence[Any] | None = None,
        sess_options: Any = None,
    ) -> None:
        if runtime != "local":
            raise ValueError(f"runtime {runtime!r} is not known: choose local")
        if cluster is None:
            raise ValueError(
                "no cluster was given: pass one, be it of a single node, so that the power "
                "and the grid behind each gram are known"
            )
        graph = load_model(model)
        self._monitor = Monitor(
            cluster, meter=meter, share_by=share_by, intensity=intensity, ledger=ledger
        )
        cluster = self._monitor.cluster
        try:
            if plan is None:
                planned, costs = given_costs(
                    costs,
                    graph,
                    cluster.nodes,
                    feed=feed,
                    profile=profile,
                    all_cuts=all_cuts,
                    providers=providers,
                    sess_options=sess_options,
                )
                plan = partition_for_mode(planned, cluster, mode, slo_ms=slo_ms, costs=costs)
            self._start(graph, cluster, plan, providers, sess_options)
        except BaseException:
            self._monitor.close()
            raise

    def _start(
        self,
        graph: ModelGraph,
        cluster: Cluster,
        plan: Plan,
        providers: Sequence[Any] | None,
        sess_options: Any,
    ) -> None:
        self.plan = plan
        self._inputs = graph.inputs
        self._outputs = graph.outputs
        self._output_names = [output.name for output in graph.outputs]
        self._feeds = FeedChecker(graph.inputs)
        attribution = self._monitor.attribution
        stages = LocalStages(
            graph,
            cluster,
            plan,
            attribution=attribution,
            providers=providers,
            sess_options=taking_turns(sess_options) if len(plan.stages) > 1 else sess_options,
        )
        self._accounting = Accounting(
            stages.nodes,
            stages.hops,
            signal=self._monitor.signal,
            metered=None if attribution is None else Metered.by(attribution),
            emulated=stands_in(cluster),
            ledger=self._monitor.ledger,
            model=graph.name,
            plan=plan.identity,
        )
        self._stages: LocalStages | None = stages

    def run(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        run_options: Any = None,
    ) -> list[Any]:
        """Answer one request.

        Parameters
        ----------
        output_names
            Which outputs; ``None`` or none for all.
        input_feed
            Arrays by input name.
        run_options
            Passed on to ONNX Runtime for every stage.

        Returns
        -------
        list
            The outputs in the order of their names.

        Raises
        ------
        ValueError
            If an input is missing, unknown or of wrong type or shape, or there is no
            such output.
        CarbonEdgeError
            If the session is closed.
        """
        return self.run_with_footprint(output_names, input_feed, run_options)[0]

    def run_with_footprint(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        run_options: Any = None,
    ) -> tuple[list[Any], Footprint]:
        """The same, with what this one request cost."""
        # Another thread may close the session meanwhile: this request is still answered.
        stages = self._stages
        if stages is None:
            raise CarbonEdgeError("the session is closed: open another")
        self._feeds.check(input_feed)
        names = output_names or self._output_names
        for name in names:
            if name not in self._output_names:
                known = ", ".join(self._output_names)
                raise ValueError(f"the model has no output {name!r}: it has {known}")
        tensors, taken = stages.run(input_feed, run_options)
        footprint = self._accounting.account(*taken)
        return [tensors[name] for name in names], footprint

    def get_inputs(self) -> list[NodeArg]:
        """What a request must bring."""
        return [_node_arg(tensor) for tensor in self._inputs]

    def get_outputs(self) -> list[NodeArg]:
        """What a request gets."""
        return [_node_arg(tensor) for tensor in self._outputs]

    @property
    def footprint(self) -> Footprint:
        """Of all requests so far."""
        return self._accounting.total()

    def update(self, name: str, *, intensity_g_per_kwh: float) -> None:
        """Count a node's energy at this intensity from now on.

        Raises
        ------
        ClusterError
            If the plan has no such node.
        ValueError
            If the value is out of its range.
        """
        self._accounting.intensities.set(name, intensity_g_per_kwh)

    def close(self) -> None:
        """Let the stages go, and the meter, refresher and ledger that were opened for this
        session. The plan and the footprint stay.
        """
        self._stages = None
        self._monitor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _node_arg(tensor: Tensor) -> NodeArg:
    return NodeArg(tensor.name, tensor.dtype, list(tensor.shape or ()))
