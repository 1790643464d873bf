"""Photographs as the paper's models take them."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from carbonedge._optional import optional
from carbonedge.exceptions import BackendUnavailableError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["PHOTOGRAPHS", "Photos", "read_photos"]

PHOTOGRAPHS = (
    *("astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png"),
    *("coins.png", "grass.png", "gravel.png", "motorcycle_left.png", "rocket.jpg"),
)
"""Those that scikit-image brings along."""
SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's colours."""
SIDE, SHORTER_SIDE = 224, 256
CORNERS = ((0.5, 0.5), (0, 0), (1, 0), (0, 1), (1, 1))
"""Where crops lie, as shares of the room there is: the centre and the four corners."""


@dataclass(frozen=True, slots=True)
class Photos:
    """Pictures to be answered for.

    Parameters
    ----------
    tensors
        Shape [1, 3, 224, 224] each, normalised by ImageNet's mean and deviation.
    source
        Where they are from, for people.
    """

    tensors: tuple[NDArray[np.float32], ...]
    source: str


def read_photos(count: int, folder: str | os.PathLike[str] | None = None) -> Photos:
    """Photographs, resized to 256 on the shorter side and cropped to 224 x 224.

    Parameters
    ----------
    count
        So many at most.
    folder
        Of your own, each cropped in the centre, in the order of their names. Without it five
        crops, the centre and the corners, of each of ten photographs that come with
        scikit-image.

    Raises
    ------
    BackendUnavailableError
        If Pillow or, without a folder, scikit-image is not installed.
    ValueError
        If there is no such folder, no photo in it, or one cannot be read.
    """
    pillow = optional("PIL.Image", "paper", BackendUnavailableError)
    tensors: list[NDArray[np.float32]] = []
    paths, corners = _paths(folder)
    for corner in corners:
        for path in paths[: count - len(tensors)]:
            try:
                with pillow.open(path) as image:
                    tensors.append(_tensor(image.convert("RGB"), corner))
            except OSError as error:
                raise ValueError(
                    f"cannot read photo {str(path)!r}: {getattr(error, 'strerror', None) or error}; "
                    "take it out of the folder"
                ) from error
    if folder is not None:
        return Photos(tuple(tensors), f"{len(tensors)} of {os.fspath(folder)}")
    used = min(len(tensors), len(paths))
    return Photos(tuple(tensors), f"{len(tensors)} crops of {used} photographs of scikit-image")


def _paths(
    folder: str | os.PathLike[str] | None,
) -> tuple[list[Path], Iterator[tuple[float, float]]]:
    if folder is None:
        found = importlib.util.find_spec("skimage")
        if found is None or found.origin is None:
            optional("skimage", "paper", BackendUnavailableError)
            raise AssertionError("a package without a file")
        # Its own reader would bring SciPy in.
        data = Path(found.origin).parent / "data"
        return [data / name for name in PHOTOGRAPHS], iter(CORNERS)
    try:
        names = sorted(Path(folder).iterdir())
    except OSError as error:
        raise ValueError(
            f"cannot read the folder of photos {os.fspath(folder)!r}: {error.strerror}; check the "
            "path"
        ) from error
    paths = [path for path in names if path.suffix.lower() in SUFFIXES]
    if not paths:
        raise ValueError(
            f"there are no photos in {os.fspath(folder)!r}: give a folder with files that end in "
            f"{', '.join(SUFFIXES)}"
        )
    return paths, iter(CORNERS[:1])


def _tensor(image: Image, corner: tuple[float, float]) -> NDArray[np.float32]:
    scale = SHORTER_SIDE / min(image.size)
    width, height = (max(SHORTER_SIDE, round(side * scale)) for side in image.size)
    left, top = (
        round((side - SIDE) * share) for side, share in zip((width, height), corner, strict=True)
    )
    cropped = image.resize((width, height)).crop((left, top, left + SIDE, top + SIDE))
    normalised = (np.asarray(cropped, np.float32) / 255 - MEAN) / DEVIATION
    return np.ascontiguousarray(normalised.transpose(2, 0, 1)[None], np.float32)
