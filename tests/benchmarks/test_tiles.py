from collections import Counter
from pathlib import Path

import pytest

from simulated.tiles import named_tiles, tiles_of
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


def test_a_tile_of_two_kinds_and_one_of_two_days_are_one_each() -> None:
    folder = shared_data("magnetic_tile") / "images"
    breaks = named("break", *(f"exp{place}_num_{number}" for place, number in ((2, 276373), (3, 276387), (4, 276401))))
    cracks = named("crack", "exp1_num_276355", "exp6_num_85665", "exp6_num_86064", "exp6_num_88201", "exp1_num_32128")
    free = named("free", "exp5_num_117030", "exp5_num_8676")
    found = tiles_of([folder / path for path in (*free, *cracks, *breaks)])
    assert {found[path.stem] for path in breaks} == {found["exp1_num_276355"]} == {"break 276373"}
    assert {found[path.stem] for path in cracks[1:4]} == {"crack 85665"}
    assert len(set(found.values())) == 5


def test_two_tiles_that_are_one_are_named_by_their_defect() -> None:
    folder = shared_data("magnetic_tile") / "images"
    paths = [folder / "free" / "exp5_num_117030.jpg", folder / "break" / "exp6_num_117060.jpg"]
    assert tiles_of(paths) == {"exp5_num_117030": "break 117060", "exp6_num_117060": "break 117060"}
