import numpy as np
import pytest

from datalab.learning.objects import objects_of

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
