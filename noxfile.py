from __future__ import annotations

import shutil

import nox

nox.options.sessions = ["lint", "tests"]
nox.options.default_venv_backend = "venv"


@nox.session
def lint(session: nox.Session) -> None:
    """Style and types."""
    session.install(".[dev]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """The Python tests."""
    session.install(".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """The benchmarks, timed, and where valgrind is the instructions that the core takes."""
    session.install(".[test]")
    session.run("pytest", "benches", *session.posargs)
    if shutil.which("valgrind"):
        session.run("python", "benches/instructions.py")
    else:
        session.warn("valgrind is not installed: instructions were not counted")


@nox.session
def asan(session: nox.Session) -> None:
    """The C++ tests under the address and undefined-behaviour sanitizers."""
    build = session.create_tmp()
    session.run(
        *("cmake", "-S", ".", "-B", build, "-DCMAKE_BUILD_TYPE=Debug"),
        *("-DCARBONEDGE_PYTHON=OFF", "-DCARBONEDGE_TESTS=ON", "-DCARBONEDGE_SANITIZE=address"),
        external=True,
    )
    session.run("cmake", "--build", build, "--parallel", "2", external=True)
    session.run("ctest", "--test-dir", build, "--output-on-failure", external=True)


@nox.session
def tsan(session: nox.Session) -> None:
    """The C++ tests of threads under the thread sanitizer."""
    build = session.create_tmp()
    session.run(
        *("cmake", "-S", ".", "-B", build, "-DCMAKE_BUILD_TYPE=Debug"),
        *("-DCARBONEDGE_PYTHON=OFF", "-DCARBONEDGE_TESTS=ON", "-DCARBONEDGE_SANITIZE=thread"),
        external=True,
    )
    session.run("cmake", "--build", build, "--parallel", "2", external=True)
    session.run(f"{build}/cpp/tests/carbonedge_tests", "--test-case=*threads*", external=True)
