"""Chooses who computes: the C++ core, its Numba twin, or that twin as plain Python."""

from __future__ import annotations

import functools
import importlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from carbonedge.exceptions import BackendUnavailableError

__all__ = ["ENVIRONMENT_VARIABLE", "NAMES", "Backend", "backend", "load"]

ENVIRONMENT_VARIABLE = "CARBONEDGE_BACKEND"
NAMES = ("native", "numba", "python")
"""In order of preference."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Backend:
    """One implementation of what `_core.pyi` declares.

    Parameters
    ----------
    name
        One of `NAMES`.
    detail
        How it was built, for people.
    NodeTable, choose_once, solve_partition, Counters
        See `_core.pyi`.
    """

    name: str
    detail: str
    NodeTable: type[Any]
    choose_once: Callable[..., tuple[Any, ...] | None]
    solve_partition: Callable[..., tuple[Any, ...]]
    Counters: type[Any]


@functools.cache
def load(name: str) -> Backend:
    """The backend of that name.

    Raises
    ------
    ValueError
        If there is no such name.
    BackendUnavailableError
        If it is not installed.
    """
    loaders = {"native": _load_native, "numba": _load_numba, "python": _load_python}
    if name not in loaders:
        raise ValueError(f"backend {name!r} is not known: choose one of {', '.join(NAMES)}")
    return loaders[name]()


@functools.cache
def backend() -> Backend:
    """The backend in use: the one that CARBONEDGE_BACKEND names, else the first of
    `NAMES` that loads. Falling back is logged once, as a warning.
    """
    forced = os.environ.get(ENVIRONMENT_VARIABLE)
    if forced:
        return load(forced)
    reasons = []
    for name in NAMES[:-1]:
        try:
            chosen = load(name)
        except BackendUnavailableError as error:
            reasons.append(str(error))
            continue
        break
    else:
        chosen = load(NAMES[-1])
    if reasons:
        logger.warning("using the slower %s backend: %s", chosen.name, "; ".join(reasons))
    return chosen


def _load_native() -> Backend:
    try:
        _core = importlib.import_module("carbonedge._core")
    except ImportError as error:
        raise BackendUnavailableError(
            f"the native core is not there ({error}): "
            "reinstall carbonedge where a C++20 compiler is found"
        ) from error
    return Backend(
        "native",
        f"{_core.BUILD_TYPE} build",
        _core.NodeTable,
        _core.choose_once,
        _core.solve_partition,
        _core.Counters,
    )


def _load_numba() -> Backend:
    try:
        import numba
        from numba.extending import register_jitable
    except ImportError as error:
        raise BackendUnavailableError(
            'numba is not installed: pip install "carbonedge[numba]"'
        ) from error
    from carbonedge import _kernels, _partition_kernels
    from carbonedge._counters import Counters
    from carbonedge._node_table import NodeTable, choose_once
    from carbonedge._partition_search import solve_partition

    # The kernels stay plain Python; this lets compiled ones call them as they are.
    for helper in (*_kernels.HELPERS, *_partition_kernels.HELPERS):
        register_jitable(helper)

    def compiled(kernel: Callable[..., Any]) -> Any:
        # These two only let minima be taken in any order; no sum changes.
        fast = {"nnan", "nsz"}
        return numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=fast)(kernel)

    kernels = {
        f"_{kernel.__name__}": staticmethod(compiled(kernel)) for kernel in _kernels.TABLE_KERNELS
    }
    table = type("NodeTable", (NodeTable,), {"__slots__": (), **kernels})
    return Backend(
        "numba",
        f"numba {numba.__version__}",
        table,
        functools.partial(choose_once, table),
        functools.partial(
            solve_partition,
            _partition_kernels.Kernels(*map(compiled, _partition_kernels.KERNELS)),
        ),
        Counters,
    )


def _load_python() -> Backend:
    from carbonedge._counters import Counters
    from carbonedge._node_table import NodeTable, choose_once
    from carbonedge._partition_kernels import KERNELS
    from carbonedge._partition_search import solve_partition

    return Backend(
        "python",
        "plain Python",
        NodeTable,
        functools.partial(choose_once, NodeTable),
        functools.partial(solve_partition, KERNELS),
        Counters,
    )
