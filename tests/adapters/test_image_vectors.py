from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datalab.adapters.embedding_cache import note_encoder
from datalab.adapters.image_vectors import (
    RECIPE,
    VECTORS,
    compute_image_vector,
    keep_vectors,
    kept_vectors,
    read_image_vectors,
)
from datalab.adapters.review_plot import plane
from datalab.adapters.review_vectors import ImageVectors
from datalab.errors import InputError
from datalab.learning.embeddings import image_vector

ROWS: list[Mapping[Any, Any]] = [{"image_id": name, "height": 30, "width": 40} for name in "abcd"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Embeddings of four images, whose vectors are not kept yet."""
    rng = np.random.default_rng(0)
    for row in ROWS:
        np.save(tmp_path / f"{row['image_id']}.npy", rng.normal(size=(3, 4, 4)).astype(np.float16))
    note_encoder(tmp_path, "sam-a")
    return tmp_path


def keep(folder: Path, rows: list[Mapping[Any, Any]]) -> None:
    keep_vectors(folder, {row["image_id"]: compute_image_vector(row, folder) for row in rows})


def test_what_is_kept_is_the_same_to_the_bit_and_no_embedding_is_opened(folder: Path) -> None:
    before = read_image_vectors(ROWS, folder)
    keep(folder, ROWS)
    for path in folder.glob("*.npy"):
        path.write_bytes(b"never read")
    np.testing.assert_array_equal(read_image_vectors(ROWS, folder), before)
    np.testing.assert_array_equal(read_image_vectors(ROWS[::-1], folder), before[::-1])
    assert read_image_vectors([], folder).shape == (0, 0)


def test_what_is_not_kept_is_computed_and_a_reader_writes_nothing(folder: Path) -> None:
    before = read_image_vectors(ROWS, folder)
    keep(folder, ROWS[:2])
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    np.testing.assert_array_equal(read_image_vectors(ROWS, folder), before)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    (folder / "d.npy").unlink()
    with pytest.raises(InputError, match=r"d\.npy does not exist; run dvc repro embed"):
        read_image_vectors(ROWS, folder)


def test_the_plot_of_kept_vectors_is_the_one_of_the_embeddings(folder: Path) -> None:
    computed = ImageVectors(folder, [dict(row) for row in ROWS])
    places = plane(computed.image_ids, computed.stacked)
    keep(folder, ROWS)
    kept = ImageVectors(folder, computed.rows)
    for name, place in plane(kept.image_ids, kept.stacked).items():
        np.testing.assert_array_equal(place, places[name])


def test_vectors_of_another_sam_are_not_taken(folder: Path) -> None:
    keep(folder, ROWS)
    assert kept_vectors(folder).keys() == set("abcd")
    note_encoder(folder, "sam-b")
    assert kept_vectors(folder) == {}


def test_vectors_of_another_recipe_are_not_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(folder, ROWS)
    monkeypatch.setattr("datalab.adapters.image_vectors.RECIPE", RECIPE + 1)
    assert kept_vectors(folder) == {}


def test_the_recipe_has_another_number_where_vectors_are_made_otherwise() -> None:
    """Where this fails raise RECIPE, so that no workspace mixes old vectors with new ones, and put both in here."""
    mean, deviation = [2.5, 8.5], [(35 / 12) ** 0.5] * 2
    made = np.array(mean + deviation)
    embedding = np.arange(12, dtype=np.float16).reshape(2, 2, 3)
    assert RECIPE == 1
    assert image_vector(embedding, 30, 30) == pytest.approx(made / np.linalg.norm(made), abs=1e-6)


def test_damage_anywhere_is_noticed(folder: Path) -> None:
    before = read_image_vectors(ROWS, folder)
    keep(folder, ROWS)
    good = (folder / VECTORS).read_bytes()
    cut = [good[:length] for length in (0, 1, 32, len(good) // 2, len(good) - 1)]
    altered = [good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :] for place in range(len(good))]
    for content in (*cut, *altered):
        (folder / VECTORS).write_bytes(content)
        assert kept_vectors(folder) == {}
    np.testing.assert_array_equal(read_image_vectors(ROWS, folder), before)


def test_the_same_vectors_are_the_same_bytes_and_a_killed_writer_leaves_the_old_ones(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(source: Path, target: Path) -> None:
        raise KeyboardInterrupt

    keep(folder, ROWS)
    first = (folder / VECTORS).read_bytes()
    keep(folder, ROWS[::-1])
    assert (folder / VECTORS).read_bytes() == first
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            keep(folder, ROWS[:1])
    assert (folder / VECTORS).read_bytes() == first


def test_kept_and_computed_vectors_of_two_models_are_refused(folder: Path) -> None:
    keep(folder, ROWS[:2])
    for row in ROWS[2:]:
        np.save(folder / f"{row['image_id']}.npy", np.ones((5, 4, 4), dtype=np.float16))
    with pytest.raises(InputError, match="of different models; run dvc repro embed"):
        read_image_vectors(ROWS, folder)
