"""Embeddings of several images in one go, with memory that runs out and an encoder that counts."""

import weakref
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from segment_anything.modeling import Sam

from datalab.adapters import sam_embed
from datalab.adapters.mask_generator import Pixels
from datalab.adapters.sam import load_sam
from datalab.adapters.sam_embed import compile_encoder, embed_image, embed_images
from tests.adapters.test_sam import disk_on_grey


@pytest.fixture(scope="module")
def sam() -> Sam:
    return load_sam("small")


def test_an_embedding_is_a_grid_of_half_floats(sam: Sam) -> None:
    embedding = embed_image(sam, disk_on_grey(60, 90)[0])
    assert embedding.shape == (128, 16, 16)
    assert embedding.dtype == np.float16
    assert np.isfinite(embedding).all()


@pytest.mark.slow
def test_a_full_gpu_encodes_half_as_many_images_at_a_time(
    sam: Sam, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    images = [disk_on_grey(60, 90)[0], disk_on_grey(90, 60)[0], disk_on_grey(40, 40)[0]]
    expected = [embed_image(sam, image) for image in images]
    filled, forward = load_sam("small"), sam.image_encoder.forward

    def too_much(squares: torch.Tensor) -> torch.Tensor:
        if len(squares) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        embeddings: torch.Tensor = forward(squares)
        return embeddings

    monkeypatch.setattr(filled.image_encoder, "forward", too_much)
    for _ in range(2):
        for found, alone in zip(embed_images(filled, images), expected, strict=True):
            np.testing.assert_array_equal(found, alone)
    assert [one.getMessage().partition(": ")[2] for one in caplog.records] == ["going on with 1 images at a time"]


def test_one_image_at_a_time_is_held_at_its_own_size(sam: Sam) -> None:
    read: list[weakref.ref[Pixels]] = []

    def images() -> Iterator[Pixels]:
        for _ in range(3):
            assert [one() for one in read] == [None] * len(read)
            pixels = np.zeros((90, 60, 3), dtype=np.uint8)
            read.append(weakref.ref(pixels))
            yield pixels
            del pixels

    assert len(embed_images(sam, images())) == 3


def test_an_encoder_is_compiled_for_as_many_images_as_a_full_gpu_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    sam, compiled, seen = load_sam("small"), [False], list[tuple[bool, int]]()

    def forward(squares: torch.Tensor) -> torch.Tensor:
        seen.append((compiled[0], len(squares)))
        if len(squares) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return torch.zeros(len(squares), 128, 16, 16)

    monkeypatch.setattr(sam_embed, "encoded_at_once", lambda: 8)
    monkeypatch.setattr(sam.image_encoder, "forward", forward)
    monkeypatch.setattr(sam.image_encoder, "compile", lambda mode: compiled.insert(0, True))
    compile_encoder(sam)
    assert seen == [(False, 8), (False, 4), (True, 4)]


@pytest.mark.slow
def test_a_compiled_encoder_is_always_given_as_many_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another number would take it minutes of compiling, and each thread by itself."""
    sam, seen = load_sam("small"), list[int]()
    forward = sam.image_encoder.forward

    def counted(squares: torch.Tensor) -> object:
        seen.append(len(squares))
        return forward(squares)

    images = [disk_on_grey(60, 90)[0], disk_on_grey(90, 60)[0]]
    expected = [embed_image(sam, image) for image in images]
    monkeypatch.setattr(sam_embed, "encoded_at_once", lambda: 3)
    monkeypatch.setattr(sam.image_encoder, "compile", lambda mode: None)
    monkeypatch.setattr(sam.image_encoder, "forward", counted)
    compile_encoder(sam)
    for found, alone in zip([*embed_images(sam, images), *embed_images(sam, [])], expected, strict=True):
        np.testing.assert_allclose(found.astype(np.float32), alone.astype(np.float32), atol=2e-3)
    assert set(seen) == {3}
