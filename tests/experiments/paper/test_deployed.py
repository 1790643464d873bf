from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from photo_model import photo_model, save_photo_model

from carbonedge import Cluster, ModelError, load_model
from carbonedge.experiments.paper import (
    QUICK,
    PaperModel,
    Photos,
    experiment,
    read_models,
    run_paper,
)
from carbonedge.experiments.paper.deployed import check_fits
from carbonedge.experiments.paper_cluster import paper_cluster

MODEL = PaperModel("tiny", load_model(photo_model()), "photo")


def test_a_model_of_the_size_of_a_node_fits() -> None:
    exact = [dataclasses.replace(n, memory_mb=MODEL.graph.memory_mb) for n in paper_cluster().nodes]
    check_fits(MODEL, exact)


def test_a_model_too_large_for_one_node_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = paper_cluster().nodes
    small = Cluster([*nodes[:2], dataclasses.replace(nodes[2], memory_mb=0.001)])
    monkeypatch.setattr(experiment, "paper_cluster", lambda: small)
    said: list[str] = []
    with pytest.raises(ModelError, match=r"does not fit whole .*node-green has 0\.001; give a"):
        run_paper(
            read_models([save_photo_model(tmp_path)]),
            Photos((), "none"),
            QUICK,
            advance=said.append,
        )
    assert said == []
