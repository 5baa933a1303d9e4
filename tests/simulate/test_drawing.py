"""How outlines are drawn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalab.masks import BoolMask
from datalab.simulate.drawing import draw, invent, outline_px
from tests.simulate.people import square


def disc(radius: float, side: int = 200) -> BoolMask:
    y, x = np.ogrid[:side, :side]
    return np.asarray(np.hypot(y - side // 2, x - side // 2) <= radius, dtype=bool)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_sure_hand_draws_the_truth() -> None:
    mask = square(5, 5)
    drawn = draw(mask, bias_px=0, jitter_px=0, rng=rng())
    assert np.array_equal(drawn, mask)
    assert drawn is not mask


@pytest.mark.parametrize("bias", [-8.0, -3.0, 2.0, 8.0])
def test_a_bias_moves_the_outline_by_that_much(bias: float) -> None:
    drawn = draw(disc(40), bias, 0, rng())
    radius = np.sqrt(drawn.sum() / np.pi)
    assert radius == pytest.approx(40 + bias, abs=0.6)


@pytest.mark.parametrize(
    ("bias", "expected"),
    [
        (0.4, [[0, 0, 0], [0, 1, 0], [0, 0, 0]]),
        (0.7, [[0, 1, 0], [1, 1, 1], [0, 1, 0]]),
        (1.0, [[1, 1, 1], [1, 1, 1], [1, 1, 1]]),
    ],
)
def test_a_pixel_joins_when_the_outline_reaches_its_centre(bias: float, expected: list[list[int]]) -> None:
    """From the middle pixel's edge it is half a pixel to the next centre, 0.91 to the diagonal one."""
    drawn = draw(square(1, 1, side=1, canvas=3), bias, 0, rng())
    assert drawn.astype(int).tolist() == expected


@pytest.mark.parametrize("jitter", [0.7, 1.5, 2.5])
def test_the_wobble_is_as_wide_as_it_says_and_goes_both_ways(jitter: float) -> None:
    """Along the straight edge of a half plane the outline is where distance equals the wobble."""
    side = 400
    mask = np.zeros((side, side), dtype=bool)
    mask[:, : side // 2] = True
    edges = np.concatenate([draw(mask, 0, jitter, rng(seed)).sum(axis=1) - side // 2 for seed in range(20)])
    assert abs(edges.mean()) < 0.15 * jitter
    # steps of a whole pixel add a twelfth to the variance
    assert edges.std() == pytest.approx(np.hypot(jitter, 12**-0.5), rel=0.12)


def test_the_wobble_is_smooth() -> None:
    mask = np.zeros((400, 400), dtype=bool)
    mask[:, :200] = True
    edge = draw(mask, 0, 2.5, rng(1)).sum(axis=1)
    assert np.abs(np.diff(edge)).mean() < 1


def test_what_would_vanish_stays() -> None:
    mask = square(5, 5, side=3)
    assert np.array_equal(draw(mask, -5, 0, rng()), mask)


def test_extreme_masks() -> None:
    nothing = np.zeros((8, 8), dtype=bool)
    assert not draw(nothing, 2, 1, rng()).any()
    everything = ~nothing
    assert draw(everything, 2, 1, rng()).all()


def test_drawing_far_from_the_border_is_drawing_anywhere() -> None:
    """The mask is worked on in its own box only: the image around it changes nothing."""
    small, large = square(20, 20, canvas=60), square(20, 20, canvas=300)
    assert np.array_equal(draw(small, 1, 1.5, rng(3)), draw(large, 1, 1.5, rng(3))[:60, :60])


@given(seed=st.integers(0, 10_000))
def test_an_invented_object_lies_in_free_space(seed: int) -> None:
    free = np.zeros((30, 50), dtype=bool)
    free[3:9, 40:] = True
    blob = invent(free, rng(seed))
    assert blob.any()
    assert not (blob & ~free).any()


def test_nothing_can_be_invented_in_a_full_image() -> None:
    assert not invent(np.zeros((5, 5), dtype=bool), rng()).any()


def test_the_outline_of_a_square_with_a_hole() -> None:
    mask = square(0, 0, side=11)
    assert outline_px(mask) == pytest.approx(40)
    mask[5, 5] = False
    # the hole's outline runs through its four neighbours
    assert outline_px(mask) == pytest.approx(40 + 4 * np.sqrt(2))
