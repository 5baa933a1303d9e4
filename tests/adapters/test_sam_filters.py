"""What SAM finds and nobody should see, and packaged weights that are not there."""

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from datalab.adapters import sam
from datalab.adapters.mask_generator import FoundMask
from datalab.errors import InputError
from datalab.masks import mask_to_rle, rle_to_mask

SHAPE = (100, 200)
PARAMS = sam.ProposalParams(8, 0, 0.5, 0.5, 0.01, 0.6, 5, 0.0)


def found(left: int, predicted_iou: float, stability: float = 1.0) -> FoundMask:
    """Twenty columns, without neighbours."""
    mask = np.zeros(SHAPE, dtype=bool)
    mask[20:60, left : left + 20] = True
    return FoundMask(mask_to_rle(mask), (left, 20, left + 19, 59), 800, predicted_iou, stability)


@pytest.mark.parametrize(
    ("area", "box", "kept"),
    [
        (2000, [10, 10, 50, 40], True),
        (199, [10, 10, 50, 40], False),  # less than 1%
        (12001, [0, 0, 150, 99], False),  # more than 60%
        (8000, [0, 0, 199, 40], True),  # from left to right only, like a road
        (8000, [0, 0, 199, 99], False),  # round everything, like a frame
    ],
)
def test_background_and_crumbs_are_dropped(area: int, box: list[int], kept: bool) -> None:
    corners = (box[0], box[1], box[0] + box[2], box[1] + box[3])
    assert sam._is_like_an_object(FoundMask("", corners, area, 0.9, 0.9), SHAPE, PARAMS) is kept


def test_the_best_come_first_and_the_rest_are_cut() -> None:
    masks = [found(0, 0.6), found(40, 0.9), found(80, 0.95, 0.7), found(120, 0.8)]
    kept = sam._kept(masks, np.zeros((*SHAPE, 3), dtype=np.uint8), replace(PARAMS, max_regions=3))
    assert [one.predicted_iou for one in kept] == [0.9, 0.8, 0.95]


def test_crumbs_of_a_mask_are_dropped() -> None:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[10:50, 10:50] = mask[80:82, 150:152] = True
    whole = rle_to_mask(sam._full_size(mask_to_rle(mask), SHAPE, (200, 400)), 200, 400)
    assert whole[40, 40]
    assert not whole[160:164, 300:304].any()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "full"),
    [
        ((7, 5), (7, 5)),
        ((7, 5), (16, 9)),
        ((9, 1), (23, 1)),
        ((1, 9), (1, 31)),
        ((1, 1024), (16, 20_000)),
        ((768, 1024), (2999, 4001)),
        ((683, 1024), (685, 1027)),
    ],
)
def test_a_mask_is_scaled_as_the_whole_of_it_would_be(shape: tuple[int, int], full: tuple[int, int]) -> None:
    corner, whole = np.zeros(shape, dtype=bool), np.ones(shape, dtype=bool)
    corner[shape[0] // 2 :, : -(-shape[1] // 3)] = True
    ragged = np.random.default_rng(0).random(shape) < 0.8
    for mask in (corner, whole, sam._largest_parts(ragged), ~whole):
        rows, columns = (((np.arange(b) + 0.5) * a / b).astype(int) for a, b in zip(shape, full, strict=True))
        assert sam._full_size(mask_to_rle(mask), shape, full) == mask_to_rle(mask[np.ix_(rows, columns)])


@pytest.mark.slow
@pytest.mark.parametrize("longest", [1500, 6000])
def test_a_scaled_mask_lies_where_its_object_does(longest: int) -> None:
    """A pixel's middle lies half a pixel behind its number."""
    shape, full = (683, 1024), (round(longest * 683 / 1024), longest)
    rows, columns = np.mgrid[:683, :1024]
    disk = np.hypot(rows - 560.3, columns - 900.6) < 60
    scaled = rle_to_mask(sam._full_size(mask_to_rle(disk), shape, full), *full)
    before, after = (np.array(ndimage.center_of_mass(one)) + 0.5 for one in (disk, scaled))
    np.testing.assert_allclose(after, before * full / np.array(shape), atol=0.1)


def test_no_mask_is_laid_out_at_the_size_of_a_large_photograph() -> None:
    mask = np.zeros((768, 1024), dtype=bool)
    mask[300:310, 500:520] = True
    tracemalloc.start()
    sam._full_size(mask_to_rle(mask), mask.shape, (6000, 8000))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 6000 * 8000 / 10


@pytest.mark.parametrize(
    ("predicted_iou", "stability", "least_share", "shown"),
    [(0.4, 0.9, 0.01, 0), (0.6, 0.4, 0.01, 0), (1.03, 0.9, 0.01, 1), (1.03, 0.9, 0.05, 0)],  # it has 4% of the pixels
)
def test_a_refined_region_is_shown_where_sam_is_sure_enough_and_it_is_of_an_objects_size(
    monkeypatch: pytest.MonkeyPatch, predicted_iou: float, stability: float, least_share: float, shown: int
) -> None:
    one = found(40, predicted_iou, stability)
    monkeypatch.setattr(sam, "_refined", lambda *_: [one])
    drafts = [sam.Draft("coin", one.rle)]
    params = replace(PARAMS, points_per_side=1, min_area_share=least_share)
    asked = sam.ask("img", np.full((*SHAPE, 3), 90, dtype=np.uint8), params, drafts)
    table = sam.propose_regions(sam.load_sam("small"), "v", [asked], params)
    assert (table["source"] == "refined").sum() == shown
    assert table["predicted_iou"].between(0, 1).all()


@pytest.mark.parametrize(("layers", "width"), [(0, 1024), (1, 2048), (2, 3000)])
def test_an_image_keeps_the_pixels_that_its_tiles_can_show(layers: int, width: int) -> None:
    asked = sam.ask("img", np.zeros((60, 3000, 3), dtype=np.uint8), replace(PARAMS, tile_layers=layers))
    assert asked.pixels.shape[1] == width
    assert asked.size == (60, 3000)


@pytest.mark.parametrize("content", [None, b"garbage"])
def test_missing_or_damaged_weights_are_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "small_sam.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="missing or damaged; install datalab again") as caught:
        sam._load_small(path)
    assert "\n" not in str(caught.value)
