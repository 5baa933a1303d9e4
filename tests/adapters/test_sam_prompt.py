import numpy as np
import pytest
import torch
from scipy import ndimage
from segment_anything import SamPredictor
from segment_anything.modeling import Sam

from datalab.adapters import sam_prompt
from datalab.adapters.embedding_cache import Embedding
from datalab.adapters.mask_generator import Pixels
from datalab.adapters.sam import load_sam
from datalab.adapters.sam_embed import embed_image
from datalab.adapters.sam_prompt import Prompt, mask_at
from datalab.masks import BoolMask

HEIGHT, WIDTH = 120, 180


@pytest.fixture(scope="module")
def sam() -> Sam:
    return load_sam("small")


@pytest.fixture(scope="module")
def scene() -> tuple[Pixels, BoolMask, BoolMask]:
    """A red disk and a blue square on grey."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    disk = np.hypot(y - 60, x - 50) < 32
    square = (abs(y - 60) < 28) & (abs(x - 135) < 28)
    noise = np.random.default_rng(0).normal(0, 4, (HEIGHT, WIDTH, 3))
    picture = np.full((HEIGHT, WIDTH, 3), [90.0, 110, 120]) + noise
    picture[disk] += [110, -50, -80]
    picture[square] += [-60, -40, 90]
    return np.clip(picture, 0, 255).astype(np.uint8), disk, square


@pytest.fixture(scope="module")
def embedding(sam: Sam, scene: tuple[Pixels, BoolMask, BoolMask]) -> Embedding:
    return embed_image(sam, scene[0])


def iou(a: BoolMask, b: BoolMask) -> float:
    return float((a & b).sum() / (a | b).sum())


def without_crumbs(mask: BoolMask) -> BoolMask:
    numbered, count = ndimage.label(mask, np.ones((3, 3)))
    areas = [(numbered == number).sum() for number in range(1, count + 1)]
    return np.isin(numbered, [number + 1 for number, area in enumerate(areas) if area >= 0.1 * max(areas)])


def test_a_click_gives_the_object_under_it(
    sam: Sam, embedding: Embedding, scene: tuple[Pixels, BoolMask, BoolMask]
) -> None:
    _, disk, square = scene
    for x, truth, least in ((50, disk, 0.8), (135, square, 0.5)):
        mask, predicted = mask_at(sam, embedding, HEIGHT, WIDTH, Prompt(((x, 60, True),)))
        assert mask.shape == (HEIGHT, WIDTH)
        assert mask.dtype == bool
        assert iou(mask, truth) > least
        assert 0 <= predicted <= 1


def test_a_box_gives_the_object_inside(
    sam: Sam, embedding: Embedding, scene: tuple[Pixels, BoolMask, BoolMask]
) -> None:
    mask, _ = mask_at(sam, embedding, HEIGHT, WIDTH, Prompt(box=(18, 28, 82, 92)))
    assert iou(mask, scene[1]) > 0.8


@pytest.mark.slow
@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(((50, 60, True),)),
        Prompt(((50, 60, True), (135, 60, False))),
        Prompt(box=(18, 28, 82, 92)),
        Prompt(((50, 60, True),), (18, 28, 82, 92)),
    ],
)
@pytest.mark.parametrize("is_small", [True, False])
def test_it_is_one_of_the_masks_of_the_official_predictor(
    sam: Sam, embedding: Embedding, prompt: Prompt, is_small: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sam_prompt, "zooms_in", lambda _: is_small)
    predictor = SamPredictor(sam)
    predictor.set_image(np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8))
    predictor.features = torch.from_numpy(embedding.astype(np.float32))[None]
    points = np.array([point[:2] for point in prompt.points]) if prompt.points else None
    labels = np.array([int(point[2]) for point in prompt.points]) if prompt.points else None
    box = None if prompt.box is None else np.array(prompt.box)
    masks, qualities, _ = predictor.predict(points, labels, box, multimask_output=prompt.box is None and not is_small)
    mask, predicted = mask_at(sam, embedding, HEIGHT, WIDTH, prompt)
    place = next(place for place, quality in enumerate(qualities) if abs(np.clip(quality, 0, 1) - predicted) < 1e-6)
    clean = without_crumbs(masks[place])
    # parts are told apart before the mask is enlarged, so that one may stay that touched a large one there
    crumbs = masks[place] & ~clean
    assert iou(mask & ~crumbs, clean) > 0.999
    assert iou(mask | crumbs, masks[place]) > 0.999
    assert (mask & crumbs).sum() <= 0.25 * crumbs.sum()


def test_a_click_with_alt_tells_which_object_is_meant(
    sam: Sam, embedding: Embedding, scene: tuple[Pixels, BoolMask, BoolMask]
) -> None:
    one = Prompt(((50, 60, True),))
    both = Prompt(((50, 60, True), (135, 60, False)))
    before, after = (mask_at(sam, embedding, HEIGHT, WIDTH, prompt)[0] for prompt in (one, both))
    assert not after[60, 135]
    assert min(iou(before, scene[1]), iou(after, scene[1])) > 0.9


def test_of_three_masks_the_one_that_agrees_with_the_clicks_is_taken(
    sam: Sam, embedding: Embedding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that SAM likes best covers what was clicked away, too."""
    logits = torch.full((1, 3, 64, 64), -5.0)
    logits[0, 0] = logits[0, 1, :, :32] = logits[0, 2, :, 32:] = 5
    monkeypatch.setattr(sam_prompt, "zooms_in", lambda _: False)
    monkeypatch.setattr(sam.mask_decoder, "forward", lambda **_: (logits, torch.tensor([[0.9, 0.6, 0.8]])))
    mask, predicted = mask_at(sam, embedding, HEIGHT, WIDTH, Prompt(((50, 60, True), (135, 60, False))))
    assert (mask[60, 50], mask[60, 135]) == (True, False)
    assert predicted == pytest.approx(0.6)


def test_what_was_clicked_on_is_no_crumb_and_what_was_clicked_away_is_one() -> None:
    low = np.full((64, 64), -5, dtype=np.float32)
    low[:40, :40] = low[60:62, 50:52] = low[2:4, 60:62] = low[50:52, 10:12] = 5
    kept = sam_prompt._without_crumbs(low, ((101, 121, True), (121, 5, False)), 128) > 0
    assert (kept[0, 0], kept[60, 50], kept[2, 60], kept[50, 10]) == (True, True, False, False)


def test_nothing_is_encoded(sam: Sam, embedding: Embedding, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(image: torch.Tensor) -> None:
        raise AssertionError("an image was encoded")

    monkeypatch.setattr(sam.image_encoder, "forward", refuse)
    mask, _ = mask_at(sam, embedding, HEIGHT, WIDTH, Prompt(((50, 60, True),)))
    assert mask.any()


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3), (16, 20_000), (20_000, 16)])
def test_odd_sizes_and_corners_are_no_problem(sam: Sam, size: tuple[int, int]) -> None:
    height, width = size
    found = embed_image(sam, np.full((height, width, 3), 90, dtype=np.uint8))
    for prompt in (Prompt(((width, height, True), (0, 0, False))), Prompt(box=(0, 0, width, height))):
        assert mask_at(sam, found, height, width, prompt)[0].shape == size
