import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import binary_dilation, binary_erosion

from datalab.masks import BoolMask, band_width, mask_to_rle
from datalab.quality.boundary import Cut, band, cut_iou, cut_of, outline_offset

MASKS = arrays(np.bool_, (9, 11))


def cut(mask: BoolMask) -> Cut:
    return cut_of(mask_to_rle(mask), mask.shape[0])


def disc(radius: float, side: int = 80, x: int = 40) -> BoolMask:
    rows, columns = np.mgrid[:side, :side]
    inside: BoolMask = np.hypot(rows - 40, columns - x) <= radius
    return inside


def offset(drawn: BoolMask, true: BoolMask) -> tuple[float, float] | None:
    return outline_offset(cut(drawn), cut(true), *true.shape)


@given(MASKS, MASKS, st.integers(1, 4))
def test_boundary_iou_is_the_one_of_its_definition(a: BoolMask, b: BoolMask, width: int) -> None:
    """Inner bands by plain erosion of the whole frame, with nothing beyond the image."""
    bands = [
        one & ~binary_erosion(one, np.ones((3, 3), dtype=bool), iterations=width, border_value=0) for one in (a, b)
    ]
    union = int((bands[0] | bands[1]).sum())
    expected = int((bands[0] & bands[1]).sum()) / union if union else 0
    assert cut_iou(band(cut(a), width), band(cut(b), width)) == pytest.approx(expected)


@given(MASKS, MASKS)
def test_iou_of_cuts_is_iou_and_symmetric(a: BoolMask, b: BoolMask) -> None:
    union = int((a | b).sum())
    assert cut_iou(cut(a), cut(b)) == pytest.approx(int((a & b).sum()) / union if union else 0)
    assert cut_iou(cut(b), cut(a)) == cut_iou(cut(a), cut(b))


def test_the_band_is_two_per_cent_of_the_diagonal_and_never_nothing() -> None:
    assert band_width(300, 400) == 10
    assert band_width(6, 8) == 1


@pytest.mark.parametrize("pixels", [-6, -3, 0, 3, 6])
def test_a_mask_drawn_too_wide_or_too_narrow_by_so_many_pixels(pixels: int) -> None:
    true = disc(20)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(pixels) + 1,) * 2) > 0
    drawn = binary_dilation(true, kernel) if pixels > 0 else binary_erosion(true, kernel) if pixels else true
    found = offset(drawn, true)
    assert found is not None
    assert found[0] == pytest.approx(pixels, abs=0.35)
    assert found[1] == pytest.approx(abs(pixels), abs=0.35)


def test_a_shifted_mask_is_off_but_neither_wide_nor_narrow() -> None:
    found = offset(disc(20, x=44), disc(20))
    assert found is not None
    assert abs(found[0]) < 0.15
    assert found[1] == pytest.approx(4 * 2 / np.pi, abs=0.4)


def test_swapping_the_two_turns_the_sign() -> None:
    there, back = offset(disc(23), disc(20)), offset(disc(20), disc(23))
    assert there is not None
    assert back is not None
    assert there == pytest.approx((-back[0], back[1]))


@pytest.mark.parametrize("radius", [3, 10, 25])
def test_an_outline_lies_on_itself(radius: float) -> None:
    ring = disc(radius) & ~disc(radius / 2)
    for mask in (disc(radius), ring):
        assert offset(mask, mask) == (0, 0)


def test_the_edge_of_the_image_is_nobodys_outline() -> None:
    true, drawn = (np.zeros((40, 60), dtype=bool) for _ in range(2))
    true[:, :30], drawn[:, :33] = True, True
    assert offset(drawn, true) == pytest.approx((3, 3))
    assert offset(np.ones((40, 60), dtype=bool), true) is None
    assert offset(np.zeros((40, 60), dtype=bool), true) is None


def test_the_lower_edge_of_a_mask_counts_as_the_upper_one_does() -> None:
    short, long = (np.zeros((40, 60), dtype=bool) for _ in range(2))
    short[10:20, 10:50], long[10:23, 10:50] = True, True
    assert offset(long, short) == pytest.approx(offset(long[::-1], short[::-1]))
