from __future__ import annotations

import copy
import logging
import pickle
from pathlib import Path

import pytest
from unseen import KEY, failing, shown

from carbonedge.carbon.intensity.keys import Secret, find_secret
from carbonedge.exceptions import IntensityUnavailableError


def find(given: object = None, **more: object) -> Secret:
    return find_secret(
        given,
        **{"what": "key", "variable": "SOME_KEY", "where": "ask at example.org", **more},
    )


def test_a_secret_shows_itself_only_when_asked() -> None:
    secret = Secret(KEY)
    assert secret.reveal() == KEY
    for text in (repr(secret), str(secret), f"{secret}", f"{[secret]}", f"{secret!r:>30}"):
        assert not shown(text)


@pytest.mark.parametrize("way", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_secret_is_neither_pickled_nor_copied(way: object) -> None:
    with pytest.raises(TypeError, match="neither pickled nor copied") as caught:
        way(Secret(KEY))
    assert not shown(str(caught.value))


def test_a_key_comes_from_the_argument_then_a_file_then_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "key"
    file.write_text("from a file\r\n")
    file.chmod(0o600)
    monkeypatch.setenv("SOME_KEY", "from the environment")
    assert find("from an argument").reveal() == "from an argument"
    assert find(Secret("from a secret")).reveal() == "from a secret"
    assert find(file=file).reveal() == "from a file"
    assert find().reveal() == "from the environment"


def test_a_missing_key_names_the_variable_and_where_to_get_one() -> None:
    message = failing(find)
    assert "SOME_KEY" in message
    assert "ask at example.org" in message


def test_key_and_file_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give one of them"):
        find(KEY, file=tmp_path / "key")


def test_a_key_of_another_type_is_refused_without_showing_it() -> None:
    with pytest.raises(TypeError, match="is a bytes") as caught:
        find(KEY.encode())
    assert not shown(str(caught.value))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "is empty"),
        (" \t", "is empty"),
        (f"{KEY}\nauth: x", "line break"),
        (f"{KEY}\r", "line break"),
        (f"{KEY}\x7f", "line break"),
    ],
)
def test_a_key_that_cannot_be_one_is_refused_without_showing_it(
    text: str, fault: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=fault) as caught:
        find(text)
    assert not shown(str(caught.value))
    monkeypatch.setenv("SOME_KEY", text)
    assert fault in failing(find)
    file = tmp_path / "key"
    file.write_text(f"{text}x\n" if text.endswith("\r") else f"{text}\n", newline="")
    assert fault in failing(lambda: find(file=file))


@pytest.mark.parametrize("text", [f"{KEY} x", f"{KEY}é"])
def test_a_key_for_a_header_is_ascii_without_spaces(text: str) -> None:
    assert find(text).reveal() == text
    with pytest.raises(ValueError, match="no such key has") as caught:
        find(text, ascii_only=True)
    assert not shown(str(caught.value))


def test_a_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in failing(lambda: find(file=tmp_path / "missing"))
    assert "cannot be read" in failing(lambda: find(file=tmp_path))
    file = tmp_path / "key"
    file.write_bytes(b"\xff" + KEY.encode())
    assert "no such key has" in failing(lambda: find(file=file, ascii_only=True))
    file.write_text(KEY * 1000)
    assert "longer than 4096" in failing(lambda: find(file=file))


def test_a_file_that_everyone_may_read_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "key"
    file.write_text(KEY)
    with caplog.at_level(logging.WARNING):
        file.chmod(0o640)
        find(file=file)
        assert not caplog.records
        file.chmod(0o644)
        find(file=file)
    assert "chmod 600" in caplog.text
    assert not shown(caplog.text)


def test_all_faults_of_environment_and_file_let_a_chain_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOME_KEY", "")
    with pytest.raises(IntensityUnavailableError):
        find()
