from pathlib import Path

import numpy as np
import pytest

from datalab.adapters.files import read_rgb
from datalab.adapters.image_vectors import read_embedding
from datalab.adapters.segmenter_samples import in_one_piece, read_sample, shrink_labels, with_pixels, without_embedding
from datalab.errors import InputError
from tests.adapters.blobs import blob_samples, write_blob


@pytest.mark.parametrize(("height", "width"), [(48, 64), (64, 48), (30, 200), (16, 17), (100, 100)])
def test_every_shape_becomes_multiples_of_eight(tmp_path: Path, height: int, width: int) -> None:
    write_blob(tmp_path, "b", 4, max(height, 25), max(width, 25))
    paths = (tmp_path / "images" / "b.png", tmp_path / "embeddings" / "b.npy")
    sample = read_sample(*paths, 64, tmp_path / "masks" / "b.png", (0, 1, 2))
    rows, columns = sample.embedding.shape[1:]
    assert max(rows, columns) == 8
    assert sample.image.shape == (rows * 8, columns * 8, 3)
    assert sample.labels is not None
    assert sample.labels.shape == (rows * 4, columns * 4)
    assert sample.size == (max(height, 25), max(width, 25))


def test_labels_are_positions_and_unknown_ids_are_refused(tmp_path: Path) -> None:
    write_blob(tmp_path, "b", 1)
    paths = (tmp_path / "images" / "b.png", tmp_path / "embeddings" / "b.npy")
    sample = read_sample(*paths, 64, tmp_path / "masks" / "b.png", (0, 2, 1))
    straight = blob_samples(tmp_path, [1])[0]
    assert sample.labels is not None
    assert straight.labels is not None
    np.testing.assert_array_equal(sample.labels == 1, straight.labels == 2)
    with pytest.raises(InputError, match=r"pixel value\(s\) \[2\]"):
        read_sample(*paths, 64, tmp_path / "masks" / "b.png", (0, 1))


def test_what_falls_between_the_label_pixels_has_the_cells_that_it_fills_the_most() -> None:
    """Cells of 10 pixels with their middles at 5; the line fills two rows of them, the second half as much."""
    positions = np.zeros((120, 160), dtype=np.uint8)
    positions[88:91, 20:140] = 2
    positions[40:60, 40:60] = 1
    positions[100, 100] = 3
    positions[0, :] = 255
    labels, thin = shrink_labels(positions, (16, 12))
    assert thin == (2, 3)
    expected = np.zeros((12, 16), dtype=np.uint8)
    expected[8, 2:14], expected[4:6, 4:6], expected[10, 10] = 2, 1, 3
    np.testing.assert_array_equal(labels, expected)


def test_cells_that_a_thin_class_fills_more_than_half_as_much_as_its_fullest_are_its_own() -> None:
    positions = np.zeros((40, 40), dtype=np.uint8)
    positions[11:14, 16:36] = 1  # 12, 30 and 18 pixels of three cells
    labels, thin = shrink_labels(positions, (4, 4))
    assert (labels[1].tolist(), thin) == ([0, 0, 1, 1], (1,))


@pytest.mark.parametrize(
    ("end", "column"),
    [
        (20, [0, 1, 0, 0]),
        (23, [0, 1, 2, 0]),  # it reaches into the next cell
    ],
)
def test_no_class_loses_its_last_cell_to_a_thin_one(end: int, column: list[int]) -> None:
    """Cells of 10 pixels with their middles at 5; the first class has one of these, the second lies round it."""
    positions = np.zeros((40, 40), dtype=np.uint8)
    positions[11:end, 21:29] = 2
    positions[13:18, 23:28] = 1
    labels, thin = shrink_labels(positions, (4, 4))
    assert thin == (2,)
    assert labels[:, 2].tolist() == column
    assert not labels[:, [0, 1, 3]].any()


def test_of_two_thin_classes_in_one_cell_the_larger_has_another_where_it_can() -> None:
    positions = np.zeros((40, 40), dtype=np.uint8)
    positions[11:14, 21:29] = 1
    positions[16:19, 21:26] = 2
    labels, thin = shrink_labels(positions, (4, 4))
    assert (labels[1].tolist(), thin) == ([0, 0, 2, 0], (1, 2))
    positions[11:14, 21:31] = 1
    labels, thin = shrink_labels(positions, (4, 4))
    assert (labels[1].tolist(), thin) == ([0, 0, 2, 1], (1, 2))


def test_a_label_map_in_which_nothing_is_thin_has_the_pixels_in_the_middle() -> None:
    positions = np.random.default_rng(3).integers(0, 3, (96, 128), dtype=np.uint8)
    labels, thin = shrink_labels(positions, (32, 24))
    assert thin == ()
    np.testing.assert_array_equal(labels, positions[2::4, 2::4])


def test_the_same_pixels_give_the_same_sample_and_others_keep_the_labels(tmp_path: Path) -> None:
    sample = blob_samples(tmp_path, [1], longest_side=32)[0]
    pixels, embedding = read_rgb(tmp_path / "images" / "b1.png"), read_embedding(tmp_path / "embeddings" / "b1.npy")
    same = with_pixels(sample, pixels, embedding)
    np.testing.assert_array_equal(same.image, sample.image)
    np.testing.assert_array_equal(same.embedding, sample.embedding)
    other = with_pixels(sample, np.zeros((96, 128, 3), dtype=np.uint8), None)
    assert other.image.shape == sample.image.shape
    assert not other.image.any()
    assert other.labels is sample.labels
    np.testing.assert_array_equal(other.embedding, sample.embedding)


def test_what_is_enlarged_has_no_blocks(tmp_path: Path) -> None:
    sample = blob_samples(tmp_path, [1], longest_side=64)[0]
    ramp = np.repeat(np.linspace(0, 240, 16, dtype=np.uint8)[None, :, None], 12, axis=0).repeat(3, axis=2)
    row = with_pixels(sample, ramp, None).image[24, :, 0].astype(int)
    # four pixels for each; a ramp of 16 each has steps of 4, blocks have steps of 16
    assert np.diff(row).max() <= 5
    stripes = np.zeros((96, 128, 3), dtype=np.uint8)
    stripes[::2] = 200
    assert set(np.unique(with_pixels(sample, stripes, None).image)) == {100}


def test_samples_in_one_piece_of_memory_are_the_same(tmp_path: Path) -> None:
    first, second = blob_samples(tmp_path, [1], longest_side=64)[0], blob_samples(tmp_path, [2], longest_side=32)[0]
    packed = in_one_piece([first, second])
    for name in ("image", "embedding", "labels"):
        for made, one in zip(packed, (first, second), strict=True):
            np.testing.assert_array_equal(getattr(made, name), getattr(one, name), strict=True)
        assert np.shares_memory(getattr(packed[0], name).base, getattr(packed[1], name).base)
    assert [one.name for one in packed] == ["b1", "b2"]


def test_an_embedding_that_nobody_looks_at_takes_no_memory(tmp_path: Path) -> None:
    sample = blob_samples(tmp_path, [1])[0]
    without = without_embedding(sample)
    assert without.embedding.shape == sample.embedding.shape
    assert without.embedding.dtype == sample.embedding.dtype
    assert without.embedding.strides == (0, 0, 0)
    assert without.image is sample.image


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    write_blob(tmp_path, "b", 1)
    write_blob(tmp_path / "other", "b", 1, 40, 40)
    paths = (tmp_path / "images" / "b.png", tmp_path / "embeddings" / "b.npy")
    with pytest.raises(InputError, match=r"is \(40, 40\), its image \(64, 48\)"):
        read_sample(*paths, 64, tmp_path / "other" / "masks" / "b.png", (0, 1, 2))


def test_broken_embeddings_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run dvc repro embed"):
        read_embedding(tmp_path / "none.npy")
    for broken in (b"?", b"", b"PK\3\4"):
        (tmp_path / "broken.npy").write_bytes(broken)
        with pytest.raises(InputError, match="is no embedding"):
            read_embedding(tmp_path / "broken.npy")
    np.savez(tmp_path / "several.npz", np.zeros((2, 2, 2)))
    with pytest.raises(InputError, match="no finite"):
        read_embedding(tmp_path / "several.npz")
    np.save(tmp_path / "nan.npy", np.full((2, 2, 2), np.nan, dtype=np.float16))
    with pytest.raises(InputError, match="no finite"):
        read_embedding(tmp_path / "nan.npy")
