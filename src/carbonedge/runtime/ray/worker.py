"""What runs on a node: it holds stages, runs them, and tells how the node is."""

from __future__ import annotations

import contextlib
import dataclasses
import platform
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from carbonedge.carbon import Metered
from carbonedge.carbon.energy import Attribution, Portion
from carbonedge.carbon.energy.attribution import ShareBy
from carbonedge.cluster import Node
from carbonedge.exceptions import CarbonEdgeError
from carbonedge.planning.packing import Package
from carbonedge.planning.session import open_session, run_session
from carbonedge.runtime.attributions import shared_attribution
from carbonedge.runtime.load import LoadGauge
from carbonedge.runtime.local_cluster.pace import Pace
from carbonedge.runtime.local_cluster.surroundings import Surroundings, local_cluster
from carbonedge.runtime.local_cluster.wires import Wires
from carbonedge.runtime.metering import Gauge, new_threads
from carbonedge.runtime.session_options import Settings
from carbonedge.runtime.sizes import bytes_of
from carbonedge.runtime.turns import taking_turns
from carbonedge.runtime.versions import versions
from carbonedge.units import BYTES_PER_MB, MS_PER_S

__all__ = [
    "CONTROL",
    "LOADING",
    "Greeting",
    "OutgrownError",
    "Passed",
    "Report",
    "StageMissingError",
    "StageSpec",
    "StageTaken",
    "TooLargeError",
    "Worker",
]

CONTROL, LOADING = "control", "loading"
"""Groups of calls that do not wait for stages that run."""

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class StageMissingError(CarbonEdgeError):
    """The worker was started anew, and no longer holds the stage."""


class TooLargeError(CarbonEdgeError):
    """The node has less memory free than the stage takes."""

    def __init__(self, node: str, memory_mb: float, free_mb: float) -> None:
        super().__init__(node, memory_mb, free_mb)
        self.node = node
        self.memory_mb = memory_mb
        self.free_mb = free_mb

    def __str__(self) -> str:
        return (
            f"node {self.node!r} has {self.free_mb:.0f} MB free and its stage takes "
            f"{self.memory_mb:.0f} MB"
        )


class OutgrownError(TooLargeError):
    """The stage took more memory than was planned, and the kernel ended its worker."""

    def __str__(self) -> str:
        return (
            f"node {self.node!r} has {self.free_mb:.0f} MB, and its stage, planned to take "
            f"{self.memory_mb:.0f} MB, took more: the kernel ended its worker"
        )


@dataclass(frozen=True, slots=True)
class StageSpec:
    """A stage of one plan.

    Parameters
    ----------
    identity
        Of the plan and the stage.
    operators
        Which operators: what one session can serve for several plans.
    inputs, outputs
        Of the session.
    passed_on
        What of all that is known by then goes on to the next stage, or to the user.
    memory_mb
        That it takes.
    comes_from, goes_to
        The node that a request comes from, and, of the last stage, the one that it goes
        to; ``None`` where it is none, or the same.
    """

    identity: str
    operators: tuple[int, int]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    passed_on: tuple[str, ...]
    memory_mb: float
    comes_from: str | None = None
    goes_to: str | None = None


class StageTaken(NamedTuple):
    """What one run of a stage took: when it began by the node's own clock, how long it ran,
    what it drew, how much it passed on, and how long links of a local cluster held it up
    before and after. It travels as a plain tuple: Ray packs that sooner.
    """

    began_s: float
    time_ms: float
    portion: Portion | None
    mb: float
    came_ms: float = 0.0
    went_ms: float = 0.0


Passed = tuple[tuple[str, ...], Mapping[str, Any], tuple[tuple[Any, ...], ...]]
"""What goes from stage to stage: the identities of those to come, tensors by name, and the
`StageTaken` of those before. One argument: Ray packs each by itself, at 30 us.
"""


@dataclass(frozen=True, slots=True)
class Greeting:
    """Who a worker is.

    Parameters
    ----------
    incarnation
        Another one each time that it is started: it then holds no stages.
    actor
        Ray's id.
    host
        The same for all workers on one running system, containers among them.
    versions
        Of what must not differ between machines without being said.
    surroundings
        What makes the machine like the node, where it is of a local cluster.
    """

    incarnation: str
    actor: str
    host: str
    versions: Mapping[str, str]
    surroundings: Surroundings | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """How a node is.

    Parameters
    ----------
    incarnation
        See `Greeting`.
    load, memory_free_mb
        Of the machine, or of the container that limits it.
    queue
        Requests that wait for a stage here or run in it.
    runs, busy_ms, energy_j
        Of all stages since the worker was started. Where another machine stands in for the
        node, times are the node's own, and so is energy by its power.
    stage_ms
        Mean time lately, by operators.
    node
        As the session that started the worker knows it, its intensity that of now.
    requests
        That came in here, at the first stage of their plan, since the worker was started.
    clock_s
        By a clock of the worker's own: an answer may be long on its way.
    time_source
        How its times come about, where it is of a local cluster.
    """

    incarnation: str
    load: float
    memory_free_mb: float
    queue: int
    runs: int
    busy_ms: float
    energy_j: float
    stage_ms: Mapping[tuple[int, int], float]
    node: Node
    requests: int = 0
    clock_s: float = 0.0
    time_source: str | None = None


class _Session(NamedTuple):
    run: Any
    gauge: Gauge


class Worker:
    """Becomes a Ray actor on the machine of a node.

    Stages run in the threads of the actor, as many at once as the node's `parallelism`.

    Parameters
    ----------
    node
        As in the cluster.
    settings
        Of the sessions of its stages.
    stands_in
        Whether this machine only stands in for the node's.
    """

    def __init__(self, node: Node, settings: Settings, *, stands_in: bool = False) -> None:
        self._node = node
        self._settings = settings
        self._speed = node.speed if stands_in else 1.0
        self._incarnation = uuid.uuid4().hex
        self._surroundings: Surroundings | None = None
        self._wires: Wires | None = None
        self._pace: Pace | None = None
        if (found := local_cluster(node.name)) is not None:
            cluster, self._surroundings = found
            self._wires = Wires(cluster)
            self._surroundings.enter()  # before its load is judged by what it has
            if self._surroundings.throttled and self._surroundings.node.cpu_cores < 1:
                self._pace = Pace(self._surroundings.node.cpu_cores)
        self._load = LoadGauge()
        self._last_load = self._load.read()
        self._attribution: Attribution | None = None
        # A lock where it will do: it takes a tenth of the time.
        self._slots: Any = (
            threading.Lock() if node.parallelism == 1 else threading.Semaphore(node.parallelism)
        )
        self._lock = threading.Lock()
        self._stages: dict[str, tuple[StageSpec, _Session]] = {}
        self._queue = 0
        self._requests = 0
        self._runs = 0
        self._busy_ms = 0.0
        self._energy_j = 0.0
        self._lately: dict[tuple[int, int], tuple[int, float]] = {}

    def greet(self) -> Greeting:
        """Say who this is."""
        import ray

        actor = ray.get_runtime_context().get_actor_id() or ""
        return Greeting(self._incarnation, actor, _host(), versions(), self._surroundings)

    def meter(self, meter: str | Mapping[str, Any], share_by: ShareBy) -> Metered:
        """Count the energy of stages that are loaded from now on by a meter of this machine.

        Raises
        ------
        MeterUnavailableError
            If there is none here.
        ValueError
            If a word or setting is not known.
        """
        self._attribution = shared_attribution(meter, share_by)
        assert self._attribution is not None, "a meter was named"
        return Metered.by(self._attribution)

    def load(self, spec: StageSpec, package: Package) -> None:
        """Hold a stage from now on.

        Raises
        ------
        TooLargeError
            If it takes more memory than there is.
        ModelError
            If ONNX Runtime cannot load it.
        """
        with self._lock:
            if spec.identity in self._stages:
                return
            held = [one for its, one in self._stages.values() if its.operators == spec.operators]
        session = held[0] if held else self._open(spec, package)
        with self._lock:
            self._stages[spec.identity] = (spec, session)

    def drop(self, identities: Sequence[str]) -> None:
        """Let stages go."""
        with self._lock:
            for identity in identities:
                self._stages.pop(identity, None)

    def run(self, passed: Passed) -> Passed:
        """Run the next stage on what it is passed.

        Raises
        ------
        StageMissingError
            If it is not held here.
        ModelError
            If ONNX Runtime fails.
        """
        (identity, *to_come), tensors, taken = passed
        held = self._stages.get(identity)
        if held is None:
            raise StageMissingError(f"node {self._node.name!r} holds no stage {identity!r}")
        spec, session = held
        wanted = {name: tensors[name] for name in spec.inputs}
        portions: list[Portion | None] = []
        came_ms = went_ms = 0.0
        if self._wires is not None and spec.comes_from is not None:
            came_ms = self._wires.carry(spec.comes_from, self._node.name, _mb(tensors))
        with self._queued(), self._slots:
            began_s = time.time()
            with session.gauge.measuring(portions):
                began = time.perf_counter()
                with contextlib.nullcontext() if self._pace is None else self._pace.kept():
                    results = run_session(session.run, spec.outputs, wanted)
                time_ms = (time.perf_counter() - began) * MS_PER_S
        known = {**tensors, **dict(zip(spec.outputs, results, strict=True))}
        on = {name: known[name] for name in spec.passed_on}
        mb = _mb(on)
        self._count(spec, time_ms, portions[0])
        if self._wires is not None and spec.goes_to is not None:
            went_ms = self._wires.carry(self._node.name, spec.goes_to, mb)
        its = (began_s, time_ms, portions[0], mb, came_ms, went_ms)
        return tuple(to_come), on, (*taken, its)

    def report(self, intensity_g_per_kwh: float | None = None) -> Report:
        """Say how the node is to its session, which says the intensity there."""
        with self._lock:
            self._last_load = self._load.read()
            if intensity_g_per_kwh is not None:
                self._node = dataclasses.replace(
                    self._node, intensity_g_per_kwh=intensity_g_per_kwh
                )
            report = self._report()
            self._lately = {}
            return report

    def tell(self) -> Report:
        """Say the same to anyone, with the load of the last report: the next one is as if
        nobody had asked.
        """
        with self._lock:
            return self._report()

    def _report(self) -> Report:
        return Report(
            self._incarnation,
            self._last_load.load,
            self._last_load.memory_free_mb,
            self._queue,
            self._runs,
            self._busy_ms,
            self._energy_j,
            {operators: total / count for operators, (count, total) in self._lately.items()},
            self._node,
            self._requests,
            time.monotonic(),
            None if self._surroundings is None else self._surroundings.time_source,
        )

    def _open(self, spec: StageSpec, package: Package) -> _Session:
        with self._lock:
            free_mb = self._load.read().memory_free_mb
        if spec.memory_mb > free_mb:
            raise TooLargeError(self._node.name, spec.memory_mb, free_mb)
        # Read or mapped into memory, files may go as soon as the session is there: a worker that is
        # killed takes nothing away.
        with tempfile.TemporaryDirectory(prefix="carbonedge-") as folder, new_threads() as threads:
            package.write_data(Path(folder))
            session = open_session(
                package.model,
                folder=None if package.data is None else Path(folder),
                providers=self._settings.providers,
                sess_options=self._options(),
            )
        gauge = Gauge(self._attribution, threads, self._node.cpu_cores)
        return _Session(session.run, gauge)

    def _options(self) -> Any:
        """Threads for the cores of the node, unless asked otherwise, that do not spin: between
        two requests a node is to draw its idle power.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = max(1, int(self._node.cpu_cores))
        for name, value in self._settings.options.items():
            setattr(options, name, value)
        return taking_turns(options)

    @contextlib.contextmanager
    def _queued(self) -> Iterator[None]:
        with self._lock:
            self._queue += 1
        try:
            yield
        finally:
            with self._lock:
                self._queue -= 1

    def _count(self, spec: StageSpec, time_ms: float, portion: Portion | None) -> None:
        node_ms = time_ms / self._speed
        modelled_j = self._node.power_w * node_ms / MS_PER_S
        with self._lock:
            self._requests += spec.operators[0] == 0
            self._runs += 1
            self._busy_ms += node_ms
            self._energy_j += modelled_j if portion is None else portion.energy_j
            count, total_ms = self._lately.get(spec.operators, (0, 0.0))
            self._lately[spec.operators] = (count + 1, total_ms + time_ms)


def _mb(tensors: Mapping[str, Any]) -> float:
    return sum(map(bytes_of, tensors.values())) / BYTES_PER_MB


def _host() -> str:
    return BOOT_ID.read_text().strip() if BOOT_ID.exists() else platform.node()
