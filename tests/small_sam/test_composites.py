import cv2
import numpy as np
import pytest

from small_sam.composites import MIN_AREA, areas, camera, compose, lay
from small_sam.surfaces import Picture, load_photographs


@pytest.fixture(scope="module")
def photographs() -> list[Picture]:
    return load_photographs()


@pytest.mark.parametrize("seed", range(12))
def test_masks_are_of_visible_objects_and_no_two_share_a_pixel(photographs: list[Picture], seed: int) -> None:
    picture, masks = compose(photographs, np.random.default_rng([7, seed]))
    assert picture.shape == (256, 256, 3) and picture.dtype == np.uint8
    assert all(mask.sum() >= MIN_AREA for mask in masks)
    assert sum(mask.astype(int) for mask in masks).max(initial=0) <= 1  # type: ignore[union-attr]


def test_a_picture_is_a_function_of_its_seed(photographs: list[Picture]) -> None:
    first, again, other = (compose(photographs, np.random.default_rng([7, seed])) for seed in (3, 3, 4))
    assert np.array_equal(first[0], again[0])
    assert all(np.array_equal(one, two) for one, two in zip(first[1], again[1], strict=True))
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("seed", range(10))
def test_an_object_changes_the_picture_where_its_mask_is(photographs: list[Picture], seed: int) -> None:
    canvas, owner = np.zeros((256, 256, 3), dtype=np.float32), np.zeros((256, 256), dtype=np.int32)
    lay(photographs, canvas, owner, np.random.default_rng(seed))
    round_it = cv2.dilate((owner == 1).astype(np.uint8), np.ones((15, 15))) > 0
    assert not canvas[~round_it].any()
    assert not (owner == 1).any() or canvas[owner == 1].any()


def test_what_is_laid_on_top_takes_the_pixels(photographs: list[Picture]) -> None:
    canvas, owner = np.zeros((256, 256, 3), dtype=np.float32), np.zeros((256, 256), dtype=np.int32)
    rng = np.random.default_rng(0)
    for _ in range(30):
        before = owner.copy()
        lay(photographs, canvas, owner, rng)
        assert set(np.unique(owner[owner != before])) <= {before.max() + 1}


def test_every_area_but_the_ground_is_an_object_in_one_piece(photographs: list[Picture]) -> None:
    owner = np.zeros((256, 256), dtype=np.int32)
    areas(photographs, owner, np.random.default_rng(1))
    assert owner.max() >= 1
    for number in range(1, owner.max() + 1):
        assert cv2.connectedComponents((owner == number).astype(np.uint8))[0] == 2


def test_a_camera_keeps_the_picture_recognisable(photographs: list[Picture]) -> None:
    scene = cv2.resize(photographs[0], (256, 256)).astype(np.float32)
    for seed in range(8):
        seen = camera(scene.copy(), np.random.default_rng(seed))
        assert np.corrcoef(seen.mean(2).ravel(), scene.mean(2).ravel())[0, 1] > 0.9
