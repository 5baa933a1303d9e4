import numpy as np
import pytest

from small_sam.shapes import LARGEST, outline, partition, random_shape


@pytest.mark.parametrize("seed", range(40))
def test_a_shape_is_no_larger_than_the_largest_radius_allows(seed: int) -> None:
    shape = random_shape(256, np.random.default_rng(seed))
    assert shape.shape == (256, 256) and shape.dtype == np.bool_
    assert shape.sum() < np.pi * (2 * LARGEST) ** 2


@pytest.mark.parametrize("seed", range(20))
def test_an_outline_lies_round_its_centre(seed: int) -> None:
    points = outline(np.array([100.0, 50.0]), 10.0, np.random.default_rng(seed))
    assert len(points) >= 3
    assert np.hypot(*(points - [100, 50]).T).max() <= 2 * 10 + 1e-9


@pytest.mark.parametrize("seed", range(10))
def test_areas_share_the_whole_picture_out(seed: int) -> None:
    areas = partition(256, np.random.default_rng(seed))
    assert areas.min() >= 0 and areas.max() <= 5
    assert len(np.unique(areas)) >= 2
