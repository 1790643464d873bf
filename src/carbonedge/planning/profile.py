"""A model's measured times, and the conditions they hold under: kept in a file."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from carbonedge.exceptions import ModelError
from carbonedge.planning.document import read_document
from carbonedge.planning.fingerprint import fingerprint
from carbonedge.planning.model import ModelGraph
from carbonedge.planning.sized import input_shapes

__all__ = ["Conditions", "Profile", "read_profile"]

FORMAT_VERSION = 1

_CALLED = {
    "model": "model",
    "onnxruntime": "ONNX Runtime",
    "threads": "number of threads",
    "cpu": "CPU",
    "providers": "execution providers",
    "options": "options",
}


@dataclass(frozen=True, slots=True)
class Conditions:
    """What times depend on.

    Parameters
    ----------
    model
        The model's `fingerprint`.
    onnxruntime
        Its version.
    threads
        Of ONNX Runtime within an operator; 0 for its own choice, which depends on the cores.
    cpu
        The processor's name, and how many cores there are.
    providers
        Execution providers, the first choice first.
    options
        ONNX Runtime's optimisation level and execution mode.
    """

    model: str
    onnxruntime: str
    threads: int
    cpu: str
    providers: tuple[str, ...]
    options: tuple[str, ...]

    @classmethod
    def here(
        cls, model: ModelGraph, providers: Sequence[Any] | None = None, sess_options: Any = None
    ) -> Self:
        """Of a run in this process."""
        import onnxruntime

        chosen = onnxruntime.get_available_providers() if providers is None else providers
        options = onnxruntime.SessionOptions() if sess_options is None else sess_options
        return cls(
            fingerprint(model),
            onnxruntime.__version__,
            options.intra_op_num_threads,
            f"{_cpu_name()}, cores: {os.cpu_count()}",
            tuple(choice if isinstance(choice, str) else choice[0] for choice in chosen),
            (options.graph_optimization_level.name, options.execution_mode.name),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Median times of a model under some conditions.

    Parameters
    ----------
    conditions
        What they depend on.
    inputs
        The shape of each input that was run, as far as it has one.
    operators
        Names, in the model's order.
    time_ms
        Of each operator, shape [operators].
    overhead_ms
        Of a run beyond its operators.
    positions
        Cuts that part no kernel.
    """

    conditions: Conditions
    inputs: Mapping[str, tuple[int, ...]]
    operators: tuple[str, ...]
    time_ms: NDArray[np.float64]
    overhead_ms: float
    positions: frozenset[int]

    @property
    def run_ms(self) -> float:
        """Of one whole run."""
        return float(self.time_ms.sum()) + self.overhead_ms

    def check(
        self,
        model: ModelGraph,
        wanted: Conditions,
        *,
        feed: Mapping[str, Any] | None = None,
        node: str | None = None,
    ) -> None:
        """Make sure that it is a model's, measured under the conditions that are wanted and
        with inputs of the sizes that are wanted.

        Parameters
        ----------
        model
            That it is to be used for.
        wanted
            Conditions of `model`.
        feed
            Inputs that it is to be used for; without them the sizes that the model declares,
            1 where it leaves one open.
        node
            That it was measured on, if not here: then only model and inputs count.

        Raises
        ------
        ModelError
            If it is stale; the message says what differs.
        """
        compared: list[tuple[str, object, object]] = [
            (called, getattr(self.conditions, name), getattr(wanted, name))
            for name, called in _CALLED.items()
            if name == "model" or node is None
        ]
        which = "the profile" if node is None else f"the profile of node {node!r}"
        for called, then, now in compared:
            if then != now:
                raise ModelError(
                    f"{which} is stale: it was measured for {called} {_plain(then)} and this "
                    f"is {_plain(now)}; measure again with `carbonedge profile`"
                )
        shapes = input_shapes(model, feed)
        for name in {**self.inputs, **shapes}:
            then, now = self.inputs.get(name), shapes.get(name)
            if then != now:
                raise ModelError(
                    f"{which} is stale: it was measured for input {name!r} of shape "
                    f"{_plain(then)} and this is {_plain(now)}; give `carbonedge profile` and "
                    "the plan the same --input (in Python: feed), or neither"
                )
        if self.operators != tuple(operator.name for operator in model.operators):
            raise ModelError(
                f"{which} is stale: its {len(self.operators)} operators are not the model's "
                f"{len(model.operators)} in their order; measure again with `carbonedge profile`"
            )

    def to_json(self) -> str:
        """As JSON, read back by `from_json`."""
        return json.dumps(
            {
                "version": FORMAT_VERSION,
                "conditions": dataclasses.asdict(self.conditions),
                "inputs": self.inputs,
                "operators": self.operators,
                "time_ms": self.time_ms.tolist(),
                "overhead_ms": self.overhead_ms,
                "positions": sorted(self.positions),
            },
            indent=1,
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a profile back.

        Raises
        ------
        ValueError
            If the text is no profile, or of another version.
        """
        remedy = "measure again with `carbonedge profile`"
        profile = read_document(
            text, cls, "this profile", (FORMAT_VERSION,), remedy, other_types=_array
        )
        if profile.time_ms.shape != (len(profile.operators),):
            raise ValueError(
                f"this profile has {len(profile.operators)} operators and times of shape "
                f"{profile.time_ms.shape}: measure again with `carbonedge profile`"
            )
        times_ms = np.append(profile.time_ms, profile.overhead_ms)
        if not (np.isfinite(times_ms) & (times_ms >= 0)).all():
            raise ValueError("this profile has times that are none: measure again")
        ends = {0, len(profile.operators)}
        if not ends <= profile.positions <= set(range(max(ends) + 1)):
            raise ValueError(
                f"this profile has cuts other than from 0 to {max(ends)}, both among them: {remedy}"
            )
        return profile


def read_profile(source: Profile | str | os.PathLike[str]) -> Profile:
    """A profile as it is, or out of the file that holds it.

    Raises
    ------
    ValueError
        If the file cannot be read or holds no profile.
    """
    if isinstance(source, Profile):
        return source
    path = Path(source)
    try:
        return Profile.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"cannot read profile {str(path)!r}: {reason}; write one with `carbonedge profile`"
        ) from error


def _array(kind: type, value: Any) -> NDArray[np.float64]:
    return np.array(value, dtype=np.float64)


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "()"
    return "unknown" if value is None else str(value)


def _cpu_name() -> str:
    """The processor as its maker calls it, where the system tells."""
    import platform

    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    return _named(text) or platform.processor() or platform.machine()


def _named(cpuinfo: str) -> str:
    """What Linux calls a processor; of ARM's it tells the board, or numbers at least."""
    fields = (line.partition(":") for line in cpuinfo.splitlines())
    stated = {name.strip(): value.strip() for name, _, value in fields}
    for name in ("model name", "Model", "Hardware"):
        if stated.get(name):
            return stated[name]
    return " ".join(stated[name] for name in ("CPU implementer", "CPU part") if name in stated)
