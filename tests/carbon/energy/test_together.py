from __future__ import annotations

import pytest

from carbonedge.carbon.energy import Counter, ReplayMeter, Together
from carbonedge.carbon.energy.meter import Component, MeterMethod


class Fake:
    """A meter of counters that rise by 1 J a read."""

    def __init__(self, name: str, method: MeterMethod, *counters: Counter) -> None:
        self.name = name
        self.method = method
        self.counters = counters
        self.reads = 0
        self.closed = 0

    def read_j(self) -> tuple[float, ...]:
        self.reads += 1
        return tuple(float(self.reads) for _ in self.counters)

    def close(self) -> None:
        self.closed += 1


CPU = Counter("0", "cpu", idle_power_w=3.0)
MEMORY = Counter("0", "memory")
GPU = Counter("0", "gpu")
MACHINE = Counter("plug", "machine")


def test_counters_are_joined_under_names_of_their_own() -> None:
    rapl, nvml = Fake("rapl", "measured", CPU, MEMORY), Fake("nvml", "measured", GPU)
    rapl.counters = (CPU, Counter("dram", "memory"))
    both = Together([rapl, nvml])
    assert both.name == "rapl+nvml"
    assert both.counters == (
        Counter("rapl/0", "cpu", idle_power_w=3.0),
        Counter("rapl/dram", "memory"),
        Counter("nvml/0", "gpu"),
    )
    nvml.reads = 6
    assert both.read_j() == (1, 1, 7)


def test_meters_of_one_name_are_numbered() -> None:
    def replay(component: Component) -> ReplayMeter:
        return ReplayMeter([0, 1], [0, 1], counters=[Counter("0", component)])

    both = Together([replay("cpu"), Fake("nvml", "measured", GPU), replay("memory")])
    assert [counter.name for counter in both.counters] == ["replay-0/0", "nvml/0", "replay-1/0"]


@pytest.mark.parametrize(
    ("methods", "weakest"),
    [
        (("measured", "measured"), "measured"),
        (("measured", "modelled"), "modelled"),
        (("modelled", "emulated"), "emulated"),
        (("emulated", "measured"), "emulated"),
    ],
)
def test_the_method_is_the_weakest(
    methods: tuple[MeterMethod, MeterMethod], weakest: MeterMethod
) -> None:
    both = Together([Fake("a", methods[0], CPU), Fake("b", methods[1], GPU)])
    assert both.method == weakest


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ((CPU, MEMORY), (MEMORY,), "memory"),
        ((CPU, MEMORY), (CPU, MEMORY), "cpu, memory"),
        ((MACHINE,), (MEMORY, CPU), "cpu, memory"),
        ((GPU,), (MACHINE,), "gpu"),
        ((MACHINE,), (MACHINE,), "machine"),
    ],
)
def test_no_joule_counts_twice(
    one: tuple[Counter, ...], other: tuple[Counter, ...], same: str
) -> None:
    meters = [
        Fake("first", "measured", *one),
        Fake("last", "modelled", *other),
    ]
    with pytest.raises(ValueError, match="leave one of them out") as refused:
        Together(meters)
    assert f"meters 'first' and 'last' both cover {same}:" in str(refused.value)


def test_all_are_closed_even_if_one_cannot_be() -> None:
    class Stuck(Fake):
        def close(self) -> None:
            super().close()
            raise OSError("stuck")

    meters = [
        Fake("a", "measured", CPU),
        Stuck("b", "measured", GPU),
        Fake("c", "measured", MEMORY),
    ]
    with pytest.raises(OSError, match="stuck"):
        Together(meters).close()
    assert [meter.closed for meter in meters] == [1, 1, 1]


def test_no_meters_are_no_meter() -> None:
    with pytest.raises(ValueError, match="name at least one"):
        Together([])
