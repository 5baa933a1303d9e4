import numpy as np
import numpy.typing as npt
import pytest

from datalab.learning import novelty as module
from datalab.learning.novelty import novelty


def unit(rows: npt.ArrayLike) -> npt.NDArray[np.float32]:
    array = np.asarray(rows, dtype=np.float32)
    return np.asarray(array / np.linalg.norm(array, axis=1, keepdims=True), dtype=np.float32)


def draw(rng: np.random.Generator, count: int, center: float) -> npt.NDArray[np.float64]:
    """Points around the direction (1, center, 0, ...)."""
    points = rng.normal(scale=0.1, size=(count, 8))
    points[:, 0] += 1
    points[:, 1] += center
    return points


def test_of_images_of_the_same_kind_one_in_twenty_is_called_new() -> None:
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(60):
        vectors = unit(draw(rng, 139, 0.0))
        found = novelty(vectors, np.arange(99))
        shares.append((found[99:] >= 0.95).mean())
    assert np.mean(shares) == pytest.approx(0.05, abs=0.015)


def test_another_kind_is_new() -> None:
    rng = np.random.default_rng(1)
    vectors = unit(np.concatenate([draw(rng, 40, 0.0), draw(rng, 5, 3.0)]))
    found = novelty(vectors, np.arange(40))
    np.testing.assert_allclose(found[40:], 40 / 41)
    assert found[:40].max() <= 39 / 40


def test_the_same_image_again_is_not_new() -> None:
    rng = np.random.default_rng(2)
    learned = unit(draw(rng, 30, 0.0))
    found = novelty(np.concatenate([learned, learned[:1]]), np.arange(30))
    assert found[30] == 0.0


def test_an_odd_learned_image_is_new_among_the_learned() -> None:
    vectors = unit([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [0.0, 1.0]])
    assert novelty(vectors, np.arange(4)).argmax() == 3


@pytest.mark.parametrize("learned", [[], [1]])
def test_with_nothing_to_compare_it_is_not_known(learned: list[int]) -> None:
    assert np.isnan(novelty(unit(np.eye(2)), np.array(learned, dtype=np.intp))).all()


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = unit(draw(np.random.default_rng(3), 50, 0.0))
    whole = novelty(vectors, np.arange(0, 50, 2))
    monkeypatch.setattr(module, "BLOCK", 7)
    np.testing.assert_array_equal(novelty(vectors, np.arange(0, 50, 2)), whole)


def test_an_image_that_is_learned_from_is_not_its_own_neighbour() -> None:
    rng = np.random.default_rng(4)
    vectors = unit(np.concatenate([draw(rng, 30, 0.0), draw(rng, 1, 5.0)]))
    assert novelty(vectors, np.arange(31))[30] == pytest.approx(30 / 31)
