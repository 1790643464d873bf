from __future__ import annotations

import io

import pytest
from rich.console import Console

from carbonedge.cli.top_table import FIGURES, survey_view
from carbonedge.runtime.ray.survey import Activity, Survey

BUSY = Activity(
    *("5e55", "node-medium", None, 0.53, 22307.4, 11, 33.25, 128.03),
    *(10.376, 380.0, 3.97e-05, 2.02),
)
FIGURES_OF_BUSY = ["0.53", "22307", "11", "33.2", "128.03", "10.376", "380", "3.97e-05", "2.02"]
SILENT = Activity("5e55", "node-green", "it has not answered within 1 s")


def shown(*nodes: Activity, width: int, time_source: str | None = None) -> list[str]:
    survey = Survey(0.0, "head:6379", nodes, 33.25, 10.376, 3.97e-05, time_source)
    console = Console(file=io.StringIO(), width=width)
    console.print(survey_view(survey))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize("width", [20, 30, 40, 50, 60, 70, 76, 80, 100])
def test_a_narrow_terminal_shows_fewer_figures_and_none_of_them_cut_short(width: int) -> None:
    lines = shown(BUSY, SILENT, width=width)
    head = next(number for number, line in enumerate(lines) if line.startswith("node "))
    row = lines[head + 1].split()
    assert "node-medium".startswith(row[0])
    count = len(row) - 1
    assert row[1:] == FIGURES_OF_BUSY[:count]
    assert lines[head].split()[1:] == " ".join(FIGURES[:count]).split()
    rest = " ".join(lines[head:])
    assert "silent" in rest
    assert (count == len(FIGURES)) == ("In a wider terminal" not in rest)
    if width >= 80:
        assert count == len(FIGURES)


def test_nodes_of_a_local_cluster_are_said_to_be_emulated() -> None:
    said = "Nodes are emulated; times are measured somehow."
    assert said in shown(BUSY, width=100, time_source="measured somehow")
    assert "emulated" not in " ".join(shown(BUSY, width=100))


def test_sessions_are_told_apart_where_there_are_several() -> None:
    other = Activity("7e57", "node-medium", "it is gone")
    lines = shown(BUSY, other, width=100)
    assert lines[0] == "Ray head:6379: 2 sessions, 2 nodes, 1 silent"
    assert [line.split()[:2] for line in lines if "node-medium " in line][:2] == [
        ["5e55", "node-medium"],
        ["7e57", "node-medium"],
    ]
