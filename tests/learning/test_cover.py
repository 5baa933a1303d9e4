from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datalab.learning import cover
from datalab.learning.cover import Vectors, blocks, k_center, middle, squared_distances


def vectors_of(count: int, seed: int = 0, size: int = 3) -> Vectors:
    raw = np.random.default_rng(seed).normal(size=(count, size))
    return np.asarray(raw / np.linalg.norm(raw, axis=1, keepdims=True), dtype=np.float32)


def whole_numbers(count: int, seed: int) -> Vectors:
    """Whose distances are exact in float32, so that ties are ties in float64 too."""
    return np.random.default_rng(seed).integers(-9, 10, (count, 3)).astype(np.float32)


def naive_k_center(vectors: Vectors, count: int, covered: Vectors) -> list[int]:
    """Greedy cover with a full distance matrix in float64."""
    points, centers = vectors.astype(np.float64), list(covered.astype(np.float64))
    picked: list[int] = []
    for _ in range(count):
        far = [min(float(np.linalg.norm(point - center)) for center in centers) for point in points]
        best = max((place for place in range(len(points)) if place not in picked), key=lambda place: far[place])
        picked.append(best)
        centers.append(points[best])
    return picked


@given(st.integers(0, 10_000), st.integers(2, 25), st.integers(1, 4))
@settings(max_examples=30)
def test_k_center_equals_the_naive_cover(seed: int, count: int, known: int) -> None:
    vectors, covered = whole_numbers(count, seed), whole_numbers(known, seed + 1)
    wanted = count // 2
    assert k_center(vectors, wanted, covered).tolist() == naive_k_center(vectors, wanted, covered)


@pytest.mark.slow
@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(1, 4), st.booleans())
@settings(max_examples=60)
def test_picking_among_the_farthest_gives_the_same(seed: int, count: int, least: int, twins: bool) -> None:
    """Few rows at hand, so that there are many passes; with twins there are ties to decide."""
    vectors = whole_numbers(count, seed)
    if twins:
        vectors = np.repeat(vectors, 2, axis=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cover, "FAR_LEAST", least)
        patch.setattr(cover, "CENTERS_AT_ONCE", 2)
        assert k_center(vectors, len(vectors), vectors[:1]).tolist()[: count - 1] == naive_k_center(
            vectors, count - 1, vectors[:1]
        )


def test_k_center_with_nothing_covered_starts_in_the_middle() -> None:
    vectors = np.array([[0.0, 0], [1, 0], [2, 0], [9, 0]], dtype=np.float32)
    assert k_center(vectors, 2, vectors[:0]).tolist() == [2, 3]


def test_k_center_of_equal_rows_still_picks_different_ones() -> None:
    assert sorted(k_center(np.ones((4, 2), np.float32), 9, np.zeros((0, 2), np.float32)).tolist()) == [0, 1, 2, 3]


@pytest.mark.parametrize("wanted", [0, -1])
def test_nothing_wanted_and_nothing_there_give_nothing(wanted: int) -> None:
    assert k_center(vectors_of(4), wanted, vectors_of(1)).size == 0
    assert k_center(vectors_of(4)[:0], 3, vectors_of(1)).size == 0


def test_a_file_of_half_precision_in_blocks_gives_the_picks_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = vectors_of(300, size=8).astype(np.float16)
    np.save(tmp_path / "v.npy", vectors)
    whole = k_center(vectors.astype(np.float32), 40, vectors[:0])
    on_disk = np.load(tmp_path / "v.npy", mmap_mode="r")
    monkeypatch.setattr(cover, "BLOCK", 64)
    assert [len(block) for _, block in blocks(on_disk, 64)] == [64, 64, 64, 64, 44]
    assert k_center(on_disk, 40, vectors[:0]).tolist() == whole.tolist()


def test_distances_and_middle_are_those_of_the_definition() -> None:
    vectors = vectors_of(50, size=5)
    row = vectors_of(1, 9, 5)[0]
    np.testing.assert_allclose(squared_distances(vectors, row), ((vectors - row) ** 2).sum(axis=1), atol=1e-5)
    assert middle(vectors) == int(((vectors - vectors.mean(axis=0)) ** 2).sum(axis=1).argmin())
