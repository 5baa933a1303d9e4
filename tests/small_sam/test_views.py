from itertools import pairwise

import cv2
import numpy as np
import pytest

from small_sam.shapes import Mask
from small_sam.views import BOXES, CLICKS, SEVERAL, View, ask, look, tight_box


def disc(x: int, y: int, radius: int) -> Mask:
    canvas = np.zeros((256, 256), dtype=np.uint8)
    cv2.circle(canvas, (x, y), radius, 1, -1)
    return canvas > 0


MASKS = [disc(70, 90, 30), disc(180, 60, 12), disc(150, 190, 45)]


def view_of(seed: int) -> View:
    """A white picture of the masks on black, so that picture and masks can be compared."""
    white = np.repeat(np.any(MASKS, axis=0)[..., None], 3, axis=2).astype(np.uint8) * 255
    return look(white, MASKS, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(25))
def test_masks_are_cut_and_enlarged_as_the_picture_is(seed: int) -> None:
    view = view_of(seed)
    white, meant = view.picture[..., 0] > 127, np.any(view.masks, axis=0)
    assert (white & meant).sum() / (white | meant).sum() > 0.97


@pytest.mark.parametrize("seed", range(25))
def test_the_longer_side_is_full_and_the_rest_is_black(seed: int) -> None:
    view = view_of(seed)
    assert max(view.height, view.width) == 256
    assert not view.picture[view.height :].any() and not view.picture[:, view.width :].any()
    assert not any(mask[view.height :].any() or mask[:, view.width :].any() for mask in view.masks)


@pytest.mark.parametrize("seed", range(10))
def test_the_first_click_lies_inside_and_the_others_say_where_they_lie(seed: int) -> None:
    asked = ask(view_of(seed), 8, np.random.default_rng(seed))
    assert asked.points.shape == (8, SEVERAL, 2)
    for mask, points, inside in zip(asked.masks, asked.points, asked.inside, strict=True):
        assert inside[0] == 1
        assert [mask[int(y), int(x)] for x, y in points] == inside.astype(bool).tolist()


def test_boxes_are_round_what_is_meant_as_people_draw_them() -> None:
    view = view_of(0)
    asked = ask(view, 400, np.random.default_rng(0))
    tight = np.stack([tight_box(mask) for mask in asked.masks])
    sides = np.tile(tight[:, 2:] - tight[:, :2], 2)
    assert asked.boxes.min() >= 0 and asked.boxes[:, 2].max() <= view.width and asked.boxes[:, 3].max() <= view.height
    off = (asked.boxes - tight) / sides
    assert 0.01 < off.std() < 0.08
    assert abs(off.mean()) < 0.01


@pytest.mark.slow
def test_prompts_are_of_the_kinds_in_their_shares() -> None:
    kinds = ask(view_of(0), 3000, np.random.default_rng(0)).kinds
    shares = np.bincount(kinds, minlength=3) / 3000
    assert shares == pytest.approx([BOXES, CLICKS, 1 - BOXES - CLICKS], abs=0.03)


def test_a_tight_box_ends_behind_the_last_pixel() -> None:
    mask = np.zeros((6, 8), dtype=bool)
    mask[2:4, 3:7] = True
    assert tight_box(mask).tolist() == [3, 2, 7, 4]


@pytest.mark.slow
def test_objects_of_the_middle_are_asked_about_more_often() -> None:
    picture = np.zeros((256, 256, 3), dtype=np.uint8)
    masks = [disc(128, 128, 10), disc(60, 128, 10), disc(20, 20, 10)]
    asked = ask(View(picture, 256, 256, masks), 3000, np.random.default_rng(0))
    counts = [int((asked.masks == mask).all((1, 2)).sum()) for mask in masks]
    assert sum(counts) == 3000
    assert all(near > far for near, far in pairwise(counts))
