from __future__ import annotations

from pathlib import Path

import pytest
from fake_nvml import FakeDriver, compiled


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def driver(nvml_library: Path, tmp_path: Path) -> FakeDriver:
    """A fake NVIDIA driver with one GPU."""
    answers = tmp_path / "answers"
    answers.mkdir()
    (answers / "count-0").write_text("1")
    return FakeDriver(nvml_library, answers)
