"""The small SAM learns what it cannot know: that of a disk only the upper half counts."""

import copy

import numpy as np
import pytest
import torch
from scipy import ndimage
from segment_anything.modeling import Sam

from datalab.adapters import sam_adapt
from datalab.adapters.mask_generator import Pixels
from datalab.adapters.sam import load_sam
from datalab.adapters.sam_adapt import Course, Lesson, adapt, judge, lessons_of
from datalab.adapters.sam_training import BOX, CLICK, mask_loss
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


@pytest.mark.parametrize("size", [(256, 320), (200, 300), (300, 200), (90, 119)])
def test_a_target_lies_where_its_object_does_though_the_image_ends_within_a_cell(
    sam: Sam, size: tuple[int, int]
) -> None:
    rows, columns = np.mgrid[: size[0], : size[1]]
    disk = np.hypot(columns - 0.8 * size[1], rows - 0.8 * size[0]) < 0.1 * min(size)
    target = sam_adapt._cells(sam, disk, np.zeros((1, 16, 16), dtype=np.float16))
    before, after = (np.array(ndimage.center_of_mass(one)) + 0.5 for one in (disk, target))
    np.testing.assert_allclose(after, before * 64 / max(size), atol=0.1)


def test_of_a_click_the_mask_that_sam_likes_best_is_judged_and_of_a_box_the_single_one(
    sam: Sam, monkeypatch: pytest.MonkeyPatch
) -> None:
    exam = lessons(sam, range(1))  # a click and a box
    click, box = (torch.from_numpy(one.target) >= 0.5 for one in exam)
    right, all_of_it = torch.where(box, 9.0, -9.0), torch.full(click.shape, 9.0)
    of_box, of_click = [right, -right, -right, -right], [-all_of_it, -all_of_it, all_of_it, -all_of_it]
    logits = torch.stack([torch.stack(of_box), torch.stack(of_click)])
    quality = torch.tensor([[0.1, 0.9, 0.9, 0.9], [0.9, 0.1, 0.8, 0.3]])
    monkeypatch.setattr(sam_adapt, "prompted_masks", lambda *_: (logits, quality, torch.tensor([1, 0])))
    assert judge(sam, exam).tolist() == pytest.approx([click.float().mean().item(), 1])


@pytest.mark.slow
def test_every_answer_is_compared_with_its_own_object(sam: Sam, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers come sorted by the kind of their prompt; an object fills more of the square where it is seen enlarged."""
    known = lessons(sam, range(3))
    enlarged = min(one.target.sum() for one in known if one.kind == BOX)
    assert enlarged > max(one.target.sum() for one in known if one.kind == CLICK)
    shown: list[torch.Tensor] = []

    def watched(
        logits: torch.Tensor, quality: torch.Tensor, targets: torch.Tensor, kinds: torch.Tensor, whole: torch.Tensor
    ) -> object:
        assert torch.equal(targets.sum((1, 2)) >= enlarged, kinds == BOX)
        assert torch.equal(kinds, kinds.sort().values)
        shown.append(kinds)
        return mask_loss(logits, quality, targets, kinds, whole)

    monkeypatch.setattr(sam_adapt, "mask_loss", watched)
    adapt(copy.deepcopy(sam), known, Course(2, 8, 1e-3), np.random.default_rng(0))
    assert set(torch.cat(shown).tolist()) == {BOX, CLICK}


def test_boxes_are_shaken_by_a_share_of_their_sides_and_clicks_lie_anywhere_inside(sam: Sam) -> None:
    exam = [one for one in lessons(sam, range(1)) if one.kind == BOX] * 200
    shown = sam_adapt._shaken(exam, np.random.default_rng(0))
    tight = exam[0].box
    shares = (np.stack([one.box for one in shown]) - tight) / np.tile(tight[2:] - tight[:2], 2)
    np.testing.assert_allclose(shares.std(axis=0), sam_adapt.SHAKEN, rtol=0.2)
    clicks = [tuple(one.points[0].tolist()) for one in shown]
    assert {clicks.count(tuple(point)) > 40 for point in exam[0].points.tolist()} == {True}
    assert {len(one.points) for one in shown} == {1}


def full_gpu(sam: Sam, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """SAM's decoder, on which so many objects at a time fit; more run out of memory half way."""
    transformer = sam.mask_decoder.transformer.forward

    def forward(embeddings: torch.Tensor, *others: torch.Tensor) -> object:
        if len(embeddings) > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return transformer(embeddings, *others)

    monkeypatch.setattr(sam.mask_decoder.transformer, "forward", forward)


@pytest.mark.slow
def test_a_full_gpu_learns_the_same_from_halves_of_a_batch(
    sam: Sam, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    known = lessons(sam, range(3))
    batch = sam_adapt._shaken([*known, *known[::2]], np.random.default_rng(0))  # twice as many clicks as boxes
    whole = sam_adapt._gradients(sam, batch, slice(0, 9))
    parts = [sam_adapt._gradients(sam, batch, part) for part in (slice(0, 4), slice(4, 9))]
    for once, first, second in zip(whole, *parts, strict=True):
        assert once is not None and first is not None and second is not None
        torch.testing.assert_close(first + second, once, atol=1e-5, rtol=1e-3)
    taught = [copy.deepcopy(sam), copy.deepcopy(sam)]
    full_gpu(taught[1], monkeypatch, 4)
    for one in taught:
        adapt(one, known, Course(2, 9, 1e-2), np.random.default_rng(0))
    before, after, same = (
        torch.cat([value.flatten() for value in one.mask_decoder.state_dict().values()]) for one in (sam, *taught)
    )
    assert (same - after).norm() < 0.02 * (after - before).norm()
    # once: the second step begins with what had room in the first
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "going on with 4 training objects at a time"
    ]


@pytest.mark.slow
def test_a_full_gpu_judges_fewer_objects_at_a_time(
    sam: Sam, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    exam, filled = lessons(sam, range(3)) * 3, copy.deepcopy(sam)
    full_gpu(filled, monkeypatch, 4)
    np.testing.assert_allclose(judge(filled, exam), judge(sam, exam), atol=1e-6)
    assert "going on with 4 objects at a time" in caplog.text


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
