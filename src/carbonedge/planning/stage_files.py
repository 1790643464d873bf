"""A split model as a folder: a file per stage, and a manifest."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from carbonedge.planning.external import move_external
from carbonedge.planning.manifest import MANIFEST, End, Manifest, StageFile
from carbonedge.planning.model import load_model
from carbonedge.planning.split import StageModel, split
from carbonedge.planning.tensor import tensor

__all__ = ["hash_file", "split_to_folder"]

_STAGE_NAME = re.compile(r"stage-\d+\.onnx")


def split_to_folder(
    path: str | os.PathLike[str], positions: Sequence[int], folder: str | os.PathLike[str]
) -> Manifest:
    """Cut a model file, and write its stages and their manifest to a folder.

    Of weights no more than one stands in memory a second time; external data is copied
    from file to file.

    Parameters
    ----------
    path
        The model.
    positions
        See `split`.
    folder
        Made where it is missing. Stages of an earlier split in it are removed.

    Raises
    ------
    ModelError
        If the model cannot be read.
    ValueError
        If it cannot be cut there.
    OSError
        If the folder cannot be written to.
    """
    model = load_model(path)
    stages = split(model, positions)
    target = Path(folder)
    if _STAGE_NAME.fullmatch(Path(path).name) and target.resolve() == Path(path).resolve().parent:
        raise ValueError(
            f"stages in {str(target)!r} would overwrite the model: give another folder"
        )
    target.mkdir(parents=True, exist_ok=True)
    _remove_stages(target)
    manifest = Manifest(
        model=Path(path).name,
        sha256=hash_file(path),
        operators=len(model.operators),
        cuts=tuple(positions),
        inputs=tuple(map(End.of, model.inputs)),
        outputs=tuple(map(End.of, model.outputs)),
        stages=tuple(
            _write_stage(stage, target / f"stage-{number}.onnx")
            for number, stage in enumerate(stages)
        ),
    )
    # Last, so that a folder with a manifest is whole.
    (target / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def hash_file(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove_stages(folder: Path) -> None:
    if not (folder / MANIFEST).exists():
        return
    earlier = Manifest.read(folder)
    (folder / MANIFEST).unlink()
    for stage in earlier.stages:
        for name in (stage.file, stage.data_file):
            if name is not None:
                (folder / Path(name).name).unlink(missing_ok=True)


def _write_stage(stage: StageModel, path: Path) -> StageFile:
    assembly, data_path = stage.assembly, path.with_suffix(".data")
    written = 0
    if stage.folder is not None:
        assembly = assembly.with_own_references()
        written = move_external(assembly.tensors(), stage.folder, data_path)
    assembly.write(path)
    graph = assembly.light.graph
    return StageFile(
        file=path.name,
        data_file=data_path.name if written else None,
        start=stage.start,
        stop=stage.stop,
        inputs=tuple(End.of(tensor(info)) for info in graph.input),
        outputs=tuple(End.of(tensor(info)) for info in graph.output),
    )
