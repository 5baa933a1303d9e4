"""What part of an image is enlarged for a box, and that the masks come back to their place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from segment_anything.modeling import Sam

from datalab.adapters.mask_generator import encode, masks_in_boxes
from datalab.adapters.sam import load_sam
from datalab.adapters.sam_zoom import masks_in_enlarged_boxes, part_round, zooms_in
from datalab.masks import rle_to_mask

HEIGHT, WIDTH = 200, 320


@pytest.fixture(scope="module")
def sam() -> Sam:
    return load_sam("small")


def small_disk(x: float, y: float, radius: float) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    disk = np.hypot(columns - x, rows - y) < radius
    noise = np.random.default_rng(0).normal(0, 4, (HEIGHT, WIDTH, 3))
    picture = np.where(disk[..., None], [200.0, 60, 40], [90.0, 110, 120]) + noise
    return np.clip(picture, 0, 255).astype(np.uint8), disk


@pytest.mark.parametrize(
    ("box", "part"),
    [
        ((100, 80, 140, 100), (90, 60, 150, 120)),
        ((0, 0, 40, 20), (0, 0, 50, 40)),
        ((300, 180, 320, 200), (295, 175, 320, 200)),
        ((160, 100, 160, 100), (148, 88, 172, 112)),
        ((0, 0, 320, 200), (0, 0, 320, 200)),
    ],
)
def test_the_part_is_a_square_round_the_box_within_the_image(
    box: tuple[int, ...], part: tuple[int, int, int, int]
) -> None:
    assert part_round(np.array(box, dtype=np.float64), HEIGHT, WIDTH) == part


@given(st.tuples(*[st.floats(-1000, 1000)] * 4), st.integers(1, 50), st.integers(1, 50))
def test_wherever_a_box_lies_there_is_a_part(box: tuple[float, ...], height: int, width: int) -> None:
    x0, y0, x1, y1 = part_round(np.array(box), height, width)
    assert 0 <= x0 < x1 <= width
    assert 0 <= y0 < y1 <= height


def test_a_small_object_is_outlined_better_than_in_the_whole_image(sam: Sam) -> None:
    picture, disk = small_disk(250, 60, 7)
    boxes = np.array([[243.0, 53, 257, 67]])
    whole, enlarged = (
        rle_to_mask(found[0].rle, HEIGHT, WIDTH)
        for found in (masks_in_boxes(encode(sam, picture), boxes), masks_in_enlarged_boxes(sam, picture, boxes))
    )
    ious = [(mask & disk).sum() / (mask | disk).sum() for mask in (whole, enlarged)]
    assert ious[1] > max(0.8, ious[0])


def test_every_box_gets_a_mask_of_the_images_size(sam: Sam) -> None:
    picture, _ = small_disk(100, 100, 20)
    boxes = np.array([[80.0, 80, 120, 120], [0, 0, 320, 200], [319, 199, 320, 200]])
    found = masks_in_enlarged_boxes(sam, picture, boxes)
    assert [rle_to_mask(one.rle, HEIGHT, WIDTH).shape for one in found] == [(HEIGHT, WIDTH)] * 3
    assert found[0].area == rle_to_mask(found[0].rle, HEIGHT, WIDTH).sum()


def test_only_small_inputs_are_worth_it(sam: Sam, monkeypatch: pytest.MonkeyPatch) -> None:
    assert zooms_in(sam)
    monkeypatch.setattr(sam.image_encoder, "img_size", 1024)
    assert not zooms_in(sam)
