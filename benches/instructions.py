"""Counts the instructions of fixed cases of the core and holds them to what they were.

Counts by callgrind repeat to the instruction, so a change of a few percent shows on any
machine, however noisy. They belong to one compiler: with another they are to be taken
anew, by ``--update``.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
KEPT = Path(__file__).with_suffix(".json")
TOLERANCE = 0.03


def build(where: Path) -> Path:
    """Compile the cases and return the program."""
    options = ("-DCMAKE_BUILD_TYPE=Release", "-DCARBONEDGE_PYTHON=OFF", "-DCARBONEDGE_BENCHES=ON")
    subprocess.run(["cmake", "-S", ROOT, "-B", where, *options], check=True, capture_output=True)
    subprocess.run(["cmake", "--build", where, "--parallel", "2"], check=True, capture_output=True)
    return where / "cpp" / "benches" / "carbonedge_cases"


def compiler(where: Path) -> str:
    """Name and version of what compiled them."""
    found = {}
    for path in where.glob("CMakeFiles/*/CMakeCXXCompiler.cmake"):
        for key in ("ID", "VERSION"):
            match = re.search(rf'set\(CMAKE_CXX_COMPILER_{key} "(.*)"\)', path.read_text())
            found[key] = match[1] if match else "unknown"
    return f"{found['ID']} {found['VERSION']}"


def count(program: Path, case: str, where: Path) -> int:
    """Instructions that a case takes within `measured`."""
    out = where / f"{case}.out"
    subprocess.run(
        [
            *("valgrind", "--tool=callgrind", "--toggle-collect=*measured*"),
            *(f"--callgrind-out-file={out}", program, case),
        ],
        check=True,
        capture_output=True,
    )
    match = re.search(r"^(?:summary|totals): (\d+)", out.read_text(), re.MULTILINE)
    if match is None:
        raise RuntimeError(f"callgrind gave no total for {case}")
    return int(match[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update", action="store_true", help="keep today's counts")
    update = parser.parse_args().update
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        program = build(where)
        made_by = compiler(where)
        cases = subprocess.run([program], check=True, capture_output=True, text=True)
        counts = {case: count(program, case, where) for case in cases.stdout.split()}
    if update:
        KEPT.write_text(json.dumps({"compiler": made_by, "instructions": counts}, indent=2) + "\n")
        return 0
    kept = json.loads(KEPT.read_text())
    if kept["compiler"] != made_by:
        print(f"counts were kept for {kept['compiler']}, this is {made_by}: nothing compared")
        return 0
    worse = 0
    for case, now in counts.items():
        before = kept["instructions"][case]
        change = now / before - 1
        worse += change > TOLERANCE
        print(f"{case:<20}{before:>12,}{now:>12,}{change:>+8.1%}")
    if worse:
        print(
            f"{worse} of {len(counts)} cases grew by more than {TOLERANCE:.0%}: mend that, or keep"
        )
        print("the new counts with --update and say why")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
