"""The step `propose`, with a SAM that encodes nothing and finds the left half of every image."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from segment_anything.modeling import Sam

from datalab.adapters import sam as sam_module
from datalab.adapters import sam_embed
from datalab.adapters.embedding_cache import Embedding, EmbeddingCache, embedding_bytes, image_hash
from datalab.adapters.files import read_table, write_bytes, write_label_map, write_table, write_text
from datalab.adapters.mask_generator import Pixels
from datalab.adapters.sam import Asked, Draft, ProposalParams, load_sam, model_version
from datalab.adapters.sam_adapted import write_decoder
from datalab.errors import InputError
from datalab.masks import mask_to_rle
from datalab.rounds.proposing import propose
from datalab.rounds.state import Round
from datalab.tables import CANDIDATES, CATALOG, CONSENSUS, DATASET, GATED_PROPOSALS, GOLD, ROUND_BATCH, ROUND_REVIEWS
from datalab.workspace import Workspace
from tests.rounds.labeling_round import CLASSES, ROOT

SIDE = 16
LEFT = np.arange(SIDE) < SIDE // 2
IMAGES = {"aided": 10, "unaided": 60, "mended": 110, "gold": 160, "other_gold": 210}
"""How bright each is; "other_gold" is not in the batch."""
HALVES: Embedding = np.zeros((128, 16, 16), dtype=np.float16)
HALVES[0, :, :8], HALVES[1, :, 8:] = 1, 1


@dataclass
class Seen:
    """What SAM was asked."""

    encoded: list[str] = field(default_factory=list)
    asked: dict[str, Asked] = field(default_factory=dict)
    versions: set[str] = field(default_factory=set)
    decoders: list[Any] = field(default_factory=list)


def half(left: bool = True) -> str:
    return mask_to_rle(np.tile(LEFT if left else ~LEFT, (SIDE, 1)))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """In place of SAM's encoder and of its looking for masks."""
    record = Seen()
    by_brightness = {value: name for name, value in IMAGES.items()}

    def embed(sam: Sam, pixels: Pixels) -> Embedding:
        record.encoded.append(by_brightness[int(pixels[0, 0, 0])])
        return HALVES

    def look(sam: Sam, version: str, asked: Sequence[Asked], params: ProposalParams) -> pd.DataFrame:
        assert isinstance(params, ProposalParams)
        record.versions.add(version)
        record.decoders.append(sam.mask_decoder.state_dict())
        record.asked.update({one.image_id: one for one in asked})
        rows = [
            (one.image_id, f"{one.image_id}-{left}", "", half(left), SIDE, SIDE, 0.9, 0.9, version, "sam")
            for one in asked
            for left in (True, False)
        ]
        return pd.DataFrame(rows, columns=list(CANDIDATES))

    monkeypatch.setattr(sam_embed, "embed_image", embed)
    monkeypatch.setattr(sam_module, "propose_regions", look)
    return record


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """On gold images the left half is a coin; of "mended" a reviewer sent the labels back; there is no model yet."""
    made = Workspace(tmp_path)
    switch_adaptation(made, is_on=True)
    write_text(made.guidelines / "classes.yaml", CLASSES)
    made.images.mkdir(parents=True)
    for name, brightness in IMAGES.items():
        Image.new("RGB", (SIDE, SIDE), (brightness,) * 3).save(made.images / f"{name}.png")
    hashes = (f"{15 << 4 * place:016x}" for place in range(len(IMAGES)))
    rows = [
        (one, f"{one}.png", f"{one}.png", SIDE, SIDE, phash, one) for one, phash in zip(IMAGES, hashes, strict=True)
    ]
    write_table(made.catalog, pd.DataFrame(rows, columns=list(CATALOG)))
    write_table(made.metadata, pd.DataFrame({"image_id": []}, dtype="str"))
    gold = [(one, f"{one}-t", "coin", half(), SIDE, SIDE) for one in ("gold", "other_gold")]
    write_table(made.gold, pd.DataFrame(gold, columns=list(GOLD)))
    drawn = [("mended", "mended-c", "cup", half(), SIDE, SIDE, 2, 2, 0.9)]
    write_table(made.consensus, pd.DataFrame(drawn, columns=list(CONSENSUS)))
    folder = made.round_folder(1)
    sent_back = [("r", "mended", "", "wrong class", "", "", "")]
    write_table(folder / "reviews.parquet", pd.DataFrame(sent_back, columns=list(ROUND_REVIEWS)))
    roles = {"gold": "gold"}
    batch = [
        (one, roles.get(one, "batch"), 1, rank, "default", one != "unaided")
        for rank, one in enumerate(("aided", "unaided", "mended", "gold"))
    ]
    write_table(folder / "batch.parquet", pd.DataFrame(batch, columns=list(ROUND_BATCH)))
    return made


def switch_adaptation(workspace: Workspace, is_on: bool) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["adapt"]["enabled"] = is_on
    write_text(workspace.params, yaml.safe_dump(params))


def proposed(workspace: Workspace) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """The facts, and the labels of each image's proposals."""
    facts = propose(workspace, Round(1, "g", "o"), lambda *_: None)
    table = read_table(workspace.round_folder(1) / "proposals.parquet", GATED_PROPOSALS)
    assert facts["proposals"] == len(table)
    return facts, {str(image_id): list(rows["label"]) for image_id, rows in table.groupby("image_id")}


def test_aided_images_of_the_batch_get_proposals_and_no_others(workspace: Workspace, seen: Seen) -> None:
    _, labels = proposed(workspace)
    # the right halves look like what is no object on gold
    assert labels == {"aided": ["coin"], "gold": ["coin"], "mended": ["cup"]}
    assert set(seen.asked) == {"aided", "gold", "other_gold"}
    assert {name: int(one.pixels[0, 0, 0]) for name, one in seen.asked.items()} == {
        name: IMAGES[name] for name in seen.asked
    }


@pytest.mark.slow
def test_it_tells_how_far_it_is(workspace: Workspace, seen: Seen) -> None:
    told: list[tuple[float, str]] = []
    propose(workspace, Round(1, "g", "o"), lambda share, words: told.append((share, words)))
    assert told == [(n / 3, f"proposing masks {n}/3") for n in (1, 2, 3)]


@pytest.mark.slow
def test_embeddings_come_from_the_cache(workspace: Workspace, seen: Seen) -> None:
    known: Embedding = HALVES[::-1].copy()
    digest, version = image_hash(workspace.images / "aided.png"), model_version("small")
    EmbeddingCache(workspace.embedding_cache).find_or_make(digest, version, lambda: known)
    proposed(workspace)
    assert sorted(seen.encoded) == ["gold", "other_gold"]
    assert seen.asked["aided"].embedding is not None
    np.testing.assert_array_equal(seen.asked["aided"].embedding, known)
    seen.encoded.clear()
    proposed(workspace)
    assert seen.encoded == []


@pytest.mark.slow
@pytest.mark.parametrize("damaged", ["gold", "aided"])
def test_an_embedding_that_is_damaged_or_missing_is_made_again(workspace: Workspace, seen: Seen, damaged: str) -> None:
    write_bytes(workspace.embeddings / f"{damaged}.npy", embedding_bytes(HALVES)[:60])
    proposed(workspace)
    seen.encoded.clear()
    path = EmbeddingCache(workspace.embedding_cache).path(
        image_hash(workspace.images / f"{damaged}.png"), model_version("small")
    )
    path.write_bytes(path.read_bytes()[:-1])
    _, labels = proposed(workspace)
    assert labels["aided"] == ["coin"]
    assert seen.encoded == [damaged]


@pytest.mark.slow
def test_the_adapted_decoder_is_used_where_it_was_kept(workspace: Workspace, seen: Seen) -> None:
    version = model_version("small")
    weights = {name: value * 2 for name, value in load_sam("small").mask_decoder.state_dict().items()}
    write_decoder(workspace.sam_decoder, weights, version)
    facts, _ = proposed(workspace)
    assert facts["sam"].startswith(f"{version}-adapted-")
    assert seen.versions == {facts["sam"]}
    for decoder in seen.decoders:
        assert all(value.equal(weights[name]) for name, value in decoder.items())


@pytest.mark.slow
def test_an_adapted_decoder_of_before_it_was_switched_off_is_not_used(workspace: Workspace, seen: Seen) -> None:
    weights = dict(load_sam("small").mask_decoder.state_dict())
    write_decoder(workspace.sam_decoder, weights, model_version("small"))
    switch_adaptation(workspace, is_on=False)
    facts, _ = proposed(workspace)
    assert seen.versions == {facts["sam"]} == {model_version("small")}


def test_without_an_adapted_decoder_it_is_the_checkpoints(workspace: Workspace, seen: Seen) -> None:
    write_decoder(workspace.sam_decoder, {}, model_version("small"))
    facts, _ = proposed(workspace)
    assert seen.versions == {facts["sam"]} == {model_version("small")}


def test_sam_refines_what_the_model_predicts_and_that_names_what_sam_finds(workspace: Workspace, seen: Seen) -> None:
    predicted = np.tile(np.where(LEFT, 2, 0).astype(np.uint8), (SIDE, 1))
    write_label_map(workspace.predictions / "aided.png", predicted)
    _, labels = proposed(workspace)
    assert seen.asked["aided"].drafts == [Draft("cup", half())]
    assert {len(one.drafts) for name, one in seen.asked.items() if name != "aided"} == {0}
    # gold came in after the model had predicted
    assert labels == {"aided": ["cup"], "gold": ["coin"], "mended": ["cup"]}


def test_a_prediction_of_another_size_than_its_image_is_refused(workspace: Workspace, seen: Seen) -> None:
    path = workspace.predictions / "aided.png"
    write_label_map(path, np.full((SIDE, 12), 2, dtype=np.uint8))
    with pytest.raises(InputError) as caught:
        proposed(workspace)
    assert str(caught.value) == f"{path} has 12 x 16 pixels, its image 16 x 16; run dvc repro"


def test_gold_of_another_size_than_its_image_is_refused(workspace: Workspace, seen: Seen) -> None:
    path = workspace.images / "other_gold.png"
    Image.new("RGB", (12, SIDE)).save(path)
    told = f"image other_gold has 16 x 16 pixels, {re.escape(str(path))} has 12 x 16; put the image back"
    with pytest.raises(InputError, match=told):
        proposed(workspace)
    assert not seen.asked


@pytest.mark.parametrize(
    ("section", "name", "value", "told"),
    [
        (
            "proposals",
            "min_area_share",
            0.9,
            r"proposals\.min_area_share 0\.9 is above max_area_share 0\.6: no mask would",
        ),
        ("proposal_gate", "accept_at", 1, r"proposal_gate\.accept_at must be below 1"),
    ],
)
def test_parameters_that_leave_nothing_are_refused(
    workspace: Workspace, section: str, name: str, value: float, told: str
) -> None:
    content = yaml.safe_load(workspace.params.read_text())
    content[section][name] = value
    write_text(workspace.params, yaml.safe_dump(content))
    with pytest.raises(InputError, match=told):
        proposed(workspace)


def test_gold_that_the_catalog_does_not_know_is_refused(workspace: Workspace, seen: Seen) -> None:
    catalog = read_table(workspace.catalog, CATALOG)
    write_table(workspace.catalog, catalog[~catalog["image_id"].isin(["gold", "other_gold"])])
    told = r"^gold has 2 images that the catalog has not \(gold, other_gold\); take data/catalog"
    with pytest.raises(InputError, match=told):
        proposed(workspace)
    write_table(workspace.gold, pd.DataFrame([(f"x{n}", "t", "", "", 1, 1) for n in range(6)], columns=list(GOLD)))
    with pytest.raises(InputError, match=r"^gold has 6 images that the catalog has not \(x0, x1, x2, x3, x4, \.\.\.\)"):
        proposed(workspace)


@pytest.mark.parametrize("rle", ["###", mask_to_rle(np.ones((SIDE, 12)))])
def test_gold_that_is_no_mask_of_its_size_is_refused(workspace: Workspace, seen: Seen, rle: str) -> None:
    table = read_table(workspace.gold, GOLD)
    write_table(workspace.gold, table.assign(rle=[rle, *table["rle"][1:]]))
    with pytest.raises(InputError, match="region gold-t of the gold is no mask of 16 x 16 pixels; make its gold mask"):
        proposed(workspace)


@pytest.mark.slow
@pytest.mark.parametrize(("split", "used"), [("train", False), ("validation", False), ("test", True)])
def test_a_model_that_has_learned_from_what_is_gold_by_now_is_left_out(
    workspace: Workspace, seen: Seen, split: str, used: bool
) -> None:
    """As after a round whose labels made no dataset."""
    weights = {name: value * 2 for name, value in load_sam("small").mask_decoder.state_dict().items()}
    write_decoder(workspace.sam_decoder, weights, model_version("small"))
    write_label_map(workspace.predictions / "aided.png", np.tile(np.where(LEFT, 2, 0).astype(np.uint8), (SIDE, 1)))
    write_text(workspace.dataset / "classes.json", '[{"id": 2, "name": "cup"}]')
    rows = [("gold", "gold.png", split, "g", 2), ("aided", "aided.png", "train", "a", 2)]
    write_table(workspace.dataset / "index.parquet", pd.DataFrame(rows, columns=list(DATASET)))
    facts, labels = proposed(workspace)
    assert (facts["sam"] != model_version("small")) is used
    assert bool(seen.asked["aided"].drafts) is used
    assert labels["aided"] == (["cup"] if used else ["coin"])
