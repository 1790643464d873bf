"""Programs run by a Python whose NVIDIA driver is `fake_nvml.c`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BEGIN = """
import os, pathlib, threading, time
import pynvml
from carbonedge.carbon.energy import NvmlMeter
from carbonedge.exceptions import MeterUnavailableError

def tell(name, answer):
    # Replaced at once: the driver may be reading.
    path = pathlib.Path(os.environ["FAKE_NVML"], name)
    path.with_suffix(".new").write_text(str(answer))
    path.with_suffix(".new").replace(path)

def refusal(call):
    try:
        call()
    except MeterUnavailableError as error:
        return str(error)
    raise AssertionError("it was not refused")
"""


class FakeDriver:
    """A driver to be told what its GPUs answer, and a Python that meets it."""

    def __init__(self, library: Path, answers: Path) -> None:
        self.library = library
        self.answers = answers

    def run(self, program: str, **answers: object) -> str:
        """Run a program and return what it printed; ``energy_0=5`` is what a GPU answers."""
        for name, answer in answers.items():
            (self.answers / name.replace("_", "-")).write_text(str(answer))
        environment = {
            **os.environ,
            "FAKE_NVML": str(self.answers),
            "LD_LIBRARY_PATH": str(self.library),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        done = subprocess.run(
            [sys.executable, "-c", BEGIN + program],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout


def compiled(folder: Path) -> Path:
    """The folder of the library, or a skipped test where nothing compiles it."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("the fake NVIDIA driver takes a C compiler, cc, on Linux")
    source = Path(__file__).parent / "carbon" / "energy" / "fake_nvml.c"
    library = folder / "libnvidia-ml.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True, timeout=60)
    return folder
