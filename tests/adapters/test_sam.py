from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from segment_anything.modeling import Sam
from skimage import data

from datalab.adapters.sam import Draft, ProposalParams, ask, load_sam, model_version, propose_regions
from datalab.adapters.sam_embed import embed_image
from datalab.errors import InputError
from datalab.masks import iou_matrix, mask_to_rle, rle_area, rle_to_mask
from datalab.tables import CANDIDATES

PARAMS = ProposalParams(8, 0, 0.5, 0.5, 0.001, 0.6, 5, 0.0)


@pytest.fixture(scope="module")
def sam() -> Sam:
    return load_sam("small")


def disk_on_grey(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    y, x = np.mgrid[:height, :width]
    disk = np.hypot(y - height / 2, x - width / 2) < min(height, width) / 4
    noise = np.random.default_rng(0).normal(0, 4, (height, width, 3))
    picture = np.where(disk[..., None], [200.0, 60, 40], [90.0, 110, 120]) + noise
    return np.clip(picture, 0, 255).astype(np.uint8), disk


def test_the_small_sam_is_small(sam: Sam) -> None:
    assert sum(parameter.numel() for parameter in sam.parameters()) < 6_000_000


@pytest.mark.parametrize("size", [(200, 256), (300, 120)])
def test_a_plain_object_is_proposed(sam: Sam, size: tuple[int, int]) -> None:
    picture, disk = disk_on_grey(*size)
    table = propose_regions(sam, "v1", [ask("img", picture, PARAMS)], PARAMS)
    assert list(table.columns) == list(CANDIDATES)
    masks = [rle_to_mask(rle, *size) for rle in table["rle"]]
    assert max((mask & disk).sum() / (mask | disk).sum() for mask in masks) > 0.8
    assert table[["predicted_iou", "stability"]].to_numpy().min() >= 0.5
    assert table["region_id"].is_unique
    assert set(table["model_version"]) == {"v1"}


@pytest.mark.slow
@pytest.mark.parametrize("size", [(200, 256), (1300, 1100)])
def test_a_models_region_comes_as_it_is_and_refined(sam: Sam, size: tuple[int, int]) -> None:
    picture, disk = disk_on_grey(*size)
    box = np.zeros_like(disk)
    rows, columns = np.flatnonzero(disk.any(axis=1)), np.flatnonzero(disk.any(axis=0))
    box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    params = replace(PARAMS, points_per_side=1)
    table = propose_regions(sam, "v1", [ask("img", picture, params, [Draft("coin", mask_to_rle(box))])], params)
    model, refined = (table[table["source"] == source].iloc[0] for source in ("model", "refined"))
    assert (model["label"], refined["label"]) == ("coin", "coin")
    np.testing.assert_array_equal(rle_to_mask(model["rle"], *size), box)
    mask = rle_to_mask(refined["rle"], *size)
    assert (mask & disk).sum() / (mask | disk).sum() > 0.85  # the box itself has 0.79
    assert model["predicted_iou"] == pytest.approx((mask & box).sum() / (mask | box).sum())


@pytest.mark.slow
def test_no_object_is_proposed_twice_and_sizes_are_kept(sam: Sam) -> None:
    picture = np.asarray(data.coffee())
    height, width = picture.shape[:2]
    table = propose_regions(sam, "v1", [ask("img", picture, PARAMS)], PARAMS)
    assert len(table) <= PARAMS.max_regions
    overlap = iou_matrix(list(table["rle"]), list(table["rle"]), height, width)
    assert (overlap - np.eye(len(table))).max(initial=0) <= 0.76
    shares = [rle_area(rle, height, width) / (height * width) for rle in table["rle"]]
    assert all(0.0005 <= share <= 0.65 for share in shares)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(200, 256), (1500, 1100)])
def test_what_was_embedded_before_gives_the_same_proposals_and_is_not_encoded_again(
    sam: Sam, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(image: torch.Tensor) -> None:
        raise AssertionError("an image was encoded")

    picture, _ = disk_on_grey(*size)
    fresh = propose_regions(sam, "v", [ask("img", picture, PARAMS)], PARAMS)
    embedding = embed_image(sam, picture)
    monkeypatch.setattr(sam.image_encoder, "forward", refuse)
    again = propose_regions(sam, "v", [ask("img", picture, PARAMS, embedding=embedding)], PARAMS)
    assert len(again) == len(fresh) > 0
    assert iou_matrix(list(fresh["rle"]), list(again["rle"]), *size).diagonal().min() > 0.98


def test_a_panorama_is_no_problem(sam: Sam) -> None:
    picture = np.full((16, 20_000, 3), 90, np.uint8)
    assert embed_image(sam, picture).shape == (128, 16, 16)
    part = np.zeros((16, 20_000), dtype=bool)
    part[:, 4000:8000] = True
    asked = ask("img", picture, PARAMS, drafts=(Draft("wall", mask_to_rle(part)),))
    table = propose_regions(sam, "v1", [asked], replace(PARAMS, points_per_side=2))
    assert "model" in set(table["source"])
    assert all(rle_to_mask(rle, 16, 20_000).any() for rle in table["rle"])


def test_a_tiny_grey_image_is_no_problem(sam: Sam) -> None:
    asked = ask("img", np.full((1, 1, 3), 9, np.uint8), PARAMS, drafts=(Draft("dot", mask_to_rle(np.ones((1, 1)))),))
    assert "dot" in set(propose_regions(sam, "v1", [asked], PARAMS)["label"])


def test_the_version_names_the_bytes(tmp_path: Path) -> None:
    assert model_version("small").startswith("sam-small-")
    (tmp_path / "mine.pth").write_bytes(b"abc")
    assert model_version(str(tmp_path / "mine.pth")) == "sam-mine-ba7816bf"


def test_missing_and_foreign_checkpoints_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"does not exist; set sam\.checkpoint to the whole path"):
        load_sam(str(tmp_path / "no.pth"))
    with pytest.raises(InputError, match="does not exist"):
        model_version(str(tmp_path / "no.pth"))
    for name, content in (("garbage.pth", b"garbage"), ("empty.pth", b"")):
        (tmp_path / name).write_bytes(content)
        assert refused(tmp_path / name) == "torch cannot read it; download it again"
    others = ({"weights": torch.zeros(2)}, {"image_encoder.pos_embed": torch.zeros(1, 700)}, [1])
    for weights in others:
        torch.save(weights, tmp_path / "other.pth")
        assert refused(tmp_path / "other.pth") == "its weights are none of vit_b, vit_l, vit_h; download it again"


def refused(checkpoint: Path) -> str:
    """Why it is not loaded."""
    with pytest.raises(InputError) as caught:
        load_sam(str(checkpoint))
    return str(caught.value).removeprefix(f"{checkpoint} is no official Segment Anything checkpoint: ")


@pytest.mark.slow
def test_several_images_get_the_rows_that_each_gets_alone(sam: Sam) -> None:
    few = replace(PARAMS, points_per_side=4)
    asked = [
        ask(name, disk_on_grey(*size)[0], few) for name, size in (("a", (60, 90)), ("b", (1, 1)), ("c", (120, 80)))
    ]
    together = propose_regions(sam, "v1", asked, few)
    alone = pd.concat([propose_regions(sam, "v1", [one], few) for one in asked], ignore_index=True)
    assert {"a", "c"} <= set(together["image_id"])
    pd.testing.assert_frame_equal(together, alone, check_exact=False, rtol=1e-5, check_dtype=False)
