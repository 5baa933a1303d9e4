import numpy as np
import pytest
from leaks import WAYS, found_again, leaks_of, see

from tests.learning.test_shared_parts import photograph


@pytest.mark.parametrize(
    ("name", "learned", "judged"),
    [
        ("mirrored", (60, 80, 3), (60, 80, 3)),
        ("turned", (60, 80, 3), (40, 30, 3)),
        ("cut_90", (60, 80, 3), (54, 72, 3)),
        ("cut_40", (60, 80, 3), (24, 32, 3)),
        ("halves_half", (60, 53, 3), (60, 53, 3)),
        ("halves_third", (60, 48, 3), (60, 48, 3)),
    ],
)
def test_a_copy_is_as_large_as_its_name_says(name: str, learned: tuple[int, ...], judged: tuple[int, ...]) -> None:
    one, other = WAYS[name](photograph(0, 60, 80), np.random.default_rng(0))
    assert (one.shape, other.shape) == (learned, judged)


def test_halves_have_their_share_in_common() -> None:
    columns = np.repeat(3 * np.arange(80, dtype=np.uint8)[None, :, None], 3, axis=2).repeat(60, axis=0)
    left, right = WAYS["halves_half"](columns, np.random.default_rng(0))
    assert np.array_equal(left, columns[:, :53])
    assert right.mean(axis=(0, 2)) == pytest.approx(columns[0, 27:, 0], abs=2)


@pytest.mark.slow
def test_copies_are_found_to_be_of_their_own_photograph_and_others_are_not_found() -> None:
    photographs = [photograph(seed) for seed in range(6)]
    chosen, others = photographs[:4], [see(one) for one in photographs[4:]]
    assert found_again(chosen, others, WAYS["cut_80"], 4) == [4, 0]
    assert found_again(chosen, others, WAYS["mirrored"], 4) == [4, 0]
    assert found_again(chosen, others, lambda image, _: (image, image), 4) == [4, 4]
    assert len(leaks_of([see(one) for one in chosen], others, 4)) == 0


@pytest.mark.slow
def test_a_copy_of_another_photograph_does_not_count() -> None:
    other = photograph(9)
    assert found_again([photograph(0), other], [], lambda image, _: (image, other), 4)[0] == 1
