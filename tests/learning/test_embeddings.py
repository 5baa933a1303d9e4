import tracemalloc

import numpy as np
import pytest

from datalab.learning.embeddings import Embedding, Vector, _cell_shares, crop_embedding, image_vector, region_vector
from datalab.masks import BoolMask, mask_to_crop

GRID = np.arange(16, dtype=np.float32).reshape(1, 4, 4)


def whole(embedding: Embedding, mask: BoolMask) -> Vector:
    return region_vector(embedding, mask, 0, 0, *mask.shape)


def test_padding_is_cut_off() -> None:
    assert crop_embedding(GRID, 100, 200).shape == (1, 2, 4)
    assert crop_embedding(GRID, 200, 50).shape == (1, 4, 1)
    assert crop_embedding(GRID, 1, 1000).shape == (1, 1, 4)


def test_an_image_vector_has_unit_length_and_ignores_padding() -> None:
    rng = np.random.default_rng(0)
    embedding = rng.normal(size=(3, 4, 4))
    vector = image_vector(embedding, 50, 100)
    assert vector.shape == (6,)
    assert np.linalg.norm(vector) == pytest.approx(1)
    padded = embedding.copy()
    padded[:, 2:] = 99
    assert np.array_equal(image_vector(padded, 50, 100), vector)


def test_a_region_vector_is_the_mean_over_its_cells() -> None:
    embedding = np.zeros((2, 2, 2))
    embedding[:, 0, 0], embedding[:, 1, 1] = [3, 0], [0, 4]
    mask = np.zeros((8, 8), dtype=bool)
    mask[:4, :4] = True
    assert whole(embedding, mask).tolist() == [1, 0]
    mask[4:, 4:] = True
    assert whole(embedding, mask) == pytest.approx([0.6, 0.8])


def test_an_empty_region_is_the_whole_image() -> None:
    assert whole(np.ones((2, 2, 2)), np.zeros((4, 4), dtype=bool)) == pytest.approx([0.5**0.5] * 2)


def test_rows_and_columns_of_a_wide_image_are_not_mixed_up() -> None:
    mask, embedding = np.zeros((4, 8), dtype=bool), np.zeros((2, 4, 4))
    mask[2:, 6:] = True
    embedding[0, 1, 3] = embedding[1, 0, 0] = 1
    assert whole(embedding, mask).tolist() == [1, 0]


def test_cells_keep_their_size_where_the_image_ends_within_one() -> None:
    """Ten rows of 15 columns in cells of three: the last row of cells has one row of pixels, and the padding none."""
    mask, embedding = np.zeros((10, 15), dtype=bool), np.zeros((4, 5, 5))
    mask[7:] = True
    embedding[[0, 1, 2, 3], [1, 2, 3, 4]] = 1
    assert whole(embedding, mask) == pytest.approx(np.array([0, 2, 1, 0]) / 5**0.5)


def test_a_pixel_counts_for_the_cell_that_it_lies_in() -> None:
    """Five rows in three cells, one column in two: 0, 0 | 1, 1 | 2 and 0 of them."""
    mask = np.array([[1], [1], [0], [1], [1]], dtype=bool)
    assert _cell_shares(mask, (0, 0), (5, 1), (3, 2)).tolist() == [[2, 0], [1, 0], [1, 0]]


def test_a_crop_counts_where_it_lies() -> None:
    """Rows 2 to 4 and column 3 of five by four: half of the pixels are in the middle row of cells."""
    crop = np.array([[1], [1], [0]], dtype=bool)
    assert _cell_shares(crop, (2, 3), (5, 4), (3, 2)).tolist() == [[0, 0], [0, 2], [0, 0]]
    assert _cell_shares(crop, (1, 1), (5, 4), (3, 2)).tolist() == [[1, 0], [1, 0], [0, 0]]


@pytest.mark.parametrize("size", [(37, 53), (53, 37), (5, 90)])
def test_the_crop_of_a_mask_gives_the_vector_of_the_mask(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    embedding = rng.normal(size=(3, 8, 8))
    for share in (0.001, 0.01, 0.1, 0.9):
        mask = rng.random(size) < share
        top, left, crop = mask_to_crop(mask)
        assert np.array_equal(region_vector(embedding, crop, top, left, *size), whole(embedding, mask))


def test_a_region_of_a_large_photograph_takes_little_memory() -> None:
    mask = np.ones((1500, 2000), dtype=bool)
    tracemalloc.start()
    whole(np.ones((2, 64, 64)), mask)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < mask.size
