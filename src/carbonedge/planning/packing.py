"""A stage as bytes, to be sent to where it runs."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from carbonedge.planning.external import move_external
from carbonedge.planning.split import StageModel

__all__ = ["Package", "pack"]

DATA_NAME = "stage.data"


@dataclass(frozen=True, slots=True, eq=False)
class Package:
    """A model, and what it refers to as external data.

    Parameters
    ----------
    model
        Serialized.
    data
        What must lie in a file beside it; ``None`` where nothing must.
    """

    model: bytes
    data: bytes | None

    def write_data(self, folder: Path) -> None:
        """Put the external data into the folder that the model is opened with."""
        if self.data is not None:
            (folder / DATA_NAME).write_bytes(self.data)


def pack(stage: StageModel) -> Package:
    """A stage with all that it refers to.

    Raises
    ------
    ModelError
        If external data cannot be read.
    """
    if stage.folder is None:
        return Package(stage.proto.SerializeToString(), None)
    assembly = stage.assembly.with_own_references()
    with tempfile.TemporaryDirectory(prefix="carbonedge-") as folder:
        file = Path(folder) / DATA_NAME
        written = move_external(assembly.tensors(), stage.folder, file)
        data = file.read_bytes() if written else None
    return Package(assembly.build().SerializeToString(), data)
