import cv2
import numpy as np
import numpy.typing as npt
import pytest

from datalab.learning.shared_parts import SIDE, find_corners, lay_on, likely_sharing, likeness, to_compare

Pixels = npt.NDArray[np.uint8]


def photograph(seed: int, height: int = 480, width: int = 640) -> Pixels:
    """(H, W, 3): sixty grey boxes on noise, no two photographs alike."""
    rng = np.random.default_rng(seed)
    pixels = np.repeat(rng.normal(120, 4, (height, width, 1)), 3, axis=2)
    for _ in range(60):
        y, x, tall, wide = rng.integers(0, [height, width, height // 5, width // 5])
        pixels[y : y + tall, x : x + wide] = rng.integers(0, 255)
    return pixels.clip(0, 255).astype(np.uint8)


def alike(one: Pixels, other: Pixels) -> float | None:
    grey = to_compare(one), to_compare(other)
    laying = lay_on(find_corners(grey[0]), find_corners(grey[1]))
    return None if laying is None else likeness(*grey, laying)


def test_images_are_compared_at_one_size() -> None:
    assert to_compare(photograph(0)).shape == (384, SIDE)
    assert to_compare(photograph(0, 100, 50)).shape == (SIDE, 256)
    assert to_compare(np.zeros((1, 3000, 3), np.uint8)).shape == (1, SIDE)


def test_a_cut_lies_where_it_was_cut() -> None:
    whole = photograph(1)
    cut = whole[100:340, 200:520]  # half of either side, so that it is looked at twice as large
    laying = lay_on(find_corners(to_compare(cut)), find_corners(to_compare(whole)))
    assert laying is not None
    scale = SIDE / 640
    assert laying == pytest.approx(np.array([[0.5, 0, 200 * scale], [0, 0.5, 100 * scale]]), abs=1.5)
    assert likeness(to_compare(cut), to_compare(whole), laying) > 0.9


@pytest.mark.parametrize("turns", [0, 1, 2])
def test_tiles_that_overlap_show_the_same_pixels_turned_and_darker_too(turns: int) -> None:
    whole = photograph(2)
    left, right = whole[:, :420], np.rot90(whole[:, 220:] // 2 + 30, turns)
    found = alike(left, np.ascontiguousarray(right))
    assert found is not None and found > 0.9


def test_a_cut_of_a_faint_photograph_is_found_and_another_is_not() -> None:
    # a smooth surface in even light: nothing stands out by more than twelve grey levels
    faint = [np.asarray(115 + photograph(seed) // 21, np.uint8) for seed in range(30, 36)]
    found = [alike(one[60:420, 80:560], one) for one in faint]
    assert all(value is not None and value > 0.8 for value in found)
    others = [alike(one[60:420, 80:560], faint[0]) for one in faint[1:]]
    assert max([value for value in others if value is not None], default=0.0) < 0.6


def test_another_photograph_shows_something_else() -> None:
    found = [alike(photograph(3), photograph(seed)) for seed in range(4, 12)]
    assert max([value for value in found if value is not None], default=0.0) < 0.6


def test_a_mark_that_all_images_bear_is_no_part_of_the_photograph() -> None:
    stamp = photograph(20, 90, 120)
    marked = [photograph(seed, 400, 400) for seed in (21, 22)]
    for pixels in marked:
        pixels[-90:, -120:] = stamp
    found = alike(*marked)
    assert found is None or found < 0.6


def test_what_is_flat_or_a_pixel_large_shares_nothing() -> None:
    flat, dot = np.full((40, 60, 3), 90, np.uint8), np.zeros((1, 1, 3), np.uint8)
    assert len(find_corners(to_compare(flat)).places) == 0
    strip = np.random.default_rng(0).integers(0, 255, (16, 8192, 3), dtype=np.uint8)
    assert find_corners(to_compare(strip)).bits.shape == (0, 32)
    assert alike(flat, photograph(5)) is None
    assert alike(dot, dot) is None
    whole = to_compare(photograph(5))
    assert likeness(to_compare(flat), whole, np.array([[1.0, 0, 0], [0, 1, 0]])) == 0


def test_less_than_a_twentieth_of_an_image_says_nothing() -> None:
    whole = to_compare(photograph(6))
    at = np.array([[1.0, 0, 0], [0, 1, 0]])
    assert likeness(whole, whole, at) == pytest.approx(1)
    at[0, 2] = 0.94 * SIDE
    assert likeness(whole, np.roll(whole, int(at[0, 2]), axis=1), at) > 0.9
    at[0, 2] = 0.96 * SIDE
    assert likeness(whole, np.roll(whole, int(at[0, 2]), axis=1), at) == 0


@pytest.mark.slow
def test_the_photograph_that_a_cut_is_of_is_the_likeliest() -> None:
    known = [find_corners(to_compare(photograph(seed))) for seed in range(30)]
    cuts = [photograph(seed)[50:400, 100:560] for seed in (7, 21)]
    blurred = [cv2.GaussianBlur(cut, (3, 3), 0) for cut in cuts]
    likely = likely_sharing([find_corners(to_compare(np.asarray(cut, np.uint8))) for cut in blurred], known)
    assert [places[0] for places in likely] == [7, 21]
    assert max(map(len, likely)) <= 10
    assert likely_sharing([], known) == []
    assert likely_sharing(known[:2], []) == [[], []]
