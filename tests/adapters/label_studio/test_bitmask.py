"""Bitmask regions: PNGs as data URLs."""

import base64
import io
import re

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from datalab.adapters.label_studio.bitmask import PREFIX, bitmask_to_mask, mask_to_bitmask
from datalab.errors import InputError
from datalab.masks import BoolMask

MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=40))
LEVELS = arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def url_of(image: Image.Image, kind: str = "PNG") -> str:
    packed = io.BytesIO()
    image.save(packed, format=kind)
    return PREFIX + base64.b64encode(packed.getvalue()).decode()


def as_browser(alpha: npt.NDArray[np.uint8]) -> Image.Image:
    """Black with an alpha, as a canvas gives it."""
    return Image.fromarray(np.dstack([np.zeros((*alpha.shape, 3), dtype=np.uint8), alpha]))


@given(MASKS)
def test_any_mask_goes_there_and_back(mask: BoolMask) -> None:
    assert np.array_equal(bitmask_to_mask(mask_to_bitmask(mask), *mask.shape), mask)


@given(MASKS)
def test_a_browser_sees_opaque_black_on_nothing(mask: BoolMask) -> None:
    packed = base64.b64decode(mask_to_bitmask(mask).removeprefix("data:image/png;base64,"))
    shown = np.asarray(Image.open(io.BytesIO(packed)).convert("RGBA"))
    assert np.array_equal(shown, np.asarray(as_browser(mask.astype(np.uint8) * 255)))


@given(LEVELS)
def test_soft_edges_count_from_half_opacity_on(alpha: npt.NDArray[np.uint8]) -> None:
    assert np.array_equal(bitmask_to_mask(url_of(as_browser(alpha)), *alpha.shape), alpha >= 128)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (7, 1), (127, 129)])
@pytest.mark.parametrize("inside", [False, True], ids=["empty", "full"])
def test_all_or_nothing(height: int, width: int, inside: bool) -> None:
    mask = np.full((height, width), inside)
    assert np.array_equal(bitmask_to_mask(mask_to_bitmask(mask), height, width), mask)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (None, "no data:image/png"),
        ("https://elsewhere/mask.png", "no data:image/png"),
        ("data:image/svg+xml;base64,AAAA", "no data:image/png"),
        (PREFIX + "?!", "damaged"),
        (PREFIX + "AAAA", "damaged: it is no PNG"),
        (mask_to_bitmask(np.eye(5, dtype=bool))[:-44], "damaged"),
        (url_of(Image.new("RGB", (5, 5)), "JPEG"), "damaged: it is no PNG"),
        (mask_to_bitmask(np.eye(6, dtype=bool)), "6 x 6 pixels, not 5 x 5"),
    ],
)
def test_what_cannot_be_read_is_an_input_error(url: str, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        bitmask_to_mask(url, 5, 5)


def test_a_picture_that_unpacks_to_far_more_than_it_says_is_refused_before_it_is_unpacked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bomb = url_of(Image.new("1", (3000, 3000)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(InputError, match="damaged"):
        bitmask_to_mask(bomb, 5, 5)


@pytest.mark.parametrize("shape", [(0, 3), (2, 2, 2)])
def test_a_mask_has_two_axes_and_a_pixel(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="2 axes"):
        mask_to_bitmask(np.zeros(shape, dtype=bool))
