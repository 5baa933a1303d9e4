from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from small_sam.objects import PER_PICTURE, READERS, composites, sample_images

Map = npt.NDArray[np.uint8]
PARTS = np.zeros((40, 50), dtype=np.uint8)
PARTS[5:15, 5:15] = 1
PARTS[5:15, 25:40] = 1
PARTS[20:30, 5:20] = 2
PARTS[38, 48] = 2
"""Two parts of class 1, one of class 2, one too small, and what is round them."""


def write(path: Path, pixels: Map) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def road(folder: Path, around: int) -> Path:
    for number in range(4):
        write(folder / "val" / "images" / f"{number}.png", np.full((40, 50, 3), number, dtype=np.uint8))
        write(folder / "val" / "masks" / f"{number}.png", np.where(PARTS, PARTS, around).astype(np.uint8))
    return folder


def test_an_object_is_a_connected_part_and_unlabelled_is_none(tmp_path: Path) -> None:
    found = READERS["camvid"](road(tmp_path, around=11), 100, np.random.default_rng(0))
    assert {int(one.mask.sum()) for one in found} <= {100, 150}
    assert len(found) == 4 * PER_PICTURE
    assert all(one.picture.shape == (40, 50, 3) for one in found)


def test_no_more_objects_than_were_asked_for(tmp_path: Path) -> None:
    assert len(READERS["camvid"](road(tmp_path, around=11), 3, np.random.default_rng(0))) == 3


def test_the_first_annotator_of_a_photograph_counts(tmp_path: Path) -> None:
    write(tmp_path / "val" / "images" / "a.png", np.zeros((40, 50, 3), dtype=np.uint8))
    write(tmp_path / "val" / "segmentations" / "a_0.png", PARTS)
    write(tmp_path / "val" / "segmentations" / "a_1.png", np.zeros_like(PARTS))
    found = READERS["bsds500"](tmp_path, 2, np.random.default_rng(0))
    assert {int(one.mask.sum()) for one in found} <= {100, 150}


def test_tiles_without_defects_are_left_out(tmp_path: Path) -> None:
    for kind, mask in (("crack", PARTS), ("free", PARTS)):
        write(tmp_path / "images" / kind / "exp1_num_5.png", np.zeros((40, 50, 3), dtype=np.uint8))
        write(tmp_path / "masks" / kind / "exp1_num_5.png", (mask > 0).astype(np.uint8) * 255)
    found = READERS["magnetic_tile"](tmp_path, 10, np.random.default_rng(0))
    assert len(found) == PER_PICTURE


def test_the_border_of_a_sample_mask_is_no_object(tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.png", np.zeros((40, 50, 3), dtype=np.uint8))
    write(tmp_path / "masks" / "a.png", np.where(PARTS == 1, 255, PARTS).astype(np.uint8))
    found = sample_images(tmp_path, 10, np.random.default_rng(0))
    assert [int(one.mask.sum()) for one in found] == [150]


def test_held_out_composites_are_the_same_for_the_same_seed() -> None:
    first, again = (composites(4, np.random.default_rng(3)) for _ in range(2))
    assert len(first) == 4
    assert all(np.array_equal(one.mask, two.mask) for one, two in zip(first, again, strict=True))


@pytest.mark.parametrize("name", sorted(READERS))
def test_an_empty_folder_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing matches"):
        READERS[name](tmp_path, 1, np.random.default_rng(0))
