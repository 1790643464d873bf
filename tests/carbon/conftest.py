from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from locks import unlock


@pytest.fixture
def guarded_folder() -> Iterator[Path]:
    """One that `lock` makes unwritable, wherever root's other files are."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        unlock(folder)
