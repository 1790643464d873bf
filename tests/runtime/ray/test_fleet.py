from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, cast

import ray
from remote import CLUSTER, wait_for

from carbonedge.carbon import Metered
from carbonedge.runtime import Listening
from carbonedge.runtime.ray.fleet import Fleet
from carbonedge.runtime.ray.worker import Greeting, Report
from carbonedge.runtime.session_options import Settings
from carbonedge.runtime.versions import versions


class Method:
    def __init__(self, answer: Callable[[], Any]) -> None:
        self.remote = lambda *_: answer

    def options(self, **_: Any) -> Method:
        return self


class Workers:
    """Ray with workers that answer as a test wants."""

    exceptions = ray.exceptions

    def __init__(self) -> None:
        self.meter: dict[str, Callable[[], Any]] = {}

    def remote(self, **_: Any) -> Callable[[Any], Any]:
        return lambda kind: self

    def options(self, **_: Any) -> Any:
        return SimpleNamespace(remote=self._start)

    def _start(self, node: Any, *_: Any, **__: Any) -> Any:
        name = node.name
        return SimpleNamespace(
            greet=Method(lambda: Greeting("1", f"actor of {name}", f"host of {name}", versions())),
            report=Method(lambda: Report("1", 0.1, 100.0, 0, 0, 0.0, 0.0, {}, node)),
            meter=Method(lambda: self.meter.get(name, lambda: None)()),
        )

    def get(self, ref: Callable[[], Any], timeout: float = 0.0) -> Any:
        return ref()

    def wait(self, refs: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        return refs, []

    def is_initialized(self) -> bool:
        return False


def fleet_of(
    workers: Workers, changed: Callable[[Mapping[str, str]], None], **arguments: Any
) -> Fleet:
    connection = SimpleNamespace(ray=workers, local=True, address="HEAD:6379", check_nodes=list)
    return Fleet(
        cast(Any, connection),
        CLUSTER,
        Settings(None, {}),
        listening=Listening(every_s=0.1, silent_after_s=60.0),
        intensity=lambda name: 100.0,
        heard=lambda member: None,
        changed=changed,
        **{"metering": None, **arguments},
    )


def test_nodes_lost_at_once_are_all_told_of_however_long_it_takes() -> None:
    told: list[set[str]] = []

    def changed(down: Mapping[str, str]) -> None:
        if down.keys() == {"a"}:
            time.sleep(0.3)
        told.append({*down})

    fleet = fleet_of(Workers(), changed)
    fleet._gather()
    first = threading.Thread(target=fleet.lose, args=("actor of a", "it is cut off"))
    first.start()
    time.sleep(0.1)
    fleet.lose("actor of b", "it is cut off")
    first.join()
    assert told[-1] == {"a", "b"}


def test_a_node_lost_before_its_meter_is_open_is_done_without_until_it_is() -> None:
    def open_meter() -> Any:
        asked.append(1)
        if len(asked) < 3:
            raise ray.exceptions.GetTimeoutError("no meter in time")
        return metered

    asked: list[int] = []
    told: list[set[str]] = []
    metered = Metered("measured", "a meter")
    workers = Workers()
    workers.meter["b"] = open_meter
    fleet = fleet_of(workers, lambda down: told.append({*down}), metering=("model", "cpu_time"))
    fleet.start()
    try:
        wait_for(lambda: len(told) == 5)
        assert told[-2:] == [{"b"}, set()]
        assert fleet.members["b"].metered is metered
        assert fleet.up() == ["a", "b", "c"]
    finally:
        fleet.close()
