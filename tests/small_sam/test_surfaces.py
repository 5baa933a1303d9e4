import numpy as np
import pytest

from small_sam.surfaces import MATPLOTLIB, SCIKIT_IMAGE, load_photographs, noise, ramp, stripes, surface


def test_every_photograph_of_the_model_card_is_there() -> None:
    photographs = load_photographs()
    assert len(photographs) == len((*SCIKIT_IMAGE, MATPLOTLIB))
    assert all(one.ndim == 3 and one.dtype == np.uint8 and one.std() > 1 for one in photographs)


@pytest.mark.parametrize("seed", range(12))
def test_a_surface_has_the_size_and_the_range_of_a_picture(seed: int) -> None:
    photograph = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    made = surface([photograph], (40, 70), np.random.default_rng(seed))
    assert made.shape == (40, 70, 3)
    assert made.min() >= 0 and made.max() <= 255


@pytest.mark.parametrize("pattern", [noise, ramp, stripes])
def test_a_pattern_is_a_weight(pattern: type) -> None:
    for seed in range(10):
        weight = pattern((30, 50), np.random.default_rng(seed))
        assert weight.shape == (30, 50)
        assert weight.min() >= 0 and weight.max() <= 1
