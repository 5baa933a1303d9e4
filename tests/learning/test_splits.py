import random
from collections import Counter
from collections.abc import Sequence

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datalab.errors import InputError
from datalab.learning.splits import assign_splits, split_groups

SHARES = (0.6, 0.2, 0.2)
Row = tuple[str, str, str, tuple[str, ...]]


def table(rows: Sequence[Row]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=["image_id", "group", "round_id", "labels"])


def one_per_group(count: int, round_id: str = "0001", labels: tuple[str, ...] = ("leaf",)) -> list[Row]:
    return [(f"{round_id}-{place}", f"g{round_id}-{place}", round_id, labels) for place in range(count)]


@st.composite
def labelled(draw: st.DrawFn) -> list[Row]:
    rows = []
    for place in range(draw(st.integers(3, 40))):
        group = draw(st.integers(0, place))
        labels = tuple(draw(st.lists(st.sampled_from("abc"), max_size=2, unique=True)))
        rows.append((f"i{place}", f"g{group}", f"{draw(st.integers(1, 4)):04d}", labels))
    return rows


def first_round(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row[2] == min(row[2] for row in rows)]


@given(labelled(), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_later_rounds_never_move_an_image_and_order_does_not_matter(rows: list[Row], seed: int) -> None:
    early = first_round(rows)
    if len({row[1] for row in early}) < 3:
        return
    before = assign_splits(table(early), SHARES, seed)
    shuffled = random.Random(seed).sample(rows, len(rows))
    after = assign_splits(table(shuffled), SHARES, seed)
    assert {group: after[group] for group in before} == before
    assert set(after) == {row[1] for row in rows}
    assert set(after.values()) == {"train", "validation", "test"}


@given(st.integers(3, 80), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_shares_are_met_to_within_one_image(count: int, seed: int) -> None:
    splits = Counter(assign_splits(table(one_per_group(count)), SHARES, seed).values())
    for share, name in zip(SHARES, ("train", "validation", "test"), strict=True):
        assert splits[name] >= 1
        assert abs(splits[name] - share * count) <= 1.2


def test_rare_classes_reach_every_split() -> None:
    rows = one_per_group(40) + [(f"r{n}", f"r{n}", "0001", ("leaf", "rust")) for n in range(10)]
    splits = assign_splits(table(rows), SHARES, seed=0)
    assert Counter(splits[f"r{n}"] for n in range(10)) == {"train": 6, "validation": 2, "test": 2}


def test_many_classes_with_one_image_each_do_not_all_go_to_train() -> None:
    rows = [(f"i{n}", f"i{n}", "0001", (f"class{n}",)) for n in range(20)]
    assert Counter(assign_splits(table(rows), SHARES, seed=0).values()) == {"train": 12, "validation": 4, "test": 4}


def test_a_group_stays_together_across_rounds() -> None:
    rows = [*one_per_group(6), ("copy", "g0001-2", "0002", ("leaf",)), *one_per_group(5, "0002")]
    before = assign_splits(table(one_per_group(6)), SHARES, seed=3)
    assert assign_splits(table(rows), SHARES, seed=3)["g0001-2"] == before["g0001-2"]


def test_another_seed_deals_another_way() -> None:
    rows = table(one_per_group(30))
    assert assign_splits(rows, SHARES, seed=0) != assign_splits(rows, SHARES, seed=1)


def test_too_few_images_is_one_clear_line() -> None:
    with pytest.raises(InputError, match=r"2 labelled image.*test would be empty.*at least 3"):
        assign_splits(table(one_per_group(2)), SHARES, seed=0)


def test_a_round_too_small_fills_the_empty_split_later() -> None:
    rows = [*one_per_group(2), *one_per_group(1, "0002")]
    assert set(assign_splits(table(rows), SHARES, seed=0).values()) == {"train", "validation", "test"}


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.8, 0.2, 0.0), (0.5, 0.2, 0.2)])
def test_shares_are_checked(shares: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="three positive numbers"):
        assign_splits(table(one_per_group(5)), shares, seed=0)


def test_a_name_in_the_path_makes_a_group_and_duplicates_stay_together() -> None:
    sources = ["a/clip1_001.jpg", "a/clip1_002.jpg", "b/clip2_001.jpg", "b/copy.jpg", "c/lone.jpg"]
    ids = ["v", "w", "x", "y", "z"]
    catalog = pd.DataFrame({"image_id": ids, "source": sources, "duplicate_group": ["v", "w", "x", "v", "z"]})
    assert split_groups(catalog, "") == dict(zip(ids, ["v", "w", "x", "v", "z"], strict=True))
    clips = split_groups(catalog, r"(clip\d+)_")
    assert clips["v"] == clips["w"] == clips["y"] != clips["x"]
    assert clips["z"] == "z"
    folders = split_groups(catalog, "^[^/]+/")
    assert folders["v"] == folders["w"] == folders["y"]
    assert len({folders[name] for name in "vxz"}) == 3
    with pytest.raises(InputError, match=r"dataset\.group_by is no regular expression"):
        split_groups(catalog, "(")
