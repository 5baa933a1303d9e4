"""The small SAM learns what it cannot know: that of a disk only the upper half counts."""

import copy

import numpy as np
import pytest
import torch
from segment_anything.modeling import Sam

from datalab.adapters.mask_generator import Pixels
from datalab.adapters.sam import load_sam
from datalab.adapters.sam_adapt import Course, Lesson, adapt, judge, lessons_of
from datalab.adapters.sam_training import BOX, CLICK
from datalab.masks import BoolMask


def half_disk(seed: int) -> tuple[Pixels, BoolMask]:
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:96, :128]
    y, x = rng.uniform(30, 66), rng.uniform(35, 93)
    disk = np.hypot(columns - x, rows - y) < rng.uniform(15, 25)
    noise = rng.normal(0, 5, (96, 128, 3))
    picture = np.where(disk[..., None], rng.uniform(120, 255, 3), rng.uniform(0, 90, 3)) + noise
    return np.clip(picture, 0, 255).astype(np.uint8), disk & (rows < y)


def lessons(sam: Sam, seeds: range) -> list[Lesson]:
    rng = np.random.default_rng(0)
    made = (lessons_of(sam, str(seed), *_one(seed), rng) for seed in seeds)
    return [one for several in made for one in several]


def _one(seed: int) -> tuple[Pixels, list[BoolMask]]:
    picture, mask = half_disk(seed)
    return picture, [mask]


@pytest.fixture(scope="module")
def sam() -> Sam:
    return load_sam("small")


def test_a_lesson_points_at_its_object_in_the_pixels_of_the_square(sam: Sam) -> None:
    picture, mask = half_disk(1)
    click, box = lessons_of(sam, "a", picture, [mask], np.random.default_rng(0))
    assert (click.kind, box.kind) == (CLICK, BOX)
    # 128 pixels become 256, 64 cells: two pixels a cell
    for x, y in click.points / 2:
        assert mask[int(y), int(x)]
    assert click.target.shape == (64, 64)
    assert click.target.sum() == pytest.approx(mask.sum() / 4)
    # the box is seen enlarged: it fills two thirds of the square's longer side
    assert max(box.box[2:] - box.box[:2]) == pytest.approx(256 / 1.5, rel=0.1)
    assert box.target.sum() > 4 * click.target.sum()


@pytest.mark.slow
def test_the_decoder_learns_and_the_encoder_stays(sam: Sam) -> None:
    taught = copy.deepcopy(sam)
    exam = lessons(sam, range(100, 106))
    before = judge(sam, exam)
    adapt(taught, lessons(sam, range(8)), Course(30, 8, 2e-3), np.random.default_rng(0))
    after = judge(taught, exam)
    assert after.mean() > before.mean() + 0.1
    for name, weight in taught.image_encoder.state_dict().items():
        assert torch.equal(weight, sam.image_encoder.state_dict()[name])


@pytest.mark.slow
def test_the_same_seed_teaches_the_same(sam: Sam) -> None:
    learned = []
    for _ in range(2):
        taught = copy.deepcopy(sam)
        adapt(taught, lessons(sam, range(3)), Course(3, 4, 1e-3), np.random.default_rng(5))
        learned.append(taught.mask_decoder.state_dict())
    assert all(torch.equal(weight, learned[1][name]) for name, weight in learned[0].items())
