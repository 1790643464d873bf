from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from carbonedge.experiments.paper import read_photos
from carbonedge.experiments.paper.photos import DEVIATION, MEAN, PHOTOGRAPHS


def test_fifty_photos_that_all_differ() -> None:
    photos = read_photos(50)
    assert len(photos.tensors) == 50
    assert all(one.shape == (1, 3, 224, 224) and one.dtype == np.float32 for one in photos.tensors)
    assert len({one.tobytes() for one in photos.tensors}) == 50
    assert photos.source == "50 crops of 10 photographs of scikit-image"


def test_the_first_ten_are_ten_photographs() -> None:
    few, more = read_photos(10), read_photos(12)
    assert few.source == "10 crops of 10 photographs of scikit-image"
    assert len(PHOTOGRAPHS) == 10
    assert all(map(np.array_equal, few.tensors, more.tensors))


def test_colours_are_normalised(tmp_path: Path) -> None:
    Image.new("RGB", (300, 400), (255, 0, 51)).save(tmp_path / "one.png")
    (tensor,) = read_photos(5, tmp_path).tensors
    expected = (np.array([1.0, 0.0, 0.2]) - MEAN) / DEVIATION
    assert np.allclose(tensor, expected[None, :, None, None], atol=1e-6)


def test_a_photo_is_cropped_in_the_centre(tmp_path: Path) -> None:
    # A white square of a third of the height, in the middle of a wide black picture.
    picture = np.zeros((300, 900, 3), np.uint8)
    picture[100:200, 400:500] = 255
    Image.fromarray(picture).save(tmp_path / "one.png")
    (tensor,) = read_photos(1, tmp_path).tensors
    bright = np.argwhere(tensor[0, 0] > 1)
    assert np.allclose(bright.mean(axis=0), 111.5, atol=1.5)


def test_grey_and_transparent_photos_get_three_colours(tmp_path: Path) -> None:
    Image.new("L", (256, 256), 100).save(tmp_path / "a.png")
    Image.new("RGBA", (256, 256), (1, 2, 3, 4)).save(tmp_path / "b.png")
    photos = read_photos(5, tmp_path)
    assert [one.shape for one in photos.tensors] == [(1, 3, 224, 224)] * 2
    assert photos.source == f"2 of {tmp_path}"


def test_what_is_no_folder_of_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot read the folder of photos"):
        read_photos(1, tmp_path / "missing")
    with pytest.raises(ValueError, match="there are no photos in"):
        read_photos(1, tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    with pytest.raises(ValueError, match=r"cannot read photo .*broken.jpg"):
        read_photos(1, tmp_path)
