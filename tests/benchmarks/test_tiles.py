from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from datalab.adapters.files import read_rgb
from datalab.learning.leaks import SAME
from datalab.learning.look_alikes import join_named, join_pairs
from datalab.learning.shared_parts import find_corners, lay_on, likeness, to_compare
from simulated.tiles import JOINED, named_tiles, tiles_of
from tests.shared_data import shared_data


def named(kind: str, *names: str) -> list[Path]:
    return [Path(kind) / f"{name}.jpg" for name in names]


def test_exposures_that_follow_each_other_are_one_tile() -> None:
    crack = named("crack", "exp1_num_3191", "exp6_num_3279", "exp2_num_3211", "exp1_num_32128", "exp2_num_32153")
    assert named_tiles(crack) == {
        "exp1_num_3191": "crack 3191",
        "exp2_num_3211": "crack 3191",
        "exp6_num_3279": "crack 3191",
        "exp1_num_32128": "crack 32128",
        "exp2_num_32153": "crack 32128",
    }


def test_an_exposure_that_does_not_rise_or_is_far_off_begins_another_tile() -> None:
    assert len(set(named_tiles(named("fray", "exp1_num_10", "exp1_num_20", "exp0_num_30")).values())) == 3
    assert len(set(named_tiles(named("fray", "exp1_num_10", "exp2_num_410", "exp3_num_811")).values())) == 2


def test_kinds_are_tiles_of_their_own() -> None:
    both = named("crack", "exp1_num_10") + named("fray", "exp2_num_20")
    assert set(named_tiles(both).values()) == {"crack 10", "fray 20"}


def test_a_foreign_name_is_told() -> None:
    with pytest.raises(ValueError, match=r"cat\.jpg is not named like a magnetic tile"):
        named_tiles([Path("crack/cat.jpg")])


def test_the_defects_are_74_tiles() -> None:
    images = shared_data("magnetic_tile").glob("images/*/*.jpg")
    sizes = Counter(named_tiles(image for image in images if image.parent.name != "free").values())
    assert (sizes.total(), len(sizes), max(sizes.values())) == (392, 74, 7)


def test_a_tile_that_was_photographed_again_is_one_and_named_by_its_defect() -> None:
    both = named("break", "exp2_num_276373", "exp3_num_276387") + named("crack", "exp1_num_276355", "exp1_num_32128")
    assert tiles_of(both) == {
        "exp1_num_276355": "break 276373",
        "exp2_num_276373": "break 276373",
        "exp3_num_276387": "break 276373",
        "exp1_num_32128": "crack 32128",
    }


def test_the_photographs_are_215_tiles() -> None:
    found = tiles_of(shared_data("magnetic_tile").glob("images/*/*.jpg"))
    assert (len(found), len(set(found.values()))) == (1344, 215)


@pytest.mark.slow
@pytest.mark.parametrize("names", JOINED, ids=lambda names: str(names[0]))
def test_what_is_joined_shows_the_same_part(names: tuple[str, ...]) -> None:
    images = sorted(shared_data("magnetic_tile").glob("images/*/*.jpg"))
    tiles = named_tiles(images)
    photographs = [path for path in images if tiles[path.stem] in names]
    grey = [to_compare(read_rgb(path)) for path in photographs]
    corners = [find_corners(one) for one in grey]
    joined = join_named(np.arange(len(grey)), np.array([names.index(tiles[path.stem]) for path in photographs]))
    pairs = [
        (one, other)
        for one, other in combinations(range(len(grey)), 2)
        if (laying := lay_on(corners[one], corners[other])) is not None
        and likeness(grey[one], grey[other], laying) >= SAME
    ]
    assert len(set(join_pairs(joined, *np.array(pairs).T).tolist())) == 1
