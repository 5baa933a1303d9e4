"""Groups of hashes that lie near each other."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from datalab.adapters.images_groups import duplicate_groups


def test_nothing() -> None:
    assert duplicate_groups([], [], 4) == []


def test_smallest_id_stands_for_a_group_and_chains_hang_together() -> None:
    phashes = ["00000000000000ff", "0000000000000fff", "ffffffff00000000", "000000000000ffff", "00000000000000ff"]
    ids = ["e", "d", "c", "b", "f"]
    assert duplicate_groups(ids, phashes, 4) == ["b", "b", "c", "b", "b"]
    assert duplicate_groups(ids, phashes, 3) == ["e", "d", "c", "b", "e"]


@given(st.lists(st.integers(0, 255), min_size=1, max_size=12), st.integers(0, 3))
def test_same_as_slow_flooding(values: list[int], distance: int) -> None:
    ids = [f"{number:02d}" for number in range(len(values))]
    group = {image_id: image_id for image_id in ids}
    for _ in values:
        for a, left in zip(ids, values, strict=True):
            for b, right in zip(ids, values, strict=True):
                if (left ^ right).bit_count() <= distance:
                    group[a] = group[b] = min(group[a], group[b])
    assert duplicate_groups(ids, [f"{value:016x}" for value in values], distance) == [group[name] for name in ids]


def test_many_blocks_find_planted_pairs() -> None:
    rng = np.random.default_rng(3)
    hashes = rng.integers(0, 2**63, 1000, dtype=np.uint64)
    hashes[900] = hashes[10] ^ np.uint64(0b101)
    ids = [f"{number:04d}" for number in range(1000)]
    groups = duplicate_groups(ids, [f"{value:016x}" for value in hashes.tolist()], 4)
    assert groups[900] == "0010"
    assert len(set(groups)) == 999
