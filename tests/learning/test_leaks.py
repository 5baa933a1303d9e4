import numpy as np
import pandas as pd
import pytest

from datalab.learning.leaks import (
    IN_PART,
    LEAKS,
    MIRRORED_IN_PART,
    find_leaks,
    find_parts,
    find_turned,
    together,
)
from datalab.learning.shared_parts import find_corners, mirror, to_compare
from tests.learning.test_shared_parts import photograph


def index_of(*splits: str) -> pd.DataFrame:
    return pd.DataFrame({"image_id": [f"i{place}" for place in range(len(splits))], "split": splits})


def test_what_looks_like_a_training_image_is_found_most_similar_first() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(40, 16)) + 10
    index = index_of(*["train"] * 30, *["validation"] * 5, *["test"] * 5)
    vectors[32] = vectors[3] + rng.normal(0, 0.1, 16)
    vectors[39] = vectors[7]
    found = find_leaks(index, vectors, 0.9)
    assert list(found.columns) == list(LEAKS)
    pairs = found[["image_id", "split", "other_id", "other_split"]].to_numpy().tolist()
    assert pairs == [["i39", "test", "i7", "train"], ["i32", "validation", "i3", "train"]]
    assert found["similarity"].tolist()[0] == 1
    assert 0.9 < found["similarity"].tolist()[1] < 1
    # what all share is no likeness: as they are, all vectors point the same way
    assert np.corrcoef(vectors).min() < 0.5
    assert len(find_leaks(index, vectors, -1.0)) == 10


def test_a_test_image_may_not_look_like_a_validation_image_either() -> None:
    index = index_of("train", "validation", "test")
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    found = find_leaks(index, vectors, 0.9)
    assert found.to_numpy().tolist() == [["i2", "test", "i1", "validation", 1.0, ""]]


def test_without_two_sides_there_is_no_leak() -> None:
    for split in ("train", "test"):
        assert find_leaks(index_of(split, split), np.eye(2), -1.0).empty


def test_what_is_turned_is_found_by_the_nearest_of_its_views() -> None:
    index = index_of("train", "train", "validation", "test", "test")
    hashes = np.array([0b1, 0xFF00, 0xF0F0F0F0, 2**40, 2**50], dtype=np.uint64)
    views = {
        "i2": {"mirrored": 0b10, "turned": 2**60},
        "i3": {"mirrored": 0xFF00 ^ 0b11, "turned": 0xFF00 ^ 0b100},
        "i4": {"mirrored": 0xF0F0F0F0, "turned": 0b1 ^ 0b110},
    }
    found = find_turned(index, hashes, views, 1)
    assert found[["image_id", "other_id", "view"]].to_numpy().tolist() == [
        ["i4", "i2", "mirrored"],
        ["i3", "i1", "turned"],
    ]
    assert found["similarity"].tolist() == [1.0, 1 - 1 / 32]
    assert set(find_turned(index, hashes, views, 2)["image_id"]) == {"i2", "i3", "i4"}
    assert find_turned(index, hashes, views, -1).columns.tolist() == list(LEAKS)
    alike = found.assign(similarity=[0.97, 0.98], view="")
    both = together(alike, found)
    assert both["view"].tolist() == ["mirrored", ""]
    assert together(alike.iloc[:0], found.iloc[:0]).empty


@pytest.mark.slow
def test_a_part_of_a_training_image_is_found_mirrored_too() -> None:
    index = index_of("train", "train", "validation", "test", "test", "test")
    cuts = photograph(1)[:, 200:], photograph(2)[:300, ::-1], photograph(9)
    grey = [to_compare(np.ascontiguousarray(one)) for one in (*map(photograph, range(3)), *cuts)]
    corners = [find_corners(one) for one in grey]
    mirrored = {place: find_corners(mirror(grey[place])) for place in range(2, 6)}
    found = list(find_parts(index, corners, mirrored, grey.__getitem__))
    assert len(found) == 8  # each of four, and each mirrored
    rows = [row for row in found if row is not None]
    assert [(*row[:4], row[5]) for row in rows] == [
        ("i3", "test", "i1", "train", IN_PART),
        ("i4", "test", "i2", "validation", MIRRORED_IN_PART),
    ]
    assert all(0.9 < float(str(row[4])) <= 1 for row in rows)
    assert list(find_parts(index_of("train", "train"), corners[:2], {}, grey.__getitem__)) == []
