"""Export the paper's models from timm, with random weights, as files for the benchmarks.

    python -m venv scratch && . scratch/bin/activate
    pip install torch==2.13.0
    pip install --no-deps timm==1.0.31 torchvision==0.28.0
    pip install onnx onnxscript numpy pyyaml safetensors huggingface_hub pillow
    python benches/models/export.py FOLDER
    CARBONEDGE_MODELS=FOLDER pytest benches/bench_runtime.py

None of these packages is needed to use carbonedge or to run its tests.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

NAMES = ("mobilenetv2_100", "mobilenetv4_conv_small", "efficientnet_b0")
SIZE = (1, 3, 224, 224)
OPSET = 18


def main() -> None:
    """Write one file for each model."""
    parser = argparse.ArgumentParser(description="Export the paper's models.")
    parser.add_argument("folder", type=Path, help="where the files go")
    parser.add_argument("--names", nargs="+", default=NAMES, help="timm's names")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    _declare_vision_operators()
    for name in arguments.names:
        export(name, arguments.folder / f"{name}.onnx")


def export(name: str, path: Path) -> None:
    """Write one of timm's models, its BatchNorms set so that no layer dies out."""
    import timm

    torch.manual_seed(0)
    model = timm.create_model(name, pretrained=False)
    _settle(model)
    program = torch.onnx.export(
        model.eval(),
        (torch.rand(SIZE).contiguous(),),
        dynamo=True,
        opset_version=OPSET,
        verbose=False,
    )
    program.save(path, external_data=False)


def _settle(model: torch.nn.Module) -> None:
    # Fresh weights shrink what passes until outputs are all but 0: take the running
    # statistics from a few inputs instead.
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    model.train()
    with torch.no_grad():
        for _ in range(4):
            model(torch.rand((8, *SIZE[1:])))


def _declare_vision_operators() -> None:
    # timm imports torchvision, which looks for operators that its CPU build may lack.
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _LIBRARIES.append(library)


_LIBRARIES: list[torch.library.Library] = []
"""Operators last as long as the library that declares them."""


if __name__ == "__main__":
    main()
