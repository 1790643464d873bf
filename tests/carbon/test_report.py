from __future__ import annotations

import itertools
import math
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from entries import NOON_S, entry, intensity, origin
from hypothesis import given
from hypothesis import strategies as st
from locks import lock

from carbonedge.carbon.entry import Entry
from carbonedge.carbon.ledger import Ledger
from carbonedge.carbon.ledger_window import read_window
from carbonedge.carbon.ledger_writer import LedgerWriter
from carbonedge.carbon.report import report
from carbonedge.carbon.report_data import GROUPINGS, Grouping, methods_text


def written(path: Path, entries: Sequence[Entry]) -> Path:
    writer = LedgerWriter(path)
    half = len(entries) // 2
    for batch in (entries[:half], entries[half:]):
        assert writer.write(batch) == []
    writer.close()
    return path


NODES = {
    "a": {"zone": "DE", "pue": 1.0, "method": "measured", "energy_source": "rapl"},
    "b": {"zone": "DE", "pue": 1.2, "method": "modelled", "energy_source": "model"},
    "c": {"zone": "", "pue": 1.5, "method": "emulated", "energy_source": "emulation"},
}
PLANS = {"one": "a", "two": "ab", "all": "cab", "other": "bc"}
"""Nodes of the stages, in order."""


@st.composite
def inferences(draw: st.DrawFn) -> list[Entry]:
    """Entries of some inferences within some hours, all stages of each."""
    figures = st.floats(0, 1e3, allow_subnormal=False)
    entries = []
    for inference in range(draw(st.integers(0, 6))):
        plan = draw(st.sampled_from(sorted(PLANS)))
        model = draw(st.sampled_from(["squeezenet", "resnet50"]))
        time_s = NOON_S + draw(st.floats(0, 20_000))
        for stage, node in enumerate(PLANS[plan]):
            entries.append(
                entry(
                    time_s,
                    inference,
                    origin=origin(node, model=model, plan=plan, stage=stage, **NODES[node]),
                    intensity=intensity(
                        draw(st.floats(0, 1000)), source=draw(st.sampled_from(["x", "y"]))
                    ),
                    latency_ms=draw(figures),
                    cpu_j=draw(figures),
                    memory_j=draw(figures),
                    gpu_j=draw(figures),
                    machine_j=draw(figures),
                    idle_j=draw(figures),
                    transfer_j=draw(figures),
                    operational_g=draw(figures),
                    embodied_g=draw(figures),
                    transfer_g=draw(figures),
                )
            )
            time_s += draw(st.floats(0, 4000))
    return entries


def joules(one: Entry) -> float:
    return one.cpu_j + one.memory_j + one.gpu_j + one.machine_j


def expected(entries: Sequence[Entry], enters: Callable[[Entry], bool]) -> dict[str, Any]:
    """What some entries come to, one by one."""
    count = sum(map(enters, entries))
    facility_j = sum(joules(e) * e.origin.pue for e in entries)
    emissions_g = sum(e.operational_g + e.embodied_g + e.transfer_g for e in entries)
    by_method = {"measured": 0.0, "modelled": 0.0, "emulated": 0.0}
    for e in entries:
        by_method[e.origin.method] += e.operational_g
        other = "emulated" if e.origin.method == "emulated" else "modelled"
        by_method[other] += e.embodied_g + e.transfer_g
    names = ("cpu_j", "memory_j", "gpu_j", "machine_j", "transfer_j", "idle_j")
    return {
        "stages": len(entries),
        "inferences": count,
        "latency_ms": sum(e.latency_ms for e in entries) / count if count else None,
        "energy": {
            **{name: sum(getattr(e, name) for e in entries) for name in names},
            "overhead_j": sum(joules(e) * (e.origin.pue - 1) for e in entries),
        },
        "intensity_g_per_kwh": sum(
            joules(e) * e.origin.pue * e.intensity.g_per_kwh for e in entries
        )
        / facility_j
        if facility_j
        else None,
        "operational_g": sum(e.operational_g for e in entries),
        "embodied_g": sum(e.embodied_g for e in entries),
        "transfer_g": sum(e.transfer_g for e in entries),
        "emissions_g": emissions_g,
        "g_by_method": by_method,
        "inferences_per_g": count / emissions_g if emissions_g else None,
        "g_per_inference": emissions_g / count if count else None,
    }


def group_name(one: Entry, by: str) -> str:
    if by == "hour":
        return datetime.fromtimestamp(one.time_s // 3600 * 3600, UTC).strftime("%Y-%m-%dT%H:00:00Z")
    return str(getattr(one.origin, by))


def first_there(one: Entry, by: str, entries: Iterable[Entry]) -> bool:
    """Whether its inference ran no earlier stage in the same group."""
    if by in ("hour", "model"):
        return one.origin.stage == 0
    stages = [
        other.origin.stage
        for other in entries
        if other.inference == one.inference and group_name(other, by) == group_name(one, by)
    ]
    return one.origin.stage == min(stages)


def assert_close(got: Any, wanted: Any) -> None:
    assert got.keys() - {"name"} == wanted.keys()
    for key, value in wanted.items():
        if isinstance(value, dict):
            assert_close(got[key], value)
        else:
            assert got[key] == (
                value if value is None else pytest.approx(value, rel=1e-9, abs=1e-9)
            )


edges = st.none() | st.floats(NOON_S - 4000, NOON_S + 30_000)


@given(entries=inferences(), by=st.sampled_from(GROUPINGS), since=edges, until=edges)
def test_a_report_is_what_its_entries_come_to_one_by_one(
    entries: list[Entry], by: Grouping, since: float | None, until: float | None
) -> None:
    if since is not None and until is not None and since >= until:
        since, until = until, since + 1
    within = [
        e
        for e in entries
        if (since is None or e.time_s >= since) and (until is None or e.time_s < until)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder) / "ledger.db", entries)
        document = report(path, since=since, until=until, by=by).to_dict()
    assert_close(document["total"], expected(within, lambda e: e.origin.stage == 0))
    groups = {group["name"]: group for group in document["groups"]}
    assert groups.keys() == {group_name(e, by) for e in within}
    for name, group in groups.items():
        members = [e for e in within if group_name(e, by) == name]
        assert_close(group, expected(members, lambda e: first_there(e, by, entries)))
    for key, source in (
        ("energy_sources", lambda e: (e.origin.energy_source, e.origin.method)),
        ("intensity_sources", lambda e: (e.intensity.source, e.intensity.zone)),
    ):
        uses = document[key]
        assert len(uses) == len({source(e) for e in within})
        assert sum(use["energy_j"] for use in uses) == pytest.approx(sum(map(joules, within)))
        assert sum(use["operational_g"] for use in uses) == pytest.approx(
            sum(e.operational_g for e in within)
        )
    times = sorted(e.time_s for e in within)
    for key, time_s in (("first", times[:1]), ("last", times[-1:])):
        said = datetime.fromisoformat(document[key]).timestamp() if document[key] else None
        assert said == (math.floor(time_s[0]) if time_s else None)


@given(entries=inferences(), step_s=st.sampled_from([60.0, 900.0, 3600.0, 7200.0]), since=edges)
def test_steps_of_any_length_hold_every_entry_once(
    entries: list[Entry], step_s: float, since: float | None
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder) / "ledger.db", entries)
        cells = read_window(path, since, step_s=step_s).cells
    within = [e for e in entries if since is None or e.time_s >= since]
    assert sum(cell.sums.entries for cell in cells) == len(within)
    for cell in cells:
        assert cell.start_s % step_s == 0
        assert cell.start_s <= cell.sums.first_s <= cell.sums.last_s < cell.start_s + step_s


@pytest.mark.parametrize("by", [None, *GROUPINGS])
def test_an_empty_ledger_is_a_report_of_nothing(by: Grouping | None, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    Ledger(path).close()
    empty = report(path, by=by)
    assert (empty.total.stages, empty.total.inferences, empty.groups) == (0, 0, ())
    assert (empty.total.latency_ms, empty.total.intensity_g_per_kwh) == (None, None)
    assert (empty.first_s, empty.last_s, empty.total.method) == (None, None, "nothing")
    assert math.isinf(empty.total.inferences_per_g)
    assert empty.to_dict()["total"]["inferences_per_g"] is None


@pytest.mark.parametrize("past_s", [0, 1800])
def test_a_time_begins_with_its_start_and_ends_before_its_end(past_s: int, tmp_path: Path) -> None:
    time_s = NOON_S + past_s
    path = written(tmp_path / "ledger.db", [entry(time_s)])
    assert report(path, until=time_s).total.stages == 0
    assert report(path, since=time_s).total.stages == 1
    assert report(path, since=datetime.fromtimestamp(time_s + 1, UTC)).total.stages == 0
    assert report(path, since=time_s, until=time_s + 1).total.stages == 1
    assert report(path, since=time_s - 1, until=time_s).total.stages == 0


def test_an_inference_counts_when_it_enters_a_zone(tmp_path: Path) -> None:
    path = written(
        tmp_path / "ledger.db",
        [
            entry(NOON_S - 2, origin=origin("a", zone="FR", stage=0)),
            entry(NOON_S - 1, origin=origin("b", zone="DE", stage=1)),
            entry(NOON_S + 1, origin=origin("c", zone="DE", stage=2)),
        ],
    )
    before = {group.name: group for group in report(path, until=NOON_S, by="zone").groups}
    (after,) = report(path, since=NOON_S, by="zone").groups
    assert {name: group.inferences for name, group in before.items()} == {"FR": 1, "DE": 1}
    assert (after.name, after.stages, after.inferences) == ("DE", 1, 0)


def test_a_time_that_ends_before_it_starts_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "ledger.db", [entry()])
    with pytest.raises(ValueError, match="is not before until"):
        report(path, since=NOON_S, until=NOON_S)


def test_groups_that_are_not_known_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "ledger.db", [entry()])
    with pytest.raises(ValueError, match="by is 'planet': give one of node, zone"):
        report(path, by="planet")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("other", "what"),
    [({"accounting": "marginal"}, "accounting"), ({"factors": "direct"}, "factors")],
)
def test_unlike_intensities_are_added_up_only_when_asked_for(
    other: dict[str, str], what: str, tmp_path: Path
) -> None:
    path = written(
        tmp_path / "ledger.db",
        [entry(), entry(NOON_S + 7200, intensity=intensity(source="watttime", **other))],
    )
    with pytest.raises(ValueError, match=rf"different {what} .*watttime.*--since.*--mixed"):
        report(path)
    assert report(path, mixed=True).total.stages == 2
    assert report(path, until=NOON_S + 3600).total.stages == 1
    assert report(path, since=NOON_S + 3600).total.stages == 1


def test_methods_are_told_with_their_shares() -> None:
    assert methods_text({"measured": 3.0, "modelled": 1.0}) == "75 % measured, 25 % modelled"
    assert methods_text({"measured": 0.0, "emulated": 1.0}) == "emulated"
    assert methods_text({"measured": 0.0, "modelled": 0.0}) == "measured, modelled"
    assert methods_text({}) == "nothing"


def test_a_ledger_is_read_while_it_is_written_to(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with Ledger(path, flush_every_s=3600) as ledger:
        ledger.append(entry())
        ledger.flush()
        assert report(path).total.stages == 1
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            other.execute("DELETE FROM hour_sum")
            assert report(path).total.stages == 1


def test_reading_keeps_no_writer_waiting(tmp_path: Path) -> None:
    path = written(tmp_path / "ledger.db", [entry()])
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM entry").fetchone()
        with Ledger(path) as ledger:
            ledger.append(entry())
            assert ledger.flush()


def test_a_ledger_on_read_only_media_is_read(guarded_folder: Path) -> None:
    path = written(guarded_folder / "ledger é?#.db", [entry()])
    lock(guarded_folder)
    assert report(path).total.stages == 1


def test_a_ledger_that_lacks_what_was_written_last_is_refused(
    guarded_folder: Path,
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger.db"
    with Ledger(path, flush_every_s=3600) as ledger:
        ledger.append(entry())
        ledger.flush()
        for suffix in ("", "-wal"):
            copy = guarded_folder / f"ledger.db{suffix}"
            copy.write_bytes(path.with_name(f"ledger.db{suffix}").read_bytes())
    lock(guarded_folder)
    with pytest.raises(ValueError, match="copy it, with its -wal, to where you may write"):
        report(guarded_folder / "ledger.db")


def test_what_is_no_ledger_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no ledger"):
        report(tmp_path / "ledger.db")
    (tmp_path / "text").write_text("dear diary")
    with pytest.raises(ValueError, match="is not a ledger"):
        report(tmp_path / "text")
    (tmp_path / "empty").touch()
    with pytest.raises(ValueError, match="is empty"):
        report(tmp_path / "empty")


def test_a_damaged_ledger_is_refused(tmp_path: Path) -> None:
    path = written(
        tmp_path / "ledger.db",
        [entry(NOON_S + 3600 * n, n, origin=origin(f"node-{n}")) for n in range(500)],
    )
    whole = path.read_bytes()
    pages = [whole[start : start + 4096] for start in range(0, len(whole), 4096)]
    path.write_bytes(b"".join([pages[0], *itertools.repeat(b"\xff" * 4096, len(pages) - 1)]))
    with pytest.raises(ValueError, match=r"cannot read the ledger .* malformed"):
        report(path)
