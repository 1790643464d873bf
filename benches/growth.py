"""Plots how the cost of a decision grows with the number of nodes, into docs/.

``python benches/growth.py``; needs the extras ``plot`` and ``numba``.
"""

from __future__ import annotations

import os
from pathlib import Path

import matplotlib as mpl
import numpy as np
from bench_selection import ours, theirs
from clusters import medians_us

from carbonedge._backend import ENVIRONMENT_VARIABLE, backend

TARGET = Path(__file__).parent.parent / "docs" / "decision-cost.svg"
SIZES = (3, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
LARGEST = {"loop": 10_000, "numba": 100_000}
LABELS = {
    "loop": "plain Python loop",
    "numpy": "NumPy expression",
    "scan": "vectorised scan in C++",
    "numba": "search, Numba",
    "native": "search, C++",
}


def cost_us(name: str, count: int) -> float:
    """Median time of a decision; what happens between decisions is not counted."""
    os.environ[ENVIRONMENT_VARIABLE] = "numba" if name == "numba" else "native"
    backend.cache_clear()
    if name in ("loop", "numpy"):
        decide, between = theirs(count, name)
    else:
        decide, between = ours(count, scan=name == "scan")
    slow = name in ("loop", "numpy", "scan")
    medians_us(decide, between, decisions=3)
    return medians_us(decide, between, decisions=9 if slow else 2_000)[0]


def main() -> None:
    mpl.use("svg")
    # The same file for the same figures.
    mpl.rcParams["svg.hashsalt"] = "carbonedge"
    mpl.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7.5, 4.6), layout="constrained")
    for name, label in LABELS.items():
        sizes = [count for count in SIZES if count <= LARGEST.get(name, count)]
        costs = [cost_us(name, count) for count in sizes]
        (line,) = axes.plot(sizes, costs, marker="o", markersize=3.5)
        axes.annotate(
            label,
            (sizes[-1], costs[-1]),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=line.get_color(),
        )
        print(
            f"{label:<24}",
            "  ".join(f"{n:,}: {us:,.2f}" for n, us in zip(sizes, costs, strict=True)),
        )
    axes.set(xscale="log", yscale="log", xlabel="nodes", ylabel="time of one decision (µs)")
    axes.set_title("Median time to choose a node, normalized scoring, called from Python")
    axes.set_xlim(2, 4e7)
    axes.set_xticks(np.logspace(1, 6, 6))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(TARGET, metadata={"Date": None})


if __name__ == "__main__":
    main()
