"""The paper's architectures as ONNX files, from timm, which needs torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from carbonedge.exceptions import ModelError
from carbonedge.experiments.paper.photos import read_photos

__all__ = ["TIMM_NAMES", "export_models"]

TIMM_NAMES = ("mobilenetv2_100", "mobilenetv4_conv_small", "efficientnet_b0")
OPSET = 18
SEED = 0
SETTLING = 10
"""Photos that BatchNorm's statistics are from."""

_declared: list[Any] = []
"""Operators last as long as the library that declares them."""


def export_models(
    folder: str | os.PathLike[str], *, names: Sequence[str] = TIMM_NAMES
) -> list[Path]:
    """Write one file for each, with random weights: nobody ships trained ones by pip, and times
    do not depend on them.

    Parameters
    ----------
    folder
        Where they go; made if need be.
    names
        timm's.

    Raises
    ------
    ModelError
        If torch or timm is not installed.
    BackendUnavailableError
        If Pillow or scikit-image is not installed.

    Notes
    -----
    BatchNorm takes its statistics from photos of `read_photos`: fresh weights shrink what passes,
    until outputs are all but 0.
    """
    torch, timm = _exporters()
    samples = torch.from_numpy(np.concatenate(read_photos(SETTLING).tensors))
    Path(folder).mkdir(parents=True, exist_ok=True)
    paths = []
    for name in names:
        torch.manual_seed(SEED)
        model = timm.create_model(name, pretrained=False)
        _settle(torch, model, samples)
        program = torch.onnx.export(
            model.eval(),
            # Else an as_strided gets into the graph.
            (samples[:1].contiguous(),),
            dynamo=True,
            opset_version=OPSET,
            verbose=False,
        )
        path = Path(folder) / f"{name}.onnx"
        program.save(path, external_data=False)
        paths.append(path)
    return paths


def _exporters() -> tuple[Any, Any]:
    try:
        import torch

        if not _declared:
            # timm imports torchvision, which looks for operators that its CPU build may lack.
            library = torch.library.Library("torchvision", "DEF")
            for operator in ("nms", "qnms"):
                library.define(
                    f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
                )
            _declared.append(library)
        import onnxscript  # noqa: F401  (torch's exporter looks for it late)
        import timm
    except ImportError as error:
        raise ModelError(
            f"{error.name} is not installed, which the paper's models are exported with: install "
            "what benches/models/export.py says, or give their ONNX files"
        ) from error
    return torch, timm


def _settle(torch: Any, model: Any, samples: Any) -> None:
    """Take BatchNorm's statistics from photos."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    model.train()
    with torch.no_grad():
        model(samples)
