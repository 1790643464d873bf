"""What a folder of stages holds, as JSON."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from carbonedge.planning.document import read_document
from carbonedge.planning.tensor import Tensor

__all__ = ["MANIFEST", "End", "Manifest", "StageFile"]

MANIFEST = "manifest.json"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class End:
    """An input or output.

    Parameters
    ----------
    name
        In the model.
    dtype
        As ONNX Runtime prints it, such as ``"tensor(float)"``.
    shape
        Sizes; a name or ``None`` where one is dynamic; ``None`` when the rank is unknown
        or it is no plain tensor.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None

    @classmethod
    def of(cls, tensor: Tensor) -> Self:
        """What a manifest says of a tensor."""
        return cls(tensor.name, tensor.dtype, tensor.shape)


@dataclass(frozen=True, slots=True)
class StageFile:
    """One stage.

    Parameters
    ----------
    file
        Of the model, beside the manifest.
    data_file
        Of its external data, beside it; ``None`` where it has none.
    start, stop
        Its operators, half-open.
    inputs, outputs
        What it takes and gives.
    """

    file: str
    data_file: str | None
    start: int
    stop: int
    inputs: tuple[End, ...]
    outputs: tuple[End, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """A split model on disk.

    Run in order over a dictionary of tensors by name, which starts as the request, the
    stages leave every output of the model in it.

    Parameters
    ----------
    model
        File name of the whole.
    sha256
        Of that file, in hexadecimal.
    operators
        How many it has.
    cuts
        Positions between the stages.
    inputs, outputs
        The whole's.
    stages
        In the order they run.
    """

    model: str
    sha256: str
    operators: int
    cuts: tuple[int, ...]
    inputs: tuple[End, ...]
    outputs: tuple[End, ...]
    stages: tuple[StageFile, ...]

    def __post_init__(self) -> None:
        _check(self)

    def to_json(self) -> str:
        """As JSON, read back by `from_json`."""
        return json.dumps({"version": FORMAT_VERSION, **dataclasses.asdict(self)}, indent=2) + "\n"

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The manifest in a folder.

        Raises
        ------
        ValueError
            If it cannot be read, is none, or of another version.
        """
        path = folder / MANIFEST
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ValueError(
                f"cannot read manifest {str(path)!r}: {reason}; write one with `carbonedge split`"
            ) from error

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a manifest back.

        Raises
        ------
        ValueError
            If the text is none, or of another version.
        """
        return read_document(text, cls, "the manifest", (FORMAT_VERSION,), "split the model again")


def _check(manifest: Manifest) -> None:
    """Whether stages follow one another, and each is given what it takes."""
    starts, stops = (0, *manifest.cuts), (*manifest.cuts, manifest.operators)
    if [(stage.start, stage.stop) for stage in manifest.stages] != [
        *zip(starts, stops, strict=True)
    ]:
        raise ValueError("its stages are not those of its cuts")
    there = {end.name for end in manifest.inputs}
    for stage in manifest.stages:
        missing = sorted({end.name for end in stage.inputs} - there)
        if missing:
            raise ValueError(f"{stage.file!r} takes {missing[0]!r}, which nothing before it gives")
        there |= {end.name for end in stage.outputs}
