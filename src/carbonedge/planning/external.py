"""Weights that lie in files beside the model."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import BinaryIO

from onnx import TensorProto
from onnx.external_data_helper import (
    load_external_data_for_tensor,
    uses_external_data,
)

from carbonedge.exceptions import ModelError
from carbonedge.planning.assembly import is_heavy

__all__ = ["check_external", "data_files", "move_external"]

ALIGNMENT = 4096
"""Of each tensor in a data file, so that it can be mapped into memory."""

CHUNK_BYTES = 1 << 20


def check_external(tensors: Iterable[TensorProto], folder: Path | None) -> bool:
    """See to it that all data is there, read what is small, and tell whether any is left.

    Raises
    ------
    ModelError
        If a data file is missing, too short or elsewhere than below the model's folder.
    """
    left = False
    for tensor in tensors:
        if not uses_external_data(tensor):
            continue
        _place(tensor, folder)
        if is_heavy(tensor):
            left = True
        else:
            # Shape inference looks into small ones.
            load_external_data_for_tensor(tensor, str(folder))
    return left


def data_files(tensors: Iterable[TensorProto], folder: Path | None) -> set[Path]:
    """The files in which data of these tensors lies."""
    return {_place(tensor, folder)[0] for tensor in tensors if uses_external_data(tensor)}


def move_external(tensors: Iterable[TensorProto], folder: Path, target: Path) -> int:
    """Copy the external data of tensors, which are changed to refer to the copy.

    What several of them share is copied once.

    Parameters
    ----------
    tensors
        Those without external data are left as they are.
    folder
        Where their data files are.
    target
        The new data file; it is not written where there is nothing to write.

    Returns
    -------
    int
        Bytes written.
    """
    moved: dict[tuple[Path, int, int], int] = {}
    end = 0
    file: BinaryIO | None = None
    try:
        for tensor in tensors:
            if not uses_external_data(tensor):
                continue
            place = _place(tensor, folder)
            if file is None:
                file = target.open("wb")
            if place not in moved:
                path, offset, length = place
                end += -end % ALIGNMENT
                file.seek(end)
                _copy_range(path, offset, length, file)
                moved[place] = end
                end += length
            _refer(tensor, target.name, moved[place], place[2])
    finally:
        if file is not None:
            file.truncate(end)
            file.close()
    return end


def _place(tensor: TensorProto, folder: Path | None) -> tuple[Path, int, int]:
    """File, offset and length of a tensor's data in bytes."""
    stated = {entry.key: entry.value for entry in tensor.external_data}
    location = stated.get("location", "")
    if folder is None:
        raise ModelError(
            f"the data of {tensor.name!r} lies in file {location!r}, whose folder is not "
            "known: give the model's path, or load it with its data"
        )
    inside = PurePath(location)
    if inside.is_absolute() or ".." in inside.parts or not inside.parts:
        raise ModelError(
            f"the data of {tensor.name!r} is said to lie in {location!r}: "
            "it must lie below the model's folder"
        )
    path = folder / inside
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ModelError(
            f"the data of {tensor.name!r} cannot be read from {str(path)!r}: {error.strerror}"
        ) from error
    try:
        offset = int(stated.get("offset", 0))
        length = int(stated.get("length", size - offset))
    except ValueError as error:
        raise ModelError(f"the data of {tensor.name!r} has no place: {error}") from error
    if offset < 0 or length < 0 or offset + length > size:
        raise ModelError(
            f"the data of {tensor.name!r} ends at byte {offset + max(length, 0)} of {str(path)!r}, "
            f"which has {size}: it is cut short, copy it again"
        )
    return path, offset, length


def _copy_range(path: Path, offset: int, length: int, target: BinaryIO) -> None:
    with path.open("rb") as source:
        source.seek(offset)
        left = length
        while left:
            chunk = source.read(min(left, CHUNK_BYTES))
            if not chunk:
                raise ModelError(f"{str(path)!r} became shorter while it was read")
            target.write(chunk)
            left -= len(chunk)


def _refer(tensor: TensorProto, location: str, offset: int, length: int) -> None:
    del tensor.external_data[:]
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))
