import numpy as np
import pytest

from datalab.learning.objects import hit_shares, objects_of

MAP = np.array(
    [
        [1, 1, 0, 2],
        [0, 0, 1, 0],
        [0, 0, 0, 0],
        [1, 0, 255, 2],
    ],
    dtype=np.uint8,
)


def test_pieces_that_meet_at_a_corner_are_one() -> None:
    found = list(objects_of(MAP, least=1))
    assert [(one.position, int(one.mask.sum()), one.score) for one in found] == [
        (1, 3, 1.0),
        (1, 1, 1.0),
        (2, 1, 1.0),
        (2, 1, 1.0),
    ]


def test_a_piece_is_cut_to_its_box_and_knows_its_place() -> None:
    first, *_, last = objects_of(MAP, least=1)
    assert (first.top, first.left, first.crop.tolist()) == (0, 0, [[True, True, False], [False, False, True]])
    assert (last.top, last.left, last.crop.tolist(), last.size) == (3, 3, [[True]], (4, 4))
    assert np.argwhere(first.mask).tolist() == [[0, 0], [0, 1], [1, 2]]
    assert np.argwhere(last.mask).tolist() == [[3, 3]]


def test_small_pieces_are_left_out() -> None:
    assert [int(one.mask.sum()) for one in objects_of(MAP, least=2)] == [3]


def test_the_score_is_the_mean_of_its_own_class_inside_at_any_size() -> None:
    chances = np.zeros((3, 2, 2))
    chances[1] = [[0.9, 0.6], [0.3, 0.0]]
    chances[2] = [[0.0, 0.2], [0.0, 0.4]]
    found = list(objects_of(MAP, 1, chances))
    assert [one.score for one in found] == pytest.approx([(0.9 + 0.9 + 0.6) / 3, 0.3, 0.2, 0.4])


def test_nothing_is_no_object() -> None:
    assert not list(objects_of(np.zeros((3, 3), dtype=np.uint8), 1))
    assert not list(objects_of(np.full((3, 3), 255, dtype=np.uint8), 1))


def test_chances_of_a_wide_map_are_read_where_the_object_lies() -> None:
    wide = np.array([[0, 0, 1, 1], [0, 0, 1, 1]], dtype=np.uint8)
    (found,) = objects_of(wide, 1, np.array([[[0.5, 0.5]], [[0.2, 0.9]]]))
    assert found.score == 0.9


def test_precision_is_of_what_was_found_and_recall_of_what_is_there() -> None:
    np.testing.assert_allclose(hit_shares(np.array([[6, 2, 4], [0, 0, 3]])), [[0.75, 0.6, 12 / 18], [np.nan, 0, 0]])


def test_a_class_that_is_nowhere_has_no_figure_however_much_of_it_was_found() -> None:
    assert np.isnan(hit_shares(np.array([[0, 5, 0], [0, 0, 0]]))).all()
