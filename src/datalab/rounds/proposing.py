"""The masks a round starts from: SAM proposes shapes, the model or gold tells their class."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from datalab.adapters.checkpoints import SamParams
from datalab.adapters.dataset_folder import read_dataset
from datalab.adapters.embedding_cache import Embedding, EmbeddingCache, image_hash
from datalab.adapters.files import read_image_size, read_label_map, read_rgb, read_table, write_table
from datalab.adapters.image_groups import load_rules, read_groups
from datalab.config import Guidelines, load_guidelines, load_number, load_params
from datalab.errors import InputError
from datalab.learning.components import predicted_regions
from datalab.learning.embeddings import Vector, region_vector
from datalab.learning.gate import GateParams
from datalab.learning.prototypes import fit_prototypes, nearest_label
from datalab.masks import label_map, rle_fits, rle_to_crop
from datalab.quality.gold_ledger import sound_gold
from datalab.rounds.gating import gate_proposals
from datalab.rounds.living_gold import read_events
from datalab.rounds.mending import regions_to_mend
from datalab.rounds.progress import Progress
from datalab.rounds.reviewing import round_requests
from datalab.rounds.state import Round
from datalab.tables import CANDIDATES, CATALOG, GOLD, REFINED, ROUND_BATCH, empty
from datalab.workspace import Workspace

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

    from datalab.adapters.sam import Draft, ProposalParams

Embedder = Callable[[str], Embedding]
"""SAM's embedding (C, h, w) of an image by its id."""
Labels = dict[Any, str | None]
"""By a row's place in its table: a class, "" for background, or None where nothing tells."""
LISTED = 5
"""Images that an error lists."""


def propose(workspace: Workspace, state: Round, progress: Progress) -> dict[str, Any]:
    """Write proposals.parquet: masks for every image of the batch that gets any, each with a class.

    Before there is a model they are SAM's; later the model's regions, as they are and as SAM refines them, compete with
    them. SAM looks at the gold images too, whether they are in the batch or not: the gate is calibrated on them. A
    model that has learned from one of them is left out (`_learned_from`). InputError where gold or a prediction has
    another size than its image.
    """
    from datalab.adapters.mask_generator import images_at_once  # noqa: PLC0415  (torch)
    from datalab.adapters.sam import Asked, ProposalParams, ask, load_sam, model_version, propose_regions  # noqa: PLC0415
    from datalab.adapters.sam_adapted import take_decoder  # noqa: PLC0415
    from datalab.adapters.torch_threads import side_by_side  # noqa: PLC0415

    params = load_params(workspace.params, "proposals", ProposalParams)
    checkpoint = load_params(workspace.params, "sam", SamParams).checkpoint
    gate = load_params(workspace.params, "proposal_gate", GateParams)
    _check_params(params, gate)
    guidelines = load_guidelines(workspace.guidelines)
    folder = workspace.round_folder(state.number)
    gold = _sound_gold(workspace)
    batch = read_table(folder / "batch.parquet", ROUND_BATCH)
    mended = regions_to_mend(workspace, round_requests(folder))
    aided = list(batch.loc[batch["aided"].astype(bool) & ~batch["image_id"].isin(mended["image_id"]), "image_id"])
    image_ids = list(dict.fromkeys([*aided, *gold["image_id"]]))
    images = _image_files(workspace)
    _check_gold(gold, images)
    sam, encoder = load_sam(checkpoint), model_version(checkpoint)
    fair = not _learned_from(workspace, gold)
    # a decoder of before it was switched off has not forgotten what has become gold since
    adapts = load_number(workspace.params, "adapt", "enabled", bool)
    version = take_decoder(sam, encoder, workspace.sam_decoder) if fair and adapts else encoder
    embedding_of = _embedder(workspace, images, sam, encoder)

    def look(some: list[str]) -> pd.DataFrame:
        return propose_regions(sam, version, [asked(one) for one in some], params)

    def asked(image_id: str) -> Asked:
        embedding = embedding_of(image_id)  # first: it may read the image by itself
        pixels = read_rgb(images[image_id])
        drafts = _drafts(workspace, image_id, pixels.shape[:2], guidelines, params) if fair else []
        return ask(image_id, pixels, params, drafts, embedding)

    size = images_at_once(sam, params.points_per_side)
    tables: list[pd.DataFrame] = [empty(CANDIDATES)]
    for table in side_by_side(look, [image_ids[start : start + size] for start in range(0, len(image_ids), size)]):
        done = min(size * len(tables), len(image_ids))
        tables.append(table)
        progress(done / len(image_ids), f"proposing masks {done}/{len(image_ids)}")
    found = pd.concat(tables, ignore_index=True)
    groups = read_groups(set(gold["image_id"]), workspace.catalog, workspace.metadata, load_rules(workspace.params))
    labelled = label_proposals(workspace, found, guidelines, params.class_margin, embedding_of, groups)
    shown, facts = gate_proposals(labelled, set(aided), gold, gate, params.max_regions, groups)
    shown = pd.concat([shown, mended], ignore_index=True)
    write_table(folder / "proposals.parquet", shown)
    return {"proposals": len(shown), "sam": version, "proposal_gate": facts}


def _check_params(params: "ProposalParams", gate: GateParams) -> None:
    if params.min_area_share > params.max_area_share:
        raise InputError(
            f"proposals.min_area_share {params.min_area_share:g} is above max_area_share {params.max_area_share:g}: no "
            "mask would fit; lower it"
        )
    if gate.accept_at >= 1:
        raise InputError("proposal_gate.accept_at must be below 1: no number of proposals would bear it out")


def _image_files(workspace: Workspace) -> dict[str, Path]:
    """By image_id."""
    catalog = read_table(workspace.catalog, CATALOG)
    return {one: workspace.images / file for one, file in zip(catalog["image_id"], catalog["file"], strict=True)}


def _check_gold(gold: pd.DataFrame, images: Mapping[str, Path]) -> None:
    """InputError where gold has no image in the catalog or another size than it, or what is no mask of that size."""
    _check_known(sorted(set(gold["image_id"]) - set(images)))
    sizes = {image_id: read_image_size(images[image_id]) for image_id in dict.fromkeys(gold["image_id"])}
    for row in gold.to_dict("records"):
        size, path = (int(row["height"]), int(row["width"])), images[row["image_id"]]
        if size != sizes[row["image_id"]]:
            raise InputError(
                f"the gold mask of image {row['image_id']} has {_shown(size)} pixels, {path} has "
                f"{_shown(sizes[row['image_id']])}; put the image back, or make its gold mask again"
            )
        if row["rle"] and not rle_fits(row["rle"], *size):
            raise InputError(
                f"region {row['region_id']} of the gold is no mask of {_shown(size)} pixels; make its gold mask again"
            )


def _check_known(unknown: list[str]) -> None:
    if unknown:
        listed = f"{', '.join(unknown[:LISTED])}{', ...' if len(unknown) > LISTED else ''}"
        raise InputError(
            f"gold has {len(unknown)} images that the catalog has not ({listed}); take data/catalog.parquet.dvc and "
            "data/gold.parquet.dvc from one commit, then dvc checkout both"
        )


def _shown(size: tuple[int, ...]) -> str:
    """(height, width) as people write it."""
    return f"{size[1]} x {size[0]}"


def _embedder(workspace: Workspace, images: Mapping[str, Path], sam: "Sam", encoder: str) -> Embedder:
    """The embedding of an image by its id; the image is encoded only where this machine has no sound one.

    Not those of the workspace: gold may have been added on images since the stage `embed` looked.
    """
    from datalab.adapters.sam_embed import embed_image  # noqa: PLC0415  (torch)

    cache = EmbeddingCache(workspace.embedding_cache)

    def embedding_of(image_id: str) -> Embedding:
        path = images[image_id]
        return cache.find_or_make(image_hash(path), encoder, lambda: embed_image(sam, read_rgb(path)))

    return embedding_of


def _drafts(
    workspace: Workspace, image_id: str, size: tuple[int, ...], guidelines: Guidelines, params: "ProposalParams"
) -> "list[Draft]":
    """The regions of the model's prediction on an image of `size` (height, width); none before there is a model."""
    from datalab.adapters.sam import Draft  # noqa: PLC0415  (torch)

    if not _prediction(workspace, image_id).exists():
        return []
    names = {item.id: item.name for item in guidelines.classes}
    predicted = _predicted(workspace, image_id, size)
    found = predicted_regions(predicted, names, params.min_area_share, params.max_area_share, params.max_regions)
    return [Draft(label, rle) for label, rle in found]


def _prediction(workspace: Workspace, image_id: str) -> Path:
    return workspace.predictions / f"{image_id}.png"


def _predicted(workspace: Workspace, image_id: str, size: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """The prediction (H, W) uint8 of an image; InputError where it is not of the image's `size` (height, width)."""
    path = _prediction(workspace, image_id)
    predicted = read_label_map(path)
    if predicted.shape != size:
        raise InputError(f"{path} has {_shown(predicted.shape)} pixels, its image {_shown(size)}; run dvc repro")
    return predicted


def _learned_from(workspace: Workspace, gold: pd.DataFrame) -> bool:
    """Whether the model and SAM's decoder have learned from an image that is gold by now.

    Choosing has both forget it, but not after a round whose labels made no dataset: the ones of before are still there.
    """
    if not workspace.dataset.exists():
        return False
    index = read_dataset(workspace.dataset).index
    return bool(index.loc[index["split"] != "test", "image_id"].isin(gold["image_id"]).any())


def _sound_gold(workspace: Workspace) -> pd.DataFrame:
    return sound_gold(read_table(workspace.gold, GOLD), read_events(workspace))


def label_proposals(
    workspace: Workspace,
    proposals: pd.DataFrame,
    guidelines: Guidelines,
    least_margin: float,
    embedding_of: Embedder,
    groups: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Give each proposal that has none a class and drop those that lie on background.

    What SAM made of a region of the prediction gets its class anew: of a rim it makes the whole object. By the model's
    prediction where the image has one and no gold image taught it, else by the nearest class of the gold regions in
    SAM's embedding; where there is no gold, it is the class of the guidelines if they have a single one. Where the best
    class leads the second by less than `least_margin` (of the region's pixels, or of the neighbours' weight), or
    nothing tells, the label stays "": the region is for people to name. `groups`: of each gold image that hangs
    together with others, by image_id.
    """
    nameless = proposals[(proposals["label"] == "") | (proposals["source"] == REFINED)]
    # an image may be younger than the model's predictions
    fair = not _learned_from(workspace, _sound_gold(workspace))
    predicted = np.array([fair and _prediction(workspace, one).exists() for one in nameless["image_id"]], dtype=bool)
    labels = {
        **_labels_from_predictions(workspace, nameless[predicted], guidelines, least_margin),
        **_labels_from_gold(workspace, nameless[~predicted], guidelines, least_margin, embedding_of, groups or {}),
    }
    background = [place for place, label in labels.items() if label == ""]
    named = proposals.copy()
    named.loc[list(labels), "label"] = [label or "" for label in labels.values()]
    return named.drop(index=background).reset_index(drop=True)


def _labels_from_predictions(
    workspace: Workspace, proposals: pd.DataFrame, guidelines: Guidelines, least_margin: float
) -> Labels:
    names = {0: "", **{item.id: item.name for item in guidelines.classes}}
    labels: Labels = {}
    for image_id, rows in proposals.groupby("image_id", sort=False):
        predicted = _predicted(workspace, str(image_id), (rows["height"].iloc[0], rows["width"].iloc[0]))
        for place, row in zip(rows.index, rows.to_dict("records"), strict=True):
            top, left, crop = rle_to_crop(row["rle"], row["height"])
            inside = predicted[top:, left:][: crop.shape[0], : crop.shape[1]][crop]
            if row["source"] == REFINED:  # that there is an object is known, and the model may have seen half of it
                inside = inside[inside > 0]
            shares = np.bincount(inside, minlength=256) / max(1, len(inside))
            second, best = np.sort(shares)[-2:]
            labels[place] = None if best - second < least_margin else names.get(int(shares.argmax()), "")
    return labels


def _labels_from_gold(
    workspace: Workspace,
    proposals: pd.DataFrame,
    guidelines: Guidelines,
    least_margin: float,
    embedding_of: Embedder,
    groups: Mapping[str, str],
) -> Labels:
    """A gold image's own objects, and its group's, are left out for its proposals: nobody else's proposals know the
    truth either."""
    if proposals.empty:
        return {}
    gold = _sound_gold(workspace)
    regions = gold[gold["label"].isin(guidelines.names)].reset_index(drop=True)
    background = _background_vectors(gold, embedding_of)
    vectors = np.array([*_region_vectors(regions, embedding_of), *background.values()])
    labels = np.array([*regions["label"], *[""] * len(background)], dtype=object)
    sources = np.array([groups.get(one, one) for one in (*regions["image_id"], *background)], dtype=object)
    found: Labels = {}
    for image_id, rows in proposals.groupby("image_id"):
        known = sources != groups.get(str(image_id), str(image_id))
        named: list[str | None] = [guidelines.names[0] if len(guidelines.names) == 1 else None] * len(rows)
        if (known & (labels != "")).any():
            prototypes = fit_prototypes(vectors[known], list(labels[known]))
            named = nearest_label(np.stack(_region_vectors(rows, embedding_of)), prototypes, least_margin)
        found.update(zip(rows.index, named, strict=True))
    return found


def _region_vectors(regions: pd.DataFrame, embedding_of: Embedder) -> list[Vector]:
    """In the order of `regions`; each image's embedding is opened once, and one of them at a time."""
    vectors: dict[Any, Vector] = {}
    for image_id, rows in regions.groupby("image_id"):
        embedding = embedding_of(str(image_id))
        for place, row in zip(rows.index, rows.to_dict("records"), strict=True):
            top, left, crop = rle_to_crop(row["rle"], row["height"])
            vectors[place] = region_vector(embedding, crop, top, left, row["height"], row["width"])
    return [vectors[place] for place in regions.index]


def _background_vectors(gold: pd.DataFrame, embedding_of: Embedder) -> dict[str, Vector]:
    """One vector per gold image: what lies outside every object."""
    vectors = {}
    for image_id, rows in gold.groupby("image_id"):
        height, width = int(rows["height"].iloc[0]), int(rows["width"].iloc[0])
        outside = label_map(((1, rle) for rle in rows["rle"] if rle), height, width) == 0
        if outside.any():
            vectors[str(image_id)] = region_vector(embedding_of(str(image_id)), outside, 0, 0, height, width)
    return vectors
