from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import models
import onnx
import pytest
from command_line import assert_one_line, call
from local_clusters import assert_no_trace, no_rights, run_folder

from carbonedge.runtime.local_cluster import cgroups

FILE = """
[[node]]
name = "a"
cpu_cores = 0.5
memory_mb = 300
power_w = 10
intensity_g_per_kwh = 100
[[node]]
name = "b"
cpu_cores = 0.25
memory_mb = 200
power_w = 5
intensity_g_per_kwh = 300
[[link]]
source = "a"
target = "b"
bandwidth_mbps = 1000
latency_ms = 20
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A run folder of its own, and a folder to work in with a cluster file and a model."""
    monkeypatch.chdir(tmp_path)
    Path("my cluster.toml").write_text(FILE)
    onnx.save(models.layers(), "model.onnx")
    with run_folder() as folder:
        yield folder


def test_a_cluster_goes_up_is_used_and_goes_down(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(capsys, "cluster", "up", "my cluster.toml", "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    address = document["address"]
    assert document["throttled"] == (no_rights() is None)
    assert [(node["name"], node["quota_us"]) for node in document["nodes"]] == [
        ("a", 5000),
        ("b", 2500),
    ]
    assert "token" not in out
    # What it says to type next is what works.
    typed = document["run"].replace("MODEL.onnx", "model.onnx").replace("'my cluster.toml'", "FILE")
    words = [word.replace("FILE", "my cluster.toml") for word in typed.split()]
    assert words[0] == "carbonedge"
    code, out, err = call(capsys, *words[1:], "--requests", "3", "--json")
    assert (code, err) == (0, "")
    run = json.loads(out)
    assert run["address"] == address
    assert run["faithful"]
    [split] = [row for row in run["rows"] if row["placement"] == "split"]
    assert split["method"] == "emulated"
    throttled = "under each node's CPU quota" if document["throttled"] else "unthrottled"
    assert throttled in split["time_source"]
    code, out, _ = call(capsys, "top", "--once", "--every", "0.1")
    assert code == 0
    assert f"Ray {address}" in out
    assert_one_line(call(capsys, "cluster", "up", "my cluster.toml"), f"a, b is up at {address}")
    code, out, _ = call(capsys, "cluster", "status")
    assert code == 0
    assert f"a, b at {address}" in out
    code, out, _ = call(capsys, "cluster", "down")
    assert code == 0
    assert "cgroups and all files removed" in out
    assert_no_trace(folder, Path(document["folder"]).name)
    for command in ("down", "status"):
        code, out, _ = call(capsys, "cluster", command)
        assert (code, "No local cluster is up" in out) == (0, True)
        code, out, _ = call(capsys, "cluster", command, "--json")
        assert (code, json.loads(out)) == (0, [])


def test_what_it_did_is_printed_and_what_to_type_next(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise cgroups.NoRightsError("/cg/cpu: Permission denied")

    monkeypatch.setattr(cgroups, "make", refused)
    monkeypatch.setattr("carbonedge.runtime.local_cluster.head.start", lambda *_: "10.0.0.1:6379")
    code, out, err = call(capsys, "cluster", "up", "my cluster.toml")
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    assert ["b", "0.25", "2.5", "10", "200"] in rows
    assert ["a", "<->", "b", "20", "1000"] in rows
    assert "Its workers are NOT throttled, and reports will say so: /cg/cpu: Permission" in out
    assert (
        "  carbonedge run MODEL.onnx --cluster 'my cluster.toml' --runtime ray "
        "--address 10.0.0.1:6379\n  carbonedge cluster down\n"
    ) in out
    # No process is there: it looks as after a reboot.
    code, out, _ = call(capsys, "cluster", "status", "--json")
    [one] = json.loads(out)
    assert (one["runs"], one["why"], one["owner"]) == (False, "/cg/cpu: Permission denied", None)
    assert_one_line(call(capsys, "cluster", "up", "my cluster.toml"), "left of one that ended")
    code, out, _ = call(capsys, "cluster", "status")
    assert "`carbonedge cluster down` removes them" in out
    code, out, _ = call(capsys, "cluster", "down", "--json")
    assert [(one["processes"], one["owner"]) for one in json.loads(out)] == [(0, None)]
    assert_no_trace(folder)


@pytest.mark.usefixtures("folder")
def test_what_cannot_be_brought_up_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_one_line(call(capsys, "cluster", "up", "none.toml"), "cannot read cluster file")
    small = FILE.replace("0.25", "0.0001")
    Path("small.toml").write_text(small)
    assert_one_line(call(capsys, "cluster", "up", "small.toml"), "a quota is 0.001 at least")
    monkeypatch.setitem(sys.modules, "ray", None)
    said = call(capsys, "cluster", "up", "my cluster.toml")
    assert_one_line(said, 'ray is not installed: pip install "carbonedge[ray]"')
