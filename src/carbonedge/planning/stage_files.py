"""A split model as a folder: a file per stage, and a manifest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from carbonedge.planning.external import data_files, move_external
from carbonedge.planning.manifest import MANIFEST, End, Manifest, StageFile
from carbonedge.planning.model import load_model
from carbonedge.planning.split import StageModel, split
from carbonedge.planning.tensor import tensor

__all__ = ["hash_file", "split_to_folder"]

SUFFIXES = (".onnx", ".data")


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
        Made where it is missing. Stages of an earlier split in it are removed; no other file
        is overwritten.

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
    earlier = _earlier_files(target)
    _check_targets(target, stages, earlier, {Path(path).resolve()})
    target.mkdir(parents=True, exist_ok=True)
    for name in earlier:
        (target / name).unlink(missing_ok=True)
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


def _earlier_files(folder: Path) -> set[str]:
    """What an earlier split wrote there, by name."""
    if not (folder / MANIFEST).exists():
        return set()
    try:
        earlier = Manifest.read(folder)
    except ValueError as error:
        raise ValueError(
            f"{str(folder)!r} holds a manifest that cannot be read: remove it, or give another folder"
        ) from error
    files = {name for stage in earlier.stages for name in (stage.file, stage.data_file) if name}
    return {MANIFEST} | {Path(name).name for name in files}


def _check_targets(
    folder: Path, stages: Sequence[StageModel], earlier: set[str], model: set[Path]
) -> None:
    """Nothing may be lost but an earlier split."""
    for stage in stages:
        if stage.folder is not None:
            model |= {file.resolve() for file in data_files(stage.assembly.tensors(), stage.folder)}
    names = {f"stage-{number}{suffix}" for number in range(len(stages)) for suffix in SUFFIXES}
    for name in sorted(names | earlier):
        path = folder / name
        if path.resolve() in model:
            raise ValueError(
                f"stages in {str(folder)!r} would overwrite the model: give another folder"
            )
        if name not in earlier and path.exists():
            raise ValueError(
                f"{str(path)!r} is there and of no earlier split: remove it, or give another folder"
            )


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
