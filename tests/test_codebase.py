"""The code held to the project's own rules."""

from __future__ import annotations

import ast
import importlib.metadata
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import carbonedge
from carbonedge import _core

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "carbonedge"

# A module may import from its own level and from lower ones, but planning and
# scheduling, which share one, do not know each other.
LEVELS = {
    "_core": 0,
    "_kernels": 0,
    "_optional": 0,
    "_partition_kernels": 0,
    "_validation": 0,
    "exceptions": 0,
    "units": 0,
    "_counters": 1,
    "_forest": 1,
    "_node_table": 1,
    "_partition_search": 1,
    "_backend": 2,
    "cluster": 3,
    "carbon": 4,
    "planning": 5,
    "scheduling": 5,
    "runtime": 6,
    "experiments": 7,
    "cli": 8,
}
STRANGERS = {("planning", "scheduling"), ("scheduling", "planning")}
HEAVY = (
    *("onnx", "onnxruntime", "numba", "ray", "httpx", "rich", "click", "matplotlib", "msgspec"),
    *("codecarbon", "psutil", "pynvml", "platformdirs", "sqlite3", "tenacity"),
)


def imports() -> Iterator[tuple[str, str, str, list[str]]]:
    """File, wing that imports, module imported, and names taken from it."""
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        if parts == ("__init__",):
            continue
        for statement in ast.walk(ast.parse(path.read_text())):
            if isinstance(statement, ast.ImportFrom) and statement.module:
                names = [alias.name for alias in statement.names]
                yield str(path), parts[0], statement.module, names
            elif isinstance(statement, ast.Import):
                for alias in statement.names:
                    yield str(path), parts[0], alias.name, []


def test_imports_point_one_way() -> None:
    seen = 0
    for path, wing, module, names in imports():
        if not module.startswith("carbonedge"):
            continue
        targets = [module.split(".")[1]] if "." in module else names
        for target in targets:
            seen += 1
            assert LEVELS[target] <= LEVELS[wing], f"{path} imports {target}"
            assert (wing, target) not in STRANGERS, f"{path} imports {target}"
    assert seen > 50


def test_no_wing_reaches_into_anothers_private_names() -> None:
    for path, wing, module, names in imports():
        parts = module.split(".")
        if parts[0] == "carbonedge" and len(parts) > 1 and parts[1] != wing:
            private = [name for name in (*parts[2:], *names) if name.startswith("_")]
            if parts[1] != "_kernels":
                private = [name for name in private if name not in LEVELS]
            assert not private, f"{path} takes {private} from {module}"


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = f"import sys, carbonedge; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    for name in carbonedge.__all__:
        assert getattr(carbonedge, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        carbonedge.nonsense  # noqa: B018


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    installed = importlib.metadata.version("carbonedge")
    assert project["version"] == installed == carbonedge.__version__ == _core.__version__


def test_the_readme_prints_the_commands_that_ci_runs() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "pip install . && carbonedge demo" in readme
    assert 'pip install ".[test]" && pytest' in readme
    assert 'pip install ".[test]" && pytest' in (ROOT / ".ci" / "run").read_text()


def test_kernels_and_core_name_the_same_fields() -> None:
    from carbonedge._kernels import FIELDS

    header = (ROOT / "cpp" / "include" / "carbonedge" / "node.hpp").read_text()
    body = header.split("enum class Field")[1].split("};")[0]
    named = [line.split(",")[0].strip() for line in body.splitlines() if "," in line]
    assert tuple(named) == FIELDS


def test_the_docstrings_example_holds() -> None:
    import doctest

    assert doctest.testmod(carbonedge).failed == 0
    assert doctest.testmod(carbonedge).attempted > 0
