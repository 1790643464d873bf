"""A stand-in for ``onnxruntime.InferenceSession`` that runs a plan and counts grams."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from onnx import ModelProto

from carbonedge._validation import positive, slots
from carbonedge.carbon import Footprint
from carbonedge.carbon.accounting import Writer
from carbonedge.carbon.energy import Attribution, Meter
from carbonedge.carbon.energy.attribution import ShareBy, check_share_by
from carbonedge.carbon.energy.choice import check_meter
from carbonedge.carbon.footprint import together
from carbonedge.carbon.intensity import Signal
from carbonedge.cluster import Cluster
from carbonedge.exceptions import CarbonEdgeError
from carbonedge.planning import ModelGraph, OperatorCosts, Plan, Profile, Tensor, load_model
from carbonedge.planning.costs import given_costs
from carbonedge.planning.samples import made_up_request
from carbonedge.runtime.adaptation import Adaptation
from carbonedge.runtime.feeds import FeedChecker
from carbonedge.runtime.listening import Listening
from carbonedge.runtime.local_runtime import Answer, LocalRuntime
from carbonedge.runtime.monitor import Monitor
from carbonedge.runtime.node_state import NodeState
from carbonedge.runtime.placement import Placement, plans_for
from carbonedge.runtime.session_options import settings_of

if TYPE_CHECKING:
    from carbonedge.runtime.ray.runtime import RayRuntime

__all__ = ["InferenceSession", "NodeArg"]

RUNTIMES = ("local", "ray")
TIMEOUT_S = 60.0
_LISTENING = Listening()
_ADAPTATION = Adaptation()


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
        ``"local"``: every stage in this process. ``"ray"``: each on the machine of its node;
        needs the extra ``[ray]``.
    placement
        ``"partitioned"``: one plan. ``"replicated"``: the whole model on every node that it
        fits, a `Scheduler` choosing for each request, as in the CarbonEdge paper. ``"auto"``:
        plans of the latency-emissions front, chosen among likewise.
    scoring
        How it chooses: see `Scheduler`. ``"constrained"`` where there is an `slo_ms`, else
        ``"normalized"``, unless given.
    slo_ms
        The latency the plan may not exceed, or that requests tolerate.
    costs, feed, profile, all_cuts
        What plans are made from; see `partition`. Requests may have other sizes than
        `feed`, which plans are for.
    meter, share_by, intensity, ledger
        What counts energy, how requests that overlap share it, where intensities come from, and
        where each inference is written down; see `Monitor`. Without a meter, energy is node
        power x time; without an intensity, each node's own holds. Under Ray a meter is given
        by its name or settings, and each machine opens its own.
    providers, sess_options
        Passed on to ONNX Runtime for every stage. Under Ray the attributes of `sess_options`
        travel, and its config entries cannot.
    address
        Of a Ray cluster, ``"auto"`` for the one on this machine. Without one, and without a
        Ray that this process is connected to, a local Ray is started, whose workers stand in
        for the nodes, and stopped when the session is closed.
    timeout_s
        Of a request under Ray, unless it says so itself.
    listening, adaptation
        Under Ray, how nodes are listened to, and when plans give way to others; `None` for
        not while their nodes answer.

    Raises
    ------
    ModelError
        If the model cannot be read, cut or run.
    InfeasibleError
        If no plan meets the limits.
    ClusterError
        If no node answers under Ray.
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
        placement: str = "partitioned",
        scoring: str | None = None,
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
        address: str | None = None,
        timeout_s: float = TIMEOUT_S,
        listening: Listening = _LISTENING,
        adaptation: Adaptation | None = _ADAPTATION,
    ) -> None:
        if runtime not in RUNTIMES:
            raise ValueError(
                f"runtime {runtime!r} is not known: choose one of {', '.join(RUNTIMES)}"
            )
        if address is not None and runtime != "ray":
            raise ValueError(f"address {address!r} goes with runtime='ray': give both or none")
        if cluster is None:
            raise ValueError(
                "no cluster was given: pass one, be it of a single node, so that the power "
                "and the grid behind each gram are known"
            )
        put = Placement(placement, mode, scoring, slo_ms)
        if plan is not None and put.chooses:
            raise ValueError(f"a plan was given, and placement={placement!r} makes its own")
        self._timeout_s = positive("timeout_s", timeout_s)
        remote = runtime == "ray"
        metering = _metering(meter, share_by) if remote else None
        graph = load_model(model)
        self._inputs = graph.inputs
        self._outputs = graph.outputs
        self._output_names = [output.name for output in graph.outputs]
        self._feeds = FeedChecker(graph.inputs)
        self._monitor = Monitor(
            cluster,
            meter=None if remote else meter,
            share_by=share_by,
            intensity=intensity,
            ledger=ledger,
        )
        cluster = self._monitor.cluster
        try:
            planned = graph
            if plan is None or remote:
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
            if remote:
                from carbonedge.runtime.ray.runtime import RayRuntime

                assert not isinstance(costs, str), "they were made"
                opened: LocalRuntime | RayRuntime = RayRuntime(
                    graph,
                    planned,
                    self._monitor,
                    costs,
                    put,
                    plan=plan,
                    sample=made_up_request(planned) if feed is None else feed,
                    settings=settings_of(providers, sess_options),
                    metering=metering,
                    address=address,
                    listening=listening,
                    adaptation=adaptation,
                )
            else:
                if plan is None:
                    assert not isinstance(costs, str), "they were made"
                    plans = plans_for(put, planned, cluster, costs=costs)
                else:
                    plans = [plan]
                opened = LocalRuntime(
                    graph,
                    self._monitor,
                    plans,
                    put,
                    providers=providers,
                    sess_options=sess_options,
                )
        except BaseException:
            self._monitor.close()
            raise
        self._runtime: LocalRuntime | RayRuntime | None = opened
        self._forgotten = weakref.finalize(self, _close_aside, opened, self._monitor)
        self._forgotten.atexit = False  # the runtime sees to that itself
        self._plans = opened.plans
        self._accountings = opened.accountings

    def run(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        run_options: Any = None,
        *,
        slo_ms: float | None = None,
        timeout_s: float | None = None,
    ) -> list[Any]:
        """Answer one request.

        Parameters
        ----------
        output_names
            Which outputs; ``None`` or none for all.
        input_feed
            Arrays by input name.
        run_options
            Passed on to ONNX Runtime for every stage; not under Ray.
        slo_ms
            The latency it tolerates, where plans are chosen among by that.
        timeout_s
            How long it may take under Ray.

        Returns
        -------
        list
            The outputs in the order of their names.

        Raises
        ------
        ValueError
            If an input is missing, unknown or of wrong type or shape, there is no such
            output, or `slo_ms` chooses nothing.
        InfeasibleError
            If no plan meets `slo_ms`.
        RequestTimeoutError
            If it is not answered in time.
        CarbonEdgeError
            If the session is closed.
        """
        return self.run_with_footprint(
            output_names, input_feed, run_options, slo_ms=slo_ms, timeout_s=timeout_s
        )[0]

    def run_with_footprint(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        run_options: Any = None,
        *,
        slo_ms: float | None = None,
        timeout_s: float | None = None,
    ) -> tuple[list[Any], Footprint]:
        """The same, with what this one request cost."""
        runtime, names = self._begin(output_names)
        self._feeds.check(input_feed)
        tensors, footprint = runtime.answer(
            input_feed,
            slo_ms=slo_ms,
            timeout_s=self._timeout(timeout_s),
            run_options=run_options,
        )
        return [tensors[name] for name in names], footprint

    async def run_async(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        run_options: Any = None,
        *,
        slo_ms: float | None = None,
        timeout_s: float | None = None,
    ) -> list[Any]:
        """Answer one request while the event loop goes on; see `run`."""
        runtime, names = self._begin(output_names)
        self._feeds.check(input_feed)
        tensors, _ = await runtime.answer_async(
            input_feed,
            slo_ms=slo_ms,
            timeout_s=self._timeout(timeout_s),
            run_options=run_options,
        )
        return [tensors[name] for name in names]

    def run_many(
        self,
        output_names: Sequence[str] | None,
        input_feeds: Iterable[Mapping[str, Any]],
        *,
        in_flight: int | None = None,
        slo_ms: float | None = None,
        timeout_s: float | None = None,
    ) -> Iterator[list[Any]]:
        """Answer requests in order, under Ray with every stage busy.

        Feeds are asked for as there is room, so that they may go on for ever; whoever takes
        answers slowly is not overrun.

        Parameters
        ----------
        output_names
            Which outputs of each; ``None`` or none for all.
        input_feeds
            Arrays by input name, of each request.
        in_flight
            So many are under way at most; without it, two for each stage.
        slo_ms, timeout_s
            Of each; see `run`.

        Yields
        ------
        list
            The outputs of one request in the order of their names.

        Raises
        ------
        ValueError
            If `in_flight` is below 1; when it is a feed's turn, as `run` does. What follows
            is not answered then.
        """
        runtime, names = self._begin(output_names)
        answers = runtime.answer_many(
            map(self._checked, input_feeds),
            slo_ms=slo_ms,
            timeout_s=self._timeout(timeout_s),
            in_flight=None if in_flight is None else slots("in_flight", in_flight),
        )
        return self._chosen(names, answers)

    def get_inputs(self) -> list[NodeArg]:
        """What a request must bring."""
        return [_node_arg(tensor) for tensor in self._inputs]

    def get_outputs(self) -> list[NodeArg]:
        """What a request gets."""
        return [_node_arg(tensor) for tensor in self._outputs]

    @property
    def plan(self) -> Plan:
        """What runs where, and what was predicted; the first, where there are several."""
        return self.plans[0]

    @property
    def plans(self) -> tuple[Plan, ...]:
        """All that are up; while none is, those that were last."""
        runtime = self._runtime
        if runtime is not None:
            self._plans = runtime.plans or self._plans
        return self._plans

    @property
    def nodes(self) -> tuple[NodeState, ...]:
        """All of the cluster, as they were last heard. Under runtime ``"local"`` this process
        stands in for them: they answer, and only its versions are known.

        Raises
        ------
        CarbonEdgeError
            If the session is closed.
        """
        return self._open().nodes

    @property
    def footprint(self) -> Footprint:
        """Of all requests so far."""
        runtime = self._runtime
        if runtime is not None:
            self._accountings = runtime.accountings
        footprints = [accounting.total() for accounting in self._accountings]
        return together([one for one in footprints if one.inferences] or footprints[:1])

    def update(self, name: str, *, intensity_g_per_kwh: float) -> None:
        """Count a node's energy at this intensity from now on.

        Raises
        ------
        ClusterError
            If nothing runs on such a node.
        ValueError
            If the value is out of its range.
        CarbonEdgeError
            If the session is closed.
        """
        self._open().update(name, intensity_g_per_kwh)

    def close(self) -> None:
        """Let the stages go, and the meter, refresher and ledger that were opened for this
        session. The plan and the footprint stay.
        """
        runtime = self._runtime
        if runtime is not None:
            self._plans = runtime.plans or self._plans
            self._accountings = runtime.accountings
            self._runtime = None
            self._forgotten.detach()
            _close(runtime, self._monitor)
            self._accountings = runtime.accountings

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self) -> LocalRuntime | RayRuntime:
        if self._runtime is None:
            raise CarbonEdgeError("the session is closed: open another")
        return self._runtime

    def _begin(
        self, output_names: Sequence[str] | None
    ) -> tuple[LocalRuntime | RayRuntime, Sequence[str]]:
        # Another thread may close the session meanwhile: this request has what it needs.
        runtime = self._open()
        names = output_names or self._output_names
        for name in names:
            if name not in self._output_names:
                known = ", ".join(self._output_names)
                raise ValueError(f"the model has no output {name!r}: it has {known}")
        return runtime, names

    def _chosen(self, names: Sequence[str], answers: Iterator[Answer]) -> Iterator[list[Any]]:
        # Not a generator expression: this holds the session, which is closed when nobody does.
        for tensors, _ in answers:
            yield [tensors[name] for name in names]

    def _checked(self, feed: Mapping[str, Any]) -> Mapping[str, Any] | ValueError:
        """A feed, or what is wrong with it, to be raised when it is its turn."""
        try:
            self._feeds.check(feed)
        except ValueError as error:
            return error
        return feed

    def _timeout(self, timeout_s: float | None) -> float:
        return self._timeout_s if timeout_s is None else positive("timeout_s", timeout_s)


def _close(runtime: LocalRuntime | RayRuntime, monitor: Monitor) -> None:
    try:
        runtime.close()
    finally:
        monitor.close()


def _close_aside(runtime: LocalRuntime | RayRuntime, monitor: Monitor) -> None:
    """Of a session that nobody has any more; it may be noticed on any thread, in any lock."""
    threading.Thread(target=_close, args=(runtime, monitor), name="carbonedge-close").start()


def _metering(
    meter: Meter | Attribution | str | Mapping[str, Any] | None, share_by: ShareBy
) -> tuple[str | Mapping[str, Any], ShareBy] | None:
    if meter is None:
        return None
    if not isinstance(meter, str | Mapping):
        raise TypeError(
            f"{meter!r} counts on this machine only: under Ray give a meter by its name or "
            "settings, for each machine to open its own"
        )
    settings = {"kind": meter} if isinstance(meter, str) else dict(meter)
    share_by = check_share_by(settings.pop("share_by", share_by))
    check_meter(**settings)
    return meter, share_by


def _node_arg(tensor: Tensor) -> NodeArg:
    return NodeArg(tensor.name, tensor.dtype, list(tensor.shape or ()))
