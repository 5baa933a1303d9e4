import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from datalab.adapters.embedding_cache import (
    NOTE,
    Embedding,
    EmbeddingCache,
    embedded_by,
    embedding_bytes,
    image_hash,
    note_encoder,
    place_embedding,
    sound_embedding,
)
from datalab.errors import InputError

HASH = "ab" * 32
MODEL = "sam-small-12345678"
VALUES: Embedding = np.arange(24, dtype=np.float16).reshape(2, 3, 4)


class Encoder:
    """Counts how often it is asked."""

    def __init__(self, value: Embedding = VALUES) -> None:
        self.value = value
        self.calls = 0

    def __call__(self) -> Embedding:
        self.calls += 1
        return self.value


def test_one_image_is_encoded_once_per_model(tmp_path: Path) -> None:
    cache, encoder = EmbeddingCache(tmp_path / "cache"), Encoder()
    first = cache.find_or_make(HASH, MODEL, encoder)
    again = EmbeddingCache(tmp_path / "cache").find_or_make(HASH, MODEL, encoder)
    assert encoder.calls == 1
    for found in (first, again):
        assert isinstance(found, np.memmap)
        assert found.dtype == np.float16
        np.testing.assert_array_equal(found, VALUES)
    cache.find_or_make(HASH, "sam-vit_b-12345678", encoder)
    cache.find_or_make("cd" * 32, MODEL, encoder)
    assert encoder.calls == 3


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_neither_kept_nor_found(tmp_path: Path, value: float) -> None:
    cache, broken = EmbeddingCache(tmp_path), np.full((2, 3, 4), value, dtype=np.float16)
    with pytest.raises(InputError, match="sam-small-12345678 makes an embedding of numbers that are not finite"):
        cache.find_or_make(HASH, MODEL, lambda: broken)
    path = cache.path(HASH, MODEL)
    assert not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(embedding_bytes(broken))  # by an earlier version
    np.testing.assert_array_equal(cache.find_or_make(HASH, MODEL, Encoder()), VALUES)


def test_an_entry_lies_where_its_content_and_model_say_and_cannot_be_written_through(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path)
    found = cache.find_or_make(HASH, MODEL, Encoder())
    assert cache.path(HASH, MODEL) == tmp_path / MODEL / "ab" / f"{HASH}.npy"
    assert [path.name for path in (tmp_path / MODEL / "ab").iterdir()] == [f"{HASH}.npy"]
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 0


def test_the_entry_is_a_numpy_file_too(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path)
    cache.find_or_make(HASH, MODEL, Encoder())
    np.testing.assert_array_equal(np.load(cache.path(HASH, MODEL), allow_pickle=False), VALUES)


@pytest.mark.parametrize("length", [0, 1, 31, 32, 33, 128, -33, -1])
def test_a_truncated_entry_is_made_again(tmp_path: Path, length: int) -> None:
    cache, encoder = EmbeddingCache(tmp_path), Encoder()
    path = cache.path(HASH, MODEL)
    path.parent.mkdir(parents=True)
    path.write_bytes(embedding_bytes(VALUES)[:length])
    assert cache.find(HASH, MODEL) is None
    np.testing.assert_array_equal(cache.find_or_make(HASH, MODEL, encoder), VALUES)
    assert encoder.calls == 1


def test_every_altered_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "entry.npy"
    good = embedding_bytes(VALUES)
    for place in range(len(good)):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        assert sound_embedding(path) is None


@pytest.mark.parametrize("value", [VALUES.astype(np.float32), VALUES[0]])
def test_an_entry_of_another_kind_is_none(tmp_path: Path, value: Embedding) -> None:
    (tmp_path / "entry.npy").write_bytes(embedding_bytes(value))
    assert sound_embedding(tmp_path / "entry.npy") is None


def test_a_run_that_was_killed_goes_on_with_the_next_image(tmp_path: Path) -> None:
    def killed() -> Embedding:
        raise KeyboardInterrupt

    cache, encoder = EmbeddingCache(tmp_path), Encoder()
    cache.find_or_make("aa" * 32, MODEL, encoder)
    with pytest.raises(KeyboardInterrupt):
        cache.find_or_make("ab" * 32, MODEL, killed)
    for name in ("aa", "ab"):
        cache.find_or_make(name * 32, MODEL, encoder)
    assert encoder.calls == 2


def test_the_hash_follows_the_content(tmp_path: Path) -> None:
    (tmp_path / "one.png").write_bytes(b"abc")
    (tmp_path / "two.png").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1
    assert image_hash(tmp_path / "one.png") == image_hash(tmp_path / "two.png") == known
    with pytest.raises(InputError, match=r"three\.png cannot be read"):
        image_hash(tmp_path / "three.png")


def test_a_placed_entry_survives_that_the_cache_is_removed(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path / "cache")
    cache.find_or_make(HASH, MODEL, Encoder())
    target = tmp_path / "out" / "a.npy"
    for _ in range(2):
        place_embedding(cache.path(HASH, MODEL), target)
    assert target.stat().st_nlink == 2
    cache.path(HASH, MODEL).unlink()
    found = sound_embedding(target)
    assert found is not None
    np.testing.assert_array_equal(found, VALUES)
    assert [path.name for path in target.parent.iterdir()] == ["a.npy"]


def test_what_a_killed_run_left_beside_the_target_is_no_obstacle(tmp_path: Path) -> None:
    cache, target = EmbeddingCache(tmp_path / "cache"), tmp_path / "out" / "copy.npy"
    cache.find_or_make(HASH, MODEL, Encoder())
    target.parent.mkdir()
    os.link(cache.path(HASH, MODEL), target.parent / ".copy.npy")
    place_embedding(cache.path(HASH, MODEL), target)
    assert [path.name for path in target.parent.iterdir()] == ["copy.npy"]
    found = sound_embedding(target)
    assert found is not None
    np.testing.assert_array_equal(found, VALUES)


def test_a_folder_notes_whose_embeddings_it_holds(tmp_path: Path) -> None:
    assert embedded_by(tmp_path / "embeddings") == ""
    note_encoder(tmp_path / "embeddings", MODEL)
    assert embedded_by(tmp_path / "embeddings") == MODEL


@pytest.mark.parametrize("note", ["", "{}", "[]", "null", '{"model_version": '])
def test_a_note_that_says_nothing_is_none(tmp_path: Path, note: str) -> None:
    (tmp_path / NOTE).write_text(note)
    assert embedded_by(tmp_path) == ""


def test_on_another_disk_the_entry_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    source = tmp_path / "entry.npy"
    source.write_bytes(embedding_bytes(VALUES))
    monkeypatch.setattr(os, "link", refuse)
    place_embedding(source, tmp_path / "copy.npy")
    assert (tmp_path / "copy.npy").read_bytes() == source.read_bytes()
    assert source.stat().st_nlink == 1


def test_a_disk_that_fills_up_while_an_entry_is_copied_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    def half(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:9])
        raise OSError(errno.ENOSPC, "No space left on device")

    source = tmp_path / "entry.npy"
    source.write_bytes(embedding_bytes(VALUES))
    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(shutil, "copyfile", half)
    with pytest.raises(InputError, match=r"no space left on the disk of .*out; free some and run again"):
        place_embedding(source, tmp_path / "out" / "copy.npy")
    assert not list((tmp_path / "out").iterdir())
