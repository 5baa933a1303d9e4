import numpy as np
import pytest

from datalab.errors import InputError
from datalab.learning.folds import assign_folds


def test_copies_share_a_fold_and_folds_are_even() -> None:
    groups = ["a", "b", "a", "c", "d", "e", "f"]
    folds = assign_folds(groups, 3, np.random.default_rng(1))
    assert folds[0] == folds[2]
    assert sorted(np.bincount([folds[groups.index(name)] for name in "abcdef"])) == [2, 2, 2]
    assert assign_folds(groups, 3, np.random.default_rng(1)) == folds


def test_folds_are_even_in_images_where_groups_are_not() -> None:
    """A clip of six frames and six single images: not the clip and three others in one fold."""
    groups = [*["clip"] * 6, *"abcdef"]
    for seed in range(5):
        assert np.bincount(assign_folds(groups, 2, np.random.default_rng(seed))).tolist() == [6, 6]


@pytest.mark.parametrize("folds", [1, 3])
def test_too_few_images_or_folds_are_one_line(folds: int) -> None:
    with pytest.raises(InputError, match=f"{folds} folds of 2 different images"):
        assign_folds(["a", "b", "a"], folds, np.random.default_rng(1))


def test_another_generator_deals_other_folds() -> None:
    groups = [str(place) for place in range(12)]
    assert assign_folds(groups, 3, np.random.default_rng(1)) != assign_folds(groups, 3, np.random.default_rng(2))
