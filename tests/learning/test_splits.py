import random
from collections import Counter
from collections.abc import Sequence

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datalab.errors import InputError
from datalab.learning.splits import (
    SPLITS,
    GroupRules,
    TooFewGroupsError,
    _has_room,
    assign_splits,
    first_seen,
    groups_among,
    names_of,
)

SHARES = (0.6, 0.2, 0.2)
Row = tuple[str, str, str, tuple[str, ...]]
"""image_id, a name that its path has in common with others, round_id, labels."""


def far_apart(count: int) -> list[str]:
    """Hashes of which any two differ in some thirty bits."""
    return [f"{random.Random(place).getrandbits(64):016x}" for place in range(count)]


def table(rows: Sequence[Row], hashes: Sequence[str] | None = None) -> pd.DataFrame:
    images = pd.DataFrame(list(rows), columns=["image_id", "name", "round_id", "labels"])
    sources = images["name"] + "/" + images["image_id"] + ".png"
    return images.assign(source=sources, phash=list(hashes or far_apart(len(rows))), told="")


def dealt(rows: Sequence[Row], seed: int = 0, hashes: Sequence[str] | None = None) -> dict[str, str]:
    """image_id -> split; images of one name and near duplicates lie together."""
    found = assign_splits(table(rows, hashes), SHARES, seed, distance=4, group_by="^[^/]+")
    assert found.groupby("group")["split"].nunique().max() == 1
    return dict(zip(found["image_id"], found["split"], strict=True))


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


@pytest.mark.slow
@given(labelled(), st.integers(0, 3))
@settings(max_examples=60)
def test_later_rounds_never_move_an_image_and_order_does_not_matter(rows: list[Row], seed: int) -> None:
    early = first_round(rows)
    if len({row[1] for row in early}) < 3:
        return
    before = dealt(early, seed)
    after = dealt(random.Random(seed).sample(rows, len(rows)), seed)
    assert {image_id: after[image_id] for image_id in before} == before
    assert set(after) == {row[0] for row in rows}
    assert set(after.values()) == {"train", "validation", "test"}


@pytest.mark.slow
@given(st.integers(3, 80), st.integers(0, 5))
@settings(max_examples=40)
def test_shares_are_met_to_within_one_image(count: int, seed: int) -> None:
    splits = Counter(dealt(one_per_group(count), seed).values())
    for share, name in zip(SHARES, ("train", "validation", "test"), strict=True):
        assert splits[name] >= 1
        assert abs(splits[name] - share * count) <= 1.2


def test_rare_classes_reach_every_split() -> None:
    rows = one_per_group(40) + [(f"r{n}", f"r{n}", "0001", ("leaf", "rust")) for n in range(10)]
    splits = dealt(rows)
    assert Counter(splits[f"r{n}"] for n in range(10)) == {"train": 6, "validation": 2, "test": 2}


def test_many_classes_with_one_image_each_do_not_all_go_to_train() -> None:
    rows = [(f"i{n}", f"i{n}", "0001", (f"class{n}",)) for n in range(20)]
    assert Counter(dealt(rows).values()) == {"train": 12, "validation": 4, "test": 4}


def clips(sizes: Sequence[int], round_id: str = "0001", labels: tuple[str, ...] = ("leaf",)) -> list[Row]:
    """A clip of each of these numbers of frames."""
    return [(f"{round_id}-{clip}-{n}", f"p{round_id}-{clip}", round_id, labels) for clip, size in enumerate(sizes)
            for n in range(size)]  # fmt: skip


@pytest.mark.parametrize("seed", range(20))
def test_shares_are_of_images_where_groups_are_large_and_small(seed: int) -> None:
    found = Counter(dealt(clips([10] * 6 + [60] + [10] * 6), seed).values())
    assert all(abs(found[name] - share * 180) <= 10 for name, share in zip(SPLITS, SHARES, strict=True)), found


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("sizes", [(5, 100, 5), (10, 10, 200, 10), (20, 20, 300, 20, 20), (5, 60, 5, 40)])
def test_the_longest_of_few_clips_is_learned_from(sizes: tuple[int, ...], seed: int) -> None:
    found = Counter(dealt(clips(sizes), seed).values())
    assert found["train"] >= max(sizes)
    assert min(found.values()) >= min(sizes)


@pytest.mark.parametrize("seed", range(8))
def test_the_longest_clip_is_learned_from_where_short_ones_show_rarer_classes(seed: int) -> None:
    rows = [*clips([200]), *[(f"{name}{n}", name, "0001", (name,)) for name in ("rust", "rot") for n in range(10)]]
    assert Counter(dealt(rows, seed).values()) == {"train": 200, "validation": 10, "test": 10}


@pytest.mark.parametrize("seed", range(8))
def test_the_only_images_of_many_classes_are_learned_from_while_there_are_others_to_judge_by(seed: int) -> None:
    rows = one_per_group(40) + [(f"r{n}", f"r{n}", "0001", ("leaf", f"rare{n}")) for n in range(16)]
    splits = dealt(rows, seed)
    assert {splits[f"r{n}"] for n in range(16)} == {"train"}
    found = Counter(splits.values())
    assert all(abs(found[name] - share * 56) <= 4 for name, share in zip(SPLITS, SHARES, strict=True)), found


@pytest.mark.parametrize(
    ("sizes", "learned", "room"),
    [
        ((100, 5, 5, 5, 5), (), True),  # 100 of 120 images, 1 of 5 groups
        ((1, 1, 1, 1, 96), (1, 2, 3), True),  # 4 of 100 images, 4 of 5 groups
        ((20, 20, 20, 20, 20), (1, 2), True),  # three fifths of both
        ((20, 20, 20, 20, 20), (1, 2, 3), False),
    ],
)
def test_training_has_room_by_images_or_by_groups(sizes: tuple[int, ...], learned: tuple[int, ...], room: bool) -> None:
    assert _has_room(0, dict(enumerate(sizes)), SHARES, dict.fromkeys(learned, "train")) == room


def test_a_group_stays_together_across_rounds() -> None:
    rows = [*one_per_group(6), ("copy", "g0001-2", "0002", ("leaf",)), *one_per_group(5, "0002")]
    assert dealt(rows, 3)["copy"] == dealt(one_per_group(6), 3)["0001-2"]


def test_near_duplicates_are_one_group_by_whatever_they_are_joined() -> None:
    """A clip of three frames, of which the last is nearly another image, which has a copy itself."""
    rows: list[Row] = [("f1", "clip", "0001", ()), ("f2", "clip", "0001", ()), ("f3", "clip", "0001", ())]
    rows += [("x", "x", "0001", ()), ("y", "y", "0001", ())]
    hashes = far_apart(3) + [f"{int(far_apart(3)[2], 16) ^ mask:016x}" for mask in (0b1111, 0b11110000)]
    rows += one_per_group(12)
    hashes += [f"{random.Random(100 + place).getrandbits(64):016x}" for place in range(12)]
    splits = dealt(rows, 0, hashes)
    assert len({splits[name] for name in ("f1", "f2", "f3", "x", "y")}) == 1


@pytest.mark.parametrize("seed", range(8))
def test_an_image_that_joins_two_groups_moves_them_alone_and_out_of_the_tests(seed: int) -> None:
    rows, hashes = one_per_group(20), far_apart(20)
    before = dealt(rows, seed, hashes)
    first = next(place for place, row in enumerate(rows) if before[row[0]] == "train")
    other = next(place for place, row in enumerate(rows) if before[row[0]] == "test")
    both = int(hashes[first], 16)
    hashes[other] = f"{both ^ 0b11111111:016x}"
    assert dealt(rows, seed, hashes) == before
    later = [*rows, ("between", "between", "0002", ("leaf",)), *one_per_group(5, "0003")]
    more = [f"{both ^ 0b1111:016x}", *(f"{random.Random(99 + n).getrandbits(64):016x}" for n in range(5))]
    after = dealt(later, seed, [*hashes, *more])
    assert after["between"] == after[rows[other][0]] == "train"
    assert {name: split for name, split in before.items() if after[name] != split} == {rows[other][0]: "test"}


def test_another_seed_deals_another_way() -> None:
    assert dealt(one_per_group(30), 0) != dealt(one_per_group(30), 1)


def test_too_few_images_is_one_clear_line() -> None:
    with pytest.raises(InputError, match=r"2 labelled image.*test would be empty.*at least 3"):
        dealt(one_per_group(2))


def test_a_round_too_small_fills_the_empty_split_later() -> None:
    rows = [*one_per_group(2), *one_per_group(1, "0002")]
    assert set(dealt(rows).values()) == {"train", "validation", "test"}


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.8, 0.2, 0.0), (0.5, 0.2, 0.2)])
def test_shares_are_checked(shares: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="three positive numbers"):
        assign_splits(table(one_per_group(5)), shares, 0, 4)


def test_a_part_of_the_path_is_a_name() -> None:
    sources = ["a/clip1_001.jpg", "a/clip1_002.jpg", "b/clip2_001.jpg", "c/lone.jpg"]
    assert names_of(sources, "") == [None] * 4
    assert names_of(sources, r"(clip\d+)_") == ["clip1", "clip1", "clip2", None]
    assert names_of(sources, "^[^/]+/") == ["a/", "a/", "b/", "c/"]
    with pytest.raises(InputError, match=r"dataset\.group_by is no regular expression"):
        names_of(sources, "(")


def test_below_zero_not_even_the_same_hash_joins() -> None:
    images = table(one_per_group(5), ["0" * 16] * 5)
    with pytest.raises(TooFewGroupsError):
        assign_splits(images, SHARES, 0, distance=0)
    assert assign_splits(images, SHARES, 0, distance=-1)["group"].tolist() == images["image_id"].tolist()


def test_what_is_told_of_images_joins_them_as_their_paths_do() -> None:
    """The clip's frames share their path, two of them a patient with another image; the fifth says nothing."""
    rows: list[Row] = [(f"i{place}", name, "0001", ()) for place, name in enumerate(["clip", "clip", "b", "c", "d"])]
    images = table(rows).assign(told=["", "p1", "p1", "p2", ""])
    found = assign_splits(images, SHARES, 0, distance=4, group_by="^[^/]+")
    assert found["group"].tolist() == ["i0", "i0", "i0", "i3", "i4"]


def test_a_column_of_metadata_is_told_of_images_that_have_it() -> None:
    first = pd.DataFrame([("x", "0001", "leaf"), ("y", "0001", "")], columns=["image_id", "round_id", "label"])
    catalog = pd.DataFrame({"image_id": ["x", "y", "z"], "source": ["x.png", "y.png", "z.png"]})
    metadata = pd.DataFrame({"image_id": ["x", "z"], "labels": ["a", "b"]})
    seen = first_seen(first, catalog, metadata, "labels")
    found = seen[["image_id", "labels", "told"]].itertuples(index=False, name=None)
    assert list(found) == [("x", ("leaf",), "a"), ("y", (), "")]
    assert first_seen(first, catalog, metadata, "")["told"].tolist() == ["", ""]
    numbers = pd.DataFrame({"image_id": ["x", "y"], "patient": ["7", "7.0"]})
    assert first_seen(first, catalog, numbers, "patient")["told"].nunique() == 1
    names = numbers.assign(patient=["7", "007"])
    assert first_seen(first, catalog, names, "patient")["told"].tolist() == ["7", "007"]
    with pytest.raises(InputError, match=r"a column 'patient' with anything in it \(there are labels\)"):
        first_seen(first, catalog, metadata, "patient")
    with pytest.raises(InputError, match="no image has one; ingest its folder again"):
        first_seen(first, catalog, metadata[["image_id"]], "patient")


NOTHING_WRITTEN = pd.DataFrame({"image_id": []}, dtype="str")


def test_images_hang_together_by_hash_path_and_metadata_and_by_each_other() -> None:
    """a, b: one clip; b, c: near duplicates; d, e: one patient; f alone, and g that the catalog does not know."""
    hashes = far_apart(6)
    hashes[2] = f"{int(hashes[1], 16) ^ 0b111:016x}"
    paths = ["clip/a.png", "clip/b.png", "x/c.png", "y/d.png", "z/e.png", "w/f.png"]
    catalog = pd.DataFrame({"image_id": list("abcdef"), "source": paths, "phash": hashes}).iloc[::-1]
    metadata = pd.DataFrame({"image_id": ["d", "e", "f"], "patient": ["7", "7.0", ""]})
    rules = GroupRules(group_by="^[^/]+", group_column="patient", distance=4)
    expected = {"a": "a", "b": "a", "c": "a", "d": "d", "e": "d", "f": "f", "g": "g"}
    assert groups_among("gfedcba", catalog, metadata, rules) == expected
    alone = GroupRules(group_by="", group_column="", distance=-1)
    assert groups_among("abcdefg", catalog, metadata, alone) == {name: name for name in "abcdefg"}
    assert groups_among((), catalog, metadata, rules) == {}


def test_only_the_images_asked_for_join_others() -> None:
    catalog = table([(name, "clip" if name != "c" else "other", "0001", ()) for name in "abc"])
    near = [int(one, 16) for one in catalog["phash"]]
    catalog["phash"] = [f"{near[0]:016x}", f"{near[0] ^ 0b1111:016x}", f"{near[0] ^ 0b11111111:016x}"]
    rules = GroupRules(group_by="", group_column="", distance=4)
    assert groups_among("abc", catalog, NOTHING_WRITTEN, rules) == {"a": "a", "b": "a", "c": "a"}
    assert groups_among("ac", catalog, NOTHING_WRITTEN, rules) == {"a": "a", "c": "c"}


@pytest.mark.slow
@given(labelled())
@settings(max_examples=40)
def test_the_groups_of_one_round_are_those_that_are_dealt(rows: list[Row]) -> None:
    images = table([(image_id, name, "0001", labels) for image_id, name, _, labels in rows])
    if images["name"].nunique() < 3:
        return
    dealt_groups = assign_splits(images, SHARES, 0, 4, "^[^/]+").set_index("image_id")["group"].to_dict()
    rules = GroupRules(group_by="^[^/]+", group_column="", distance=4)
    assert groups_among(list(images["image_id"]), images.drop(columns="told"), NOTHING_WRITTEN, rules) == dealt_groups


def test_a_column_that_nobody_wrote_joins_nothing_and_is_named() -> None:
    catalog = table(one_per_group(3))
    with pytest.raises(InputError, match=r"no metadata\.csv has a column 'patient'"):
        groups_among(list(catalog["image_id"]), catalog, NOTHING_WRITTEN, GroupRules("", "patient", 4))
