"""Export the paper's models from timm, with random weights, as files.

    python -m venv scratch && . scratch/bin/activate
    pip install torch==2.13.0
    pip install --no-deps timm==1.0.31 torchvision==0.28.0
    pip install onnxscript pyyaml safetensors huggingface_hub ".[paper]"
    python benches/models/export.py FOLDER
    carbonedge paper FOLDER/*.onnx
    CARBONEDGE_MODELS=FOLDER pytest benches/bench_runtime.py

Where these are installed, `carbonedge paper` exports its models itself. None of them is needed
to use carbonedge or to run its tests.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from carbonedge.experiments.paper.export import TIMM_NAMES, export_models


def main() -> None:
    """Write one file for each model."""
    parser = argparse.ArgumentParser(description="Export the paper's models.")
    parser.add_argument("folder", type=Path, help="where the files go")
    parser.add_argument("--names", nargs="+", default=TIMM_NAMES, help="timm's names")
    arguments = parser.parse_args()
    export_models(arguments.folder, names=arguments.names)


if __name__ == "__main__":
    main()
