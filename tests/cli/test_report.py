from __future__ import annotations

import csv
import html.parser
import io
import json
import math
import re
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from command_line import assert_one_line, call
from entries import NOON_S, entry, intensity, origin

from carbonedge.carbon.ledger import Ledger

REPORT = ("report", "ledger.db")
NOON = "2026-09-21T12:00:00"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To work in, with a ledger of two nodes over two days."""
    monkeypatch.chdir(tmp_path)
    with Ledger("ledger.db") as ledger:
        for number in range(48):
            time_s = NOON_S + 3600 * number
            ledger.append(entry(time_s, number))
            ledger.append(
                entry(
                    time_s + 1,
                    number,
                    origin=origin("node-b", stage=1, method="modelled", energy_source="a model"),
                    operational_g=2e-5,
                )
            )


def test_a_report_states_grams_and_how_they_came_about(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, *REPORT, "--by", "node")
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert lines[0][:2] == ["node", "inferences"]
    assert "mgCO2eq" in lines[0]
    assert [line[:2] for line in lines[1:4]] == [
        ["node-a", "48"],
        ["node-b", "48"],
        ["total", "48"],
    ]
    # 48 x (60 + 20 + 2 x 2) ug, of which RAPL's 60.
    assert "4.032" in lines[3]
    assert out.splitlines()[3].rstrip().endswith("71.4 % measured, 28.6 % modelled")
    assert "One inference: 84.00 µgCO2eq (71.4 % measured, 28.6 % modelled)." in out
    assert f"{NOON}Z to 2026-09-23T11:00:01Z" in out
    assert "rapl, by CPU time" in out
    assert "trace de.csv" in out
    assert "SCI" not in out


@pytest.mark.parametrize("by", ["node", "zone", "model", "hour"])
def test_json_is_one_object_and_nothing_else(by: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, *REPORT, "--by", by, "--json", "--sci")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["by"] == by
    assert document["total"]["inferences"] == 48
    assert document["total"]["emissions_g"] == pytest.approx(48 * 84e-6)
    assert math.fsum(group["emissions_g"] for group in document["groups"]) == pytest.approx(
        48 * 84e-6
    )
    assert document["sci"]["score_g_per_inference"] == pytest.approx(84e-6)


def test_csv_is_a_line_for_each_group(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, *REPORT, "--by", "hour", "--csv")
    assert (code, err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == 48
    assert rows[0]["hour"] == f"{NOON}Z"
    for row in rows:
        assert float(row["emissions_g"]) == pytest.approx(84e-6)
        assert float(row["measured_g"]) + float(row["modelled_g"]) == pytest.approx(84e-6)
        assert float(row["emulated_g"]) == 0
    _, out, _ = call(capsys, *REPORT, "--csv")
    (total,) = csv.DictReader(io.StringIO(out))
    assert (total["group"], total["inferences"]) == ("total", "48")


def test_csv_keeps_commas_quotes_and_lines_of_names(capsys: pytest.CaptureFixture[str]) -> None:
    name = 'a,"b"\nc'
    with Ledger("odd.db") as ledger:
        ledger.append(entry(origin=origin(name)))
    _, out, _ = call(capsys, "report", "odd.db", "--by", "node", "--csv")
    assert [row["node"] for row in csv.DictReader(io.StringIO(out))] == [name]


def test_the_sci_score_is_printed_with_its_boundary(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, *REPORT, "--sci")
    assert code == 0
    assert "SCI by ISO/IEC 21031:2024" in out
    assert "µgCO2eq per inference" in out
    assert re.search(r"R +one inference +48 +inferences", out)
    assert out.index("Counted:") < out.index("Left out:")
    assert "  training of the model" in out


@pytest.mark.parametrize(
    ("options", "inferences"),
    [
        ((), 48),
        (("--since", f"{NOON}"), 48),
        (("--since", f"{NOON}Z"), 48),
        (("--since", "2026-09-21T13:00"), 47),
        (("--since", "2026-09-21T13:00+01:00"), 48),
        (("--until", "2026-09-22"), 12),
        (("--since", "2026-09-22", "--until", "2026-09-23"), 24),
        (("--until", "1970-01-02"), 0),
    ],
)
def test_times_are_utc_unless_they_say_otherwise(
    options: tuple[str, ...], inferences: int, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = call(capsys, *REPORT, *options, "--json")
    assert code == 0
    assert json.loads(out)["total"]["inferences"] == inferences


@pytest.mark.parametrize(
    ("since", "inferences"), [("30s", 0), ("2m", 1), ("1.5h", 2), ("1d", 2), ("2d", 3), ("1w", 3)]
)
def test_times_may_be_so_long_ago(
    since: str, inferences: int, capsys: pytest.CaptureFixture[str]
) -> None:
    now = time.time()
    with Ledger("now.db") as ledger:
        for number, ago_s in enumerate((90, 4000, 100_000)):
            ledger.append(entry(now - ago_s, number))
    _, out, _ = call(capsys, "report", "now.db", "--since", since, "--json")
    assert json.loads(out)["total"]["inferences"] == inferences


def test_nothing_that_ran_is_said_and_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, *REPORT, "--since", "2030-01-01", "--by", "node", "--sci")
    assert code == 0
    assert out.startswith("No stage ran since 2030-01-01T00:00:00Z.\n")
    code, out, _ = call(capsys, *REPORT, "--since", "2030-01-01", "--html", "page.html")
    assert code == 0
    assert "No stage ran" in Path("page.html").read_text()


def test_unlike_intensities_need_mixed(capsys: pytest.CaptureFixture[str]) -> None:
    with Ledger("ledger.db") as ledger:
        ledger.append(entry(NOON_S, 99, intensity=intensity(accounting="marginal")))
    assert_one_line(call(capsys, *REPORT), "or allow mixed (--mixed)")
    assert call(capsys, *REPORT, "--mixed")[0] == 0
    assert call(capsys, *REPORT, "--since", "2026-09-21T13:00")[0] == 0


class Page(html.parser.HTMLParser):
    """What a browser would see: the elements, their text, and whether they nest."""

    VOID = frozenset(("meta", "br", "img", "link", "input"))

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_stands_alone_and_has_the_plots(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, *REPORT, "--html", "page.html")
    assert (code, err) == (0, "")
    assert out.endswith("The page is in page.html.\n")
    text = Path("page.html").read_text(encoding="utf-8")
    page = Page(text)
    tags = [tag for tag, _ in page.elements]
    assert tags.count("svg") == 3
    assert "script" not in tags
    assert "link" not in tags
    assert "img" not in tags
    for tag, attributes in page.elements:
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
    said = "".join(page.text)
    for what in ("Emissions over time", "By node", "node-b", "ISO/IEC 21031:2024", "Left out"):
        assert what in said
    assert "71.4 % measured, 28.6 % modelled" in said
    assert "url(http" not in text
    assert "@import" not in text
    start = text.index("<svg")
    ET.fromstring(text[start : text.index("</svg>") + 6])


def test_names_in_a_ledger_are_text_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "<script>alert(1)</script>&\"' $x_1$"
    with Ledger("evil.db") as ledger:
        ledger.append(
            entry(
                origin=origin(evil, model=evil, zone=evil, energy_source=evil),
                intensity=intensity(zone=evil, source=evil),
            )
        )
    code, _, _ = call(capsys, "report", "evil.db", "--html", "page.html")
    assert code == 0
    page = Page(Path("page.html").read_text())
    assert "script" not in [tag for tag, _ in page.elements]
    assert "".join(page.text).count(evil) > 8


def test_dollars_in_names_are_no_formula(capsys: pytest.CaptureFixture[str]) -> None:
    with Ledger("dollars.db") as ledger:
        ledger.append(entry(origin=origin("$x_1$")))
    call(capsys, "report", "dollars.db", "--html", "page.html")
    texts = [text.strip() for text in Page(Path("page.html").read_text()).text]
    # In the legend, beside a bar, above a panel, and in the table.
    assert texts.count("$x_1$") == 4


def test_a_page_of_many_nodes_shows_the_largest(capsys: pytest.CaptureFixture[str]) -> None:
    with Ledger("many.db") as ledger:
        for number in range(300):
            ledger.append(
                entry(NOON_S + 10 * number, number, origin=origin(f"n{number}", plan=str(number)))
            )
    code, _, _ = call(capsys, "report", "many.db", "--html", "page.html")
    assert code == 0
    said = "".join(Page(Path("page.html").read_text()).text)
    assert "288 others" in said
    assert "200 of 300" in said


def test_heavy_packages_are_loaded_for_what_needs_them_only() -> None:
    code = (
        "import sys; from carbonedge.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: assert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, *REPORT], capture_output=True, check=True)


def test_a_missing_matplotlib_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert_one_line(call(capsys, *REPORT, "--html", "page.html"), 'pip install "carbonedge[plot]"')


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing.db",), "there is no ledger 'nothing.db'"),
        (("text",), "'text' is not a ledger"),
        (("half.db",), "'half.db' is damaged (database disk image is malformed)"),
        ((".",), "is a folder"),
        (("ledger.db", "--since", "yesterday"), "'yesterday' is no time"),
        (("ledger.db", "--since", "9999999999d"), "give a time from then to 9999"),
        (("ledger.db", "--since", "1d", "--until", "2d"), "is not before until"),
        (
            ("ledger.db", "--since", "2026-09-22", "--until", "2026-09-21"),
            "since 2026-09-22T00:00Z is not before until 2026-09-21T00:00Z",
        ),
        (("ledger.db", "--by", "planet"), "planet"),
        (("ledger.db", "--json", "--csv"), "exclude each other"),
        (("ledger.db", "--csv", "--sci"), "--sci is no table"),
        (("ledger.db", "--html", "nowhere/page.html"), "cannot write the page"),
    ],
)
def test_wrong_arguments_are_one_line_and_exit_code_2(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("text").write_text("dear diary")
    Path("half.db").write_bytes(Path("ledger.db").read_bytes()[:6000])
    assert_one_line(call(capsys, "report", *arguments), message)
