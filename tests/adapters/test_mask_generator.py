"""Against the generator and the helpers of segment_anything itself, on real photographs and random logits."""

import copy
import logging
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from segment_anything import SamAutomaticMaskGenerator, SamPredictor
from segment_anything.modeling import Sam
from segment_anything.utils.amg import (
    batched_mask_to_box,
    calculate_stability_score,
    coco_encode_rle,
    mask_to_rle_pytorch,
)
from skimage import data

from datalab.adapters import mask_grid
from datalab.adapters.mask_generator import (
    GeneratorParams,
    encode,
    generate_masks,
    generate_masks_together,
    images_at_once,
    masks_in_boxes,
)
from datalab.adapters.mask_windows import Enlarger, outline_to_rle
from datalab.adapters.sam import load_sam
from datalab.adapters.sam_decoder import Decoded, PointDecoder, decode_together
from datalab.errors import InputError
from datalab.masks import rle_to_mask

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


@pytest.fixture(scope="module")
def sam() -> Sam:
    return load_sam("small").requires_grad_(False)


@pytest.fixture
def own(sam: Sam) -> Sam:
    """A SAM that goes on with less once a GPU was full, which other tests need not."""
    return copy.deepcopy(sam)


def photograph(name: str, width: int, height: int) -> Pixels:
    picture = np.asarray(getattr(data, name)())
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def reference(sam: Sam, picture: Pixels, params: GeneratorParams) -> list[tuple[str, float, float, int]]:
    generator = SamAutomaticMaskGenerator(
        sam,
        points_per_side=params.points_per_side,
        pred_iou_thresh=params.min_predicted_iou,
        stability_score_thresh=params.min_stability,
        crop_n_layers=params.tile_layers,
        output_mode="coco_rle",
    )
    return [
        (one["segmentation"]["counts"], one["predicted_iou"], one["stability_score"], one["area"])
        for one in generator.generate(picture)
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "params"),
    [
        ("coffee", (240, 160), GeneratorParams(8, 0.4, 0.5, 0)),
        ("astronaut", (120, 200), GeneratorParams(8, 0.5, 0.7, 0)),
        ("rocket", (300, 200), GeneratorParams(4, 0.3, 0.5, 1)),
    ],
)
def test_masks_are_those_of_the_reference(sam: Sam, name: str, size: tuple[int, int], params: GeneratorParams) -> None:
    picture = photograph(name, *size)
    expected = reference(sam, picture, params)
    found = generate_masks(sam, picture, params)
    assert len(expected) >= 3
    assert [one.rle for one in found] == [rle for rle, *_ in expected]
    for one, (_, predicted_iou, stability, area) in zip(found, expected, strict=True):
        assert one.predicted_iou == pytest.approx(predicted_iou, abs=1e-5)
        assert one.stability == pytest.approx(stability, abs=1e-3)
        assert one.area == area


@pytest.mark.slow
def test_what_only_the_quarters_show_is_found_once(sam: Sam) -> None:
    """All four, of equal size, see the disc where they overlap; the whole image gives no mask."""
    picture, params = np.full((200, 200, 3), 90, dtype=np.uint8), GeneratorParams(6, 0.8, 0.75, 1)
    cv2.circle(picture, (100, 100), 10, (220, 200, 40), -1)
    assert generate_masks(sam, picture, replace(params, tile_layers=0)) == []
    assert [one.rle for one in generate_masks(sam, picture, params)] == [
        one[0] for one in reference(sam, picture, params)
    ]


@pytest.mark.slow
def test_nothing_good_enough_is_no_mask(sam: Sam) -> None:
    assert generate_masks(sam, photograph("coffee", 60, 40), GeneratorParams(3, 0.999, 0.5, 1)) == []


def test_the_decoder_is_the_official_one(sam: Sam) -> None:
    torch.manual_seed(1)
    predictor = SamPredictor(sam)
    predictor.set_image(photograph("chelsea", 90, 60))
    points = torch.rand(7, 2) * 160
    with torch.no_grad():
        labels = torch.ones(7, 1, dtype=torch.int)
        _, iou, logits = predictor.predict_torch(points[:, None], labels, return_logits=True)
        decoder = PointDecoder(sam, predictor.features)
        decoded = decoder.decode(points)
        some = torch.tensor([5, 0, 2])
        torch.testing.assert_close(decoded.predicted_iou, iou, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(decoder.masks(decoded, some), logits[some], atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 900), (700, 1)])
def test_odd_sizes_with_tiles_are_no_problem(sam: Sam, size: tuple[int, int]) -> None:
    generate_masks(sam, np.full((*size, 3), 90, dtype=np.uint8), GeneratorParams(2, 0.1, 0.1, 1))


def test_masks_in_boxes_are_those_of_the_predictor(sam: Sam) -> None:
    picture = photograph("astronaut", 90, 120)
    boxes = np.array([[10.0, 5, 80, 110], [0, 0, 30, 40], [40, 60, 41, 61]])
    encoded = encode(sam, picture)
    expected = [encoded.predict(box=box, multimask_output=False) for box in boxes]
    for one, (masks, iou, _) in zip(masks_in_boxes(encoded, boxes), expected, strict=True):
        np.testing.assert_array_equal(rle_to_mask(one.rle, 120, 90), masks[0])
        assert one.predicted_iou == pytest.approx(float(iou[0]), abs=1e-5)


@pytest.mark.parametrize(("height", "width"), [(256, 171), (100, 150), (600, 377), (3, 1), (1, 300)])
@pytest.mark.parametrize("scale", [0.4, 3.0])
def test_a_window_is_cut_from_what_the_reference_enlarges(sam: Sam, height: int, width: int, scale: float) -> None:
    rng = np.random.default_rng(height)
    noise = cv2.GaussianBlur(rng.normal(0, 1, (64, 64)).astype(np.float32), (0, 0), scale) * 12 * scale
    noise[rng.integers(64) :, :] -= 20
    longest = max(height, width)
    used = (int(height * 256 / longest + 0.5), int(width * 256 / longest + 0.5))
    full = sam.postprocess_masks(torch.from_numpy(noise)[None, None], used, (height, width))[0]
    outline = Enlarger((64, 64), 256, used, (height, width)).outline(noise, 0.0, 1.0)
    mask = full > 0
    assert outline_to_rle(outline, (0, 0, width, height), height, width) == coco_encode_rle(
        mask_to_rle_pytorch(mask)[0]
    )["counts"]  # fmt: skip
    assert list(outline.box) == batched_mask_to_box(mask)[0].tolist()
    assert outline.area == int(mask.sum())
    np.testing.assert_allclose(outline.stability, calculate_stability_score(full, 0.0, 1.0)[0].item(), atol=1e-3)


@pytest.mark.parametrize("tile", [(0, 0, 5, 4), (3, 2, 8, 6), (3, 0, 8, 7), (0, 3, 11, 7)])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95, 1.0])
def test_a_tile_finds_its_place_in_the_image(tile: tuple[int, int, int, int], share: float) -> None:
    height, width = 7, 11
    rng = np.random.default_rng(2)
    rows, columns = tile[3] - tile[1], tile[2] - tile[0]
    logits = np.where(rng.random((rows, columns)) < share, 9.0, -9.0).astype(np.float32)
    enlarger = Enlarger((rows, columns), 32, (32, 32), (rows, columns))
    full = torch.zeros(1, height, width, dtype=torch.bool)
    cells = torch.from_numpy(logits)[None, None]
    large = torch.nn.functional.interpolate(cells, size=(32, 32), mode="bilinear", align_corners=False)
    small = torch.nn.functional.interpolate(large, size=(rows, columns), mode="bilinear", align_corners=False)
    full[0, tile[1] : tile[3], tile[0] : tile[2]] = small[0, 0] > 0
    found = outline_to_rle(enlarger.outline(logits, 0.0, 1.0), tile, height, width)
    assert found == coco_encode_rle(mask_to_rle_pytorch(full)[0])["counts"]


def test_a_full_gpu_halves_the_batch_and_says_so(
    own: Sam, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    picture, params = photograph("coffee", 120, 80), GeneratorParams(5, 0.3, 0.3, 0)
    expected = generate_masks(own, picture, params)
    decode = decode_together

    def too_much(decoders: Sequence[PointDecoder], points: Sequence[torch.Tensor]) -> Decoded:
        if sum(map(len, points)) > 6:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return decode(decoders, points)

    monkeypatch.setattr("datalab.adapters.mask_grid.decode_together", too_much)
    monkeypatch.setitem(mask_grid.PLACES_PER_BATCH, encode(own, picture).device.type, 20 * 256)
    with caplog.at_level(logging.WARNING):
        found = generate_masks(own, picture, params)
    assert [one.rle for one in found] == [one.rle for one in expected]
    assert "going on with 5 prompts at a time" in caplog.text


def test_a_full_gpu_halves_the_boxes_and_says_so(
    own: Sam, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    encoded = encode(own, photograph("coffee", 120, 80))
    boxes = np.random.default_rng(0).uniform([0, 0, 60, 40], [50, 30, 120, 80], (20, 4))
    expected = masks_in_boxes(encoded, boxes)
    decode = own.mask_decoder.forward

    def too_much(**asked: torch.Tensor) -> object:
        if len(asked["sparse_prompt_embeddings"]) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return decode(**asked)

    monkeypatch.setattr(own.mask_decoder, "forward", too_much)
    found = masks_in_boxes(encoded, boxes)
    assert [one.rle for one in found] == [one.rle for one in expected]
    assert "going on with 4 boxes at a time" in caplog.text


def test_an_image_that_does_not_fit_beside_others_is_encoded_after_them(
    own: Sam, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    forward, full = own.image_encoder.forward, iter((True, False))

    def encoder(squares: torch.Tensor) -> object:
        if next(full):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(squares)

    picture = photograph("coffee", 60, 40)
    expected = encode(own, picture).features
    monkeypatch.setattr(own.image_encoder, "forward", encoder)
    torch.testing.assert_close(encode(own, picture).features, expected)
    assert "going on with images while nothing else is on it" in caplog.text


def test_memory_that_one_prompt_fills_is_an_error(own: Sam, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_much(decoders: Sequence[PointDecoder], points: Sequence[torch.Tensor]) -> Decoded:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("datalab.adapters.mask_grid.decode_together", too_much)
    with pytest.raises(InputError, match="holds not even one of the prompts; end what else runs on the GPU"):
        generate_masks(own, photograph("coffee", 60, 40), GeneratorParams(2, 0.3, 0.3, 0))


def test_an_image_that_comes_with_its_embedding_is_not_encoded_again(sam: Sam, monkeypatch: pytest.MonkeyPatch) -> None:
    picture, params = photograph("coffee", 60, 40), GeneratorParams(2, 0.1, 0.1, 0)
    encoded, alone = encode(sam, picture), generate_masks(sam, picture, params)

    def refuse(sam: Sam, pixels: Pixels) -> SamPredictor:
        raise AssertionError("the image was encoded")

    monkeypatch.setattr("datalab.adapters.mask_generator.encode", refuse)
    assert generate_masks(sam, picture, params, encoded) == alone


def test_a_batch_holds_as_many_images_as_their_grids_fill() -> None:
    on_cpu = load_sam("small").cpu()
    assert [images_at_once(on_cpu, side) for side in (2, 4, 8, 12)] == [16, 4, 1, 1]


@pytest.mark.slow
@pytest.mark.parametrize("tile_layers", [0, 1])
def test_images_that_share_batches_get_the_masks_they_get_alone(sam: Sam, tile_layers: int) -> None:
    params = GeneratorParams(4, 0.3, 0.4, tile_layers)
    pictures = [photograph("coffee", 120, 80), photograph("astronaut", 60, 100), photograph("rocket", 90, 90)]
    assert images_at_once(sam, params.points_per_side) > 2
    together = generate_masks_together(sam, pictures, params, [None, encode(sam, pictures[1]), None])
    for found, picture in zip(together, pictures, strict=True):
        alone = generate_masks(sam, picture, params)
        assert [(one.rle, one.box, one.area) for one in found] == [(one.rle, one.box, one.area) for one in alone]
        np.testing.assert_allclose(
            [one.predicted_iou for one in found], [one.predicted_iou for one in alone], atol=1e-5
        )
    assert sum(map(len, together)) > 5


def band(rows: int, inside: float, edge: float, outside: float) -> torch.Tensor:
    """(1, 64, 64) logits of so many rows from side to side, with a row of `edge` on either side."""
    logits = torch.full((1, 64, 64), outside, dtype=torch.float32)
    logits[:, 9 : 11 + rows] = edge
    logits[:, 10 : 10 + rows] = inside
    return logits


@pytest.mark.parametrize("used", [(256, 256), (60, 256), (256, 171)])
@pytest.mark.parametrize(
    "logits", [band(3, 8, -0.9, -8), band(2, 8, -0.9, -8), band(4, 4, -0.9, -4), band(9, 2, 0.5, -2)]
)
def test_no_mask_that_is_stable_is_dropped_before_it_is_enlarged(logits: torch.Tensor, used: tuple[int, int]) -> None:
    outline = Enlarger((64, 64), 256, used, used).outline(logits[0].numpy(), 0.0, mask_grid.STABILITY_OFFSET)
    shares = tuple(mask_grid._shares(64, side / 4) for side in used)
    assert mask_grid._may_be_stable(logits, shares, 0.0, outline.stability).tolist() == [True]


def test_a_mask_far_from_stable_is_dropped_before_it_is_enlarged() -> None:
    """Twenty rows of which SAM is unsure about two that it is sure of."""
    logits = band(20, -0.5, -0.9, -8)
    logits[:, 15:17] = 8
    shares = (mask_grid._shares(64, 64), mask_grid._shares(64, 64))
    assert mask_grid._may_be_stable(logits, shares, 0.0, 0.75).tolist() == [False]


def test_padding_does_not_count() -> None:
    assert mask_grid._shares(3, 3).tolist() == [0.5, 1, 1, 0.5]
    assert mask_grid._shares(3, 1.75).tolist() == [0.5, 1, 0.25, 0]
