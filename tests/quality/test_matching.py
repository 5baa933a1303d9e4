import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalab.quality.matching import match_regions
from tests.quality.images import HEIGHT, WIDTH, rle

LARGE, SMALL, OTHER = rle(0, 0, 4, 4), rle(0, 0, 4, 3), rle(4, 5, 6, 8)
SIDES = st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(4, 6), st.integers(5, 8))
OBJECTS = st.lists(st.tuples(st.sampled_from("ab"), SIDES.map(lambda box: rle(*box))), max_size=5)


def test_same_class_is_a_match_and_the_rest_is_left() -> None:
    matching = match_regions([("a", LARGE), ("a", OTHER)], [("a", SMALL)], HEIGHT, WIDTH, 0.5)
    assert [(one.left, one.right, one.iou) for one in matching.matches] == [(0, 0, 0.75)]
    assert matching.only_left == (1,)
    assert (matching.objects, matching.iou_sum) == (2, 0.75)


def test_another_class_is_confusion_and_counts_as_nothing() -> None:
    matching = match_regions([("a", LARGE)], [("b", LARGE)], HEIGHT, WIDTH, 0.5)
    assert len(matching.confusions) == 1
    assert (matching.objects, matching.iou_sum) == (1, 0)


def test_the_same_class_goes_before_a_better_fit_of_another() -> None:
    matching = match_regions([("a", LARGE)], [("b", LARGE), ("a", SMALL)], HEIGHT, WIDTH, 0.5)
    assert [one.right for one in matching.matches] == [1]
    assert matching.only_right == (0,)


def test_pairs_below_the_threshold_are_no_pairs() -> None:
    matching = match_regions([("a", LARGE)], [("a", SMALL)], HEIGHT, WIDTH, 0.8)
    assert not matching.matches
    assert matching.objects == 2


def test_two_perfect_objects_score_perfectly() -> None:
    both = [("a", LARGE), ("a", OTHER)]
    matching = match_regions(both, both[::-1], HEIGHT, WIDTH, 0.5)
    assert matching.iou_sum == pytest.approx(matching.objects) == 2


def test_nothing_against_nothing() -> None:
    assert match_regions([], [], HEIGHT, WIDTH, 0.5).objects == 0


def test_a_tie_goes_to_the_side_that_pairs_more_objects() -> None:
    """ "x" fits both "a" of the left equally well; only one of them leaves a partner for the "b" of the right."""
    x, upper, lower = rle(0, 0, 4, 4), rle(0, 0, 3, 4), rle(1, 0, 4, 4)
    left, right = [("a", upper), ("a", lower)], [("a", x), ("b", rle(0, 0, 3, 3))]
    for order in (left, left[::-1]):
        there, back = match_regions(order, right, HEIGHT, WIDTH, 0.6), match_regions(right, order, HEIGHT, WIDTH, 0.6)
        assert (len(there.matches), len(there.confusions), there.objects) == (1, 1, 2)
        assert (len(back.matches), len(back.confusions), back.objects) == (1, 1, 2)


def test_the_threshold_comes_before_the_assignment() -> None:
    """Raw IoU first would pair both and then drop one below the threshold, losing the good pair's better partner."""
    left = [("a", rle(0, 0, 4, 4)), ("a", rle(0, 1, 4, 6))]
    matching = match_regions(left, [("a", rle(0, 0, 4, 5)), ("a", rle(0, 6, 4, 8))], HEIGHT, WIDTH, 0.5)
    assert [(one.left, one.right) for one in matching.matches] == [(0, 0)]
    assert matching.matches[0].iou == pytest.approx(0.8)


@given(OBJECTS, OBJECTS)
def test_swapping_the_sides_swaps_the_result(left: list[tuple[str, str]], right: list[tuple[str, str]]) -> None:
    there = match_regions(left, right, HEIGHT, WIDTH, 0.5)
    back = match_regions(right, left, HEIGHT, WIDTH, 0.5)
    assert there.iou_sum == pytest.approx(back.iou_sum)
    assert len(there.matches) == len(back.matches)
    assert len(there.confusions) == len(back.confusions)
    assert there.objects == back.objects
    paired = len(there.matches) + len(there.confusions)
    assert len(there.only_left) + paired == len(left)
    assert len(there.only_right) + paired == len(right)


def test_an_overlap_of_just_the_threshold_is_a_match() -> None:
    half = rle(0, 0, 4, 2)
    assert len(match_regions([("a", LARGE)], [("a", half)], HEIGHT, WIDTH, 0.5).matches) == 1
