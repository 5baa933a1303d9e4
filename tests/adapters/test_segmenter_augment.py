from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datalab.adapters.segmenter_augment import (
    Augmentation,
    Batch,
    Cut,
    Policy,
    Pool,
    _corner,
    _over,
    check_policy,
    draw_batch,
)
from datalab.adapters.segmenter_samples import Sample
from datalab.adapters.segmenter_schedule import cut_generators
from datalab.errors import InputError
from tests.adapters.blobs import AUGMENTATION, PLAIN, blob_samples

TURNED = replace(PLAIN, vertical_flip=True, quarter_turns=True)
BENT = replace(PLAIN, turn=20.0, zoom=0.3)
PASTED = replace(PLAIN, copy_paste=1.0, cutmix=1.0)


def draw(samples: list[Sample], how: Augmentation, seed: int) -> Batch:
    return draw_batch(Pool(samples), range(len(samples)), how, cut_generators(seed, 1, len(samples)))


@pytest.mark.slow
@pytest.mark.parametrize("policy", [PLAIN, TURNED, BENT, PASTED], ids=["plain", "turned", "bent", "pasted"])
@given(seed=st.integers(0, 1000), crop=st.sampled_from([8, 24, 48, 96]))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_image_embedding_and_labels_stay_on_each_other(tmp_path: Path, policy: Policy, seed: int, crop: int) -> None:
    """Red is class 1 and blue class 2, in the cut as in the whole; padding is not judged."""
    batch = draw(blob_samples(tmp_path, [1, 2, 3]), Augmentation(crop, object_share=1.0, policy=policy), seed)
    assert batch.image.shape == (3, 3, crop, crop)
    assert batch.embedding.shape == (3, 6, crop // 8, crop // 8)
    assert batch.labels.shape == (3, crop // 2, crop // 2)
    assert 0 <= float(batch.image.min()) <= float(batch.image.max()) <= 1
    small = batch.image[:, :, ::2, ::2]
    red, blue = small[:, 0] - small[:, 2] > 0.4, small[:, 2] - small[:, 0] > 0.4
    judged = batch.labels != 255
    agreement = ((red == (batch.labels == 1)) & (blue == (batch.labels == 2)))[judged].float().mean()
    # of a cut of 8 pixels some 50 labels are judged, and most of them lie on an outline: 0.82 on average, 0.56 at least
    assert agreement > (0.8 if crop > 8 else 0.5)
    if crop > 64 and policy in (PLAIN, TURNED):
        # the labels of an image are 24 x 32; flips may put the padding into any corner
        assert ((~judged).sum(dim=(1, 2)) == (crop // 2) ** 2 - 24 * 32).all()


def test_the_embedding_is_turned_with_the_image() -> None:
    """Cell (row, column) holds its own place, which the image shows as red and green."""
    rows, columns = np.mgrid[:6, :6].astype(np.float16)
    embedding = np.stack([rows, columns])
    image = np.zeros((48, 48, 3), dtype=np.uint8)
    image[..., 0] = np.kron(rows * 40, np.ones((8, 8)))
    image[..., 1] = np.kron(columns * 40, np.ones((8, 8)))
    sample = Sample(image, embedding, np.zeros((24, 24), dtype=np.uint8), (48, 48))
    for seed in range(12):
        batch = draw([sample], Augmentation(48, 0.0, TURNED), seed)
        shown = batch.image[0, :2, ::8, ::8] * 255 / 40
        torch.testing.assert_close(shown, batch.embedding[0], atol=0.05, rtol=0)


def test_a_batch_is_a_function_of_its_generators_and_colours_change(tmp_path: Path) -> None:
    samples = blob_samples(tmp_path, [1, 2])
    one, same, other = (draw(samples, AUGMENTATION, seed) for seed in (3, 3, 4))
    assert one.image.equal(same.image)
    assert one.labels.equal(same.labels)
    assert not one.image.equal(other.image)
    assert one.names == ("b1", "b2")
    plain = draw(samples, replace(AUGMENTATION, policy=PLAIN), 3)
    colourful = replace(PLAIN, brightness=0.2, contrast=0.2, saturation=0.2, hue=0.05, blur=1.0)
    changed = draw(samples, replace(AUGMENTATION, policy=colourful), 3)
    assert not changed.image.equal(plain.image)
    assert changed.labels.equal(plain.labels)
    assert changed.embedding.equal(plain.embedding)


@pytest.mark.parametrize("kind", ["copy_paste", "cutmix", "mixup"])
def test_what_another_image_gave_is_named_with_it(tmp_path: Path, kind: str) -> None:
    """b2 alone shows objects, and has what is no number in its embedding."""
    samples = blob_samples(tmp_path, [4, 2, 8])
    samples[1] = replace(samples[1], embedding=np.full_like(samples[1].embedding, np.nan))
    how = Augmentation(48, 1.0, replace(PLAIN, **{kind: 1.0}))  # type: ignore[arg-type]  # a share, by its name
    found = 0
    for seed in range(8):
        batch = draw_batch(Pool(samples), [0, 2], how, cut_generators(seed, 1, 2))
        for name, embedding in zip(batch.names, batch.embedding, strict=True):
            assert name.split(" with ")[0] in ("b4", "b8")
            if bool(embedding.isnan().any()):
                found += 1
                assert name.endswith(" with b2")
    assert found


def test_each_image_is_its_own_whoever_draws_it(tmp_path: Path) -> None:
    samples, places = blob_samples(tmp_path, [1, 2, 3]), [2, 0, 1]
    pool, rngs = Pool(samples), cut_generators(5, 7, 3)
    whole = draw_batch(pool, places, AUGMENTATION, cut_generators(5, 7, 3))
    for rank in (0, 1):
        part = draw_batch(pool, places[rank::2], AUGMENTATION, rngs[rank::2])
        assert part.image.equal(whole.image[rank::2])


def test_copy_paste_brings_what_is_rare(tmp_path: Path) -> None:
    """Of five images one shows anything; with pasting its classes are in nearly every cut."""
    samples = blob_samples(tmp_path, [0, 4, 8, 12, 1])
    plain = draw(samples[:4], replace(AUGMENTATION, policy=PLAIN), 0)
    assert not ((plain.labels > 0) & (plain.labels < 255)).any()
    pool = Pool(samples)
    pasting = replace(AUGMENTATION, policy=replace(PLAIN, copy_paste=1.0))
    batch = draw_batch(pool, [0, 1, 2, 3], pasting, cut_generators(0, 1, 4))
    assert all(((labels > 0) & (labels < 255)).any() for labels in batch.labels)


def test_mixup_lays_one_image_over_another_and_says_how_much_of_each(tmp_path: Path) -> None:
    samples = blob_samples(tmp_path, [1, 2])
    batch = draw(samples, replace(AUGMENTATION, policy=replace(PLAIN, mixup=1.0)), 0)
    assert batch.share is not None
    assert batch.other_labels is not None
    assert ((batch.share >= 0.5) & (batch.share < 1)).all()
    assert batch.other_labels.shape == batch.labels.shape
    assert draw(samples, AUGMENTATION, 0).share is None


def test_nothing_rare_to_paste_is_no_problem(tmp_path: Path) -> None:
    empty = blob_samples(tmp_path, [0, 4])
    batch = draw(empty, replace(AUGMENTATION, policy=replace(PLAIN, copy_paste=1.0)), 0)
    assert not ((batch.labels > 0) & (batch.labels < 255)).any()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"blur": 1.5}, "augmentation.road.blur is a share, from 0 to 1, got 1.5"),
        ({"brightness": 1.0}, "augmentation.road.brightness is a fraction"),
        ({"hue": 0.6}, "augmentation.road.hue is a part of the colour circle"),
        ({"turn": -1.0}, "augmentation.road.turn must be 0 or more, got -1.0"),
        ({"zoom": -0.1}, "augmentation.road.zoom is a fraction, from 0 to 4, got -0.1"),
        ({"zoom": 4.1}, "augmentation.road.zoom is a fraction, from 0 to 4, got 4.1"),
    ],
)
def test_numbers_out_of_range_are_one_line(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_policy(replace(PLAIN, **wrong), "road")  # type: ignore[arg-type]
    assert {field.name for field in fields(Policy)} >= set(wrong)


def test_a_cut_has_the_wanted_pixel_in_its_middle() -> None:
    labels = np.zeros((80, 80), dtype=np.uint8)
    labels[42, 42] = 1
    assert _corner(labels, 6, 1.0, np.random.default_rng(0), None) == (7, 7)


@pytest.mark.parametrize(("pixels", "taken"), [(8, False), (9, True)])
def test_a_cell_of_the_embedding_is_the_others_where_most_of_it_is(pixels: int, taken: bool) -> None:
    """One cell is 16 label pixels."""
    own, other = (
        Cut(torch.full((3, 8, 8), value), torch.full((2, 1, 1), float(value)), torch.full((1, 4, 4), value))
        for value in (1, 2)
    )
    inside = (torch.arange(16) < pixels).reshape(1, 4, 4)
    laid = _over(own, other, inside)
    assert (laid.labels == 2).sum() == pixels
    assert (laid.image == 2).sum() == 3 * 4 * pixels
    assert laid.embedding.tolist() == [[[2.0 if taken else 1.0]]] * 2


def test_what_turning_brings_in_is_not_judged(tmp_path: Path) -> None:
    sample = blob_samples(tmp_path, [1])[0]
    assert sample.labels is not None
    full = replace(sample, labels=np.ones_like(sample.labels))
    batch = draw([full], Augmentation(96, 0.0, replace(PLAIN, turn=45.0)), 3)
    assert set(np.unique(batch.labels.numpy())) == {1, 255}


def test_the_fewer_pixels_the_rarer_and_background_never(tmp_path: Path) -> None:
    sample = blob_samples(tmp_path, [1])[0]
    assert sample.labels is not None
    labels = np.zeros_like(sample.labels)
    labels[0, :8], labels[1, 0], labels[2] = 1, 2, 255
    rarity = Pool([replace(sample, labels=labels)]).rarity
    assert rarity[[0, 1, 2, 255]] == pytest.approx([0, 1 / 9, 8 / 9, 0])
