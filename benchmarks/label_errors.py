"""Label errors planted into real masks, and found again by models that have not seen them: average precision.

A twentieth of the objects of magnetic_tile and CamVid is swapped, dropped, shifted, dilated or eroded. Images are
ranked by their worst suspect; the peers rank them by cleanlab's softmin and by ObjectLab on the same out-of-fold
predictions. `votes`: three people name the class of every object, and each is wrong now and then; objects are ranked by
how surely the class of most is wrong, by CROWDLAB and by the share of people who agree.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage
from sklearn.metrics import average_precision_score

from datalab.adapters.files import read_label_map, read_rgb, write_label_map
from datalab.adapters.sam import load_sam
from datalab.adapters.sam_embed import embed_image
from datalab.adapters.segmenter_folds import out_of_fold
from datalab.adapters.segmenter_samples import Sample, read_sample
from datalab.config import load_params
from datalab.learning.folds import assign_folds
from datalab.masks import IGNORE_ID, BoolMask
from datalab.quality.label_errors import Suspect, calibrate, find_suspects, image_quality
from datalab.quality.object_lab import image_doubt, object_lab, pair_objects
from datalab.quality.vote_doubts import Voted, vote_doubts
from datalab.stages.train import Params as TrainParams
from datalab.stages.train import load_policy, recipe_of
from measure import parser_of

SHARED = Path(os.environ.get("DATALAB_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
KINDS = ("swapped", "dropped", "shifted", "dilated", "eroded")
SHARE = 0.05
LEAST_AREA = 20
"""Pixels of the prediction: at 480 x 360 an object of 17 x 17 pixels."""
SAME = 0.25
"""IoU of a suspect with a planted error from which it counts as found."""
FOLDS = 2
SLIPS = {"ann": 0.05, "bob": 0.15, "cy": 0.3}
"""How often each of three people names another class."""
SCHEDULES = {"magnetic_tile": (200, 0.5), "camvid": (300, 0.0)}
"""Steps, and the exponent of the class weights: without them the tiles' few defect pixels are not learned at all."""
PARAMS = Path(__file__).parents[1] / "params.yaml"


@dataclass(frozen=True)
class Photograph:
    """One image, its true label map of class positions (255 unknown) and its source."""

    name: str
    image: Path
    truth: npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Planted:
    """One error: its kind and the pixels of the object before and after. Compared by identity: arrays have no truth."""

    kind: str
    before: BoolMask
    after: BoolMask


def magnetic_tile(count: int) -> list[Photograph]:
    """`count` defective tiles, one class per folder, evenly over the classes."""
    folder = SHARED / "magnetic_tile"
    classes = sorted(path.name for path in (folder / "masks").iterdir() if path.name != "free")
    found = []
    for position, name in enumerate(classes, start=1):
        for mask in sorted((folder / "masks" / name).iterdir())[: count // len(classes)]:
            image = next((folder / "images" / name).glob(f"{mask.stem}.*"))
            truth = np.where(read_label_map(mask) > 127, position, 0).astype(np.uint8)
            found.append(Photograph(f"{name}-{mask.stem}", image, truth))
    return found


def camvid(count: int) -> list[Photograph]:
    """Every so-manieth frame; all classes are objects, what is unlabelled is not judged."""
    folder = SHARED / "camvid" / "train"
    masks = sorted((folder / "masks").glob("*.png"))
    found = []
    for mask in masks[:: max(1, len(masks) // count)][:count]:
        raw = read_label_map(mask)
        truth = np.where(raw == 11, IGNORE_ID, raw + 1).astype(np.uint8)
        found.append(Photograph(mask.stem, next((folder / "images").glob(f"{mask.stem}.*")), truth))
    return found


THINGS = {"magnetic_tile": (1, 2, 3, 4, 5), "camvid": (7, 9, 10, 11)}
"""Class positions whose connected pixels are objects: of CamVid sign, car, pedestrian, bicyclist."""
READERS = {"magnetic_tile": magnetic_tile, "camvid": camvid}


def objects_of(truth: npt.NDArray[np.uint8], things: tuple[int, ...], least: int) -> Iterator[tuple[int, BoolMask]]:
    """(class position, mask) of every object of at least `least` pixels."""
    for position in things:
        numbered, count = ndimage.label(truth == position, structure=np.ones((3, 3)))
        areas = np.bincount(numbered.ravel())
        yield from ((position, numbered == number) for number in range(1, count + 1) if areas[number] >= least)


def plant(
    truth: npt.NDArray[np.uint8],
    position: int,
    mask: BoolMask,
    kind: str,
    things: tuple[int, ...],
    rng: np.random.Generator,
) -> Planted:
    """Spoil one object of `truth` in place. A hole is filled with what lies around the object."""
    side = float(np.sqrt(mask.sum()))
    step = max(3, round(0.3 * side))
    ring = ndimage.binary_dilation(mask, iterations=3) & ~mask & (truth != IGNORE_ID)
    around = int(np.bincount(truth[ring]).argmax()) if ring.any() else 0
    after = mask
    if kind == "shifted":
        angle = rng.uniform(0, 2 * np.pi)
        moved = ndimage.shift(mask.astype(np.uint8), (1.5 * step * np.sin(angle), 1.5 * step * np.cos(angle)), order=0)
        after = moved.astype(bool)
    elif kind == "dilated":
        after = ndimage.binary_dilation(mask, iterations=step)
    elif kind == "eroded":
        deep = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        after = deep > 0.5 * deep.max()
    elif kind == "dropped":
        after = np.zeros_like(mask)
    truth[mask] = around
    others = [each for each in things if each != position]
    truth[after & (truth != IGNORE_ID)] = int(rng.choice(others)) if kind == "swapped" else position
    return Planted(kind, mask, after)


def spoil(
    photographs: list[Photograph], things: tuple[int, ...], least: int, rng: np.random.Generator
) -> tuple[list[npt.NDArray[np.uint8]], dict[int, list[Planted]], int]:
    """Spoiled label maps, what was planted by image, and the number of objects."""
    maps = [one.truth.copy() for one in photographs]
    found = [(place, *each) for place, one in enumerate(maps) for each in objects_of(one, things, least)]
    chosen = rng.permutation(len(found))[: max(len(KINDS), round(SHARE * len(found)))]
    planted: dict[int, list[Planted]] = {}
    for turn, number in enumerate(chosen):
        place, position, mask = found[number]
        error = plant(maps[place], position, mask, KINDS[turn % len(KINDS)], things, rng)
        planted.setdefault(place, []).append(error)
    return maps, planted, len(found)


def read_samples(
    photographs: list[Photograph], maps: list[npt.NDArray[np.uint8]], classes: int, cache: Path
) -> list[Sample]:
    """Samples at working size; embeddings are kept in `cache`."""
    sam = load_sam("small")
    samples = []
    for one, labels in zip(photographs, maps, strict=True):
        path = cache / f"{one.image.parent.name}-{one.image.stem}.npy"
        if not path.exists():
            np.save(path, embed_image(sam, read_rgb(one.image)))
        with tempfile.TemporaryDirectory() as folder:
            write_label_map(Path(folder) / "labels.png", labels)
            samples.append(read_sample(one.image, path, 256, Path(folder) / "labels.png", tuple(range(classes))))
    return samples


def is_hit(suspect: Suspect, planted: Planted, size: tuple[int, int]) -> bool:
    """Whether the suspect, of a label map of `size`, lies on the object, as it was or as it is now."""
    drawn = np.zeros(size, dtype=bool)
    drawn[suspect.where] = suspect.mask
    for mask in (planted.before, planted.after):
        small = cv2.resize(mask.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA) >= 0.5
        union = (small | drawn).sum()
        if union and (small & drawn).sum() / union >= SAME:
            return True
    return False


def object_precision(
    suspects: list[tuple[int, Suspect]], planted: dict[int, list[Planted]], sizes: list[tuple[int, int]]
) -> tuple[float, dict[str, float]]:
    """Average precision of the suspects, best first, and the share of each kind found among the first 2 x planted.

    A planted error counts once; a second suspect on it is neither right nor wrong.
    """
    total = sum(map(len, planted.values()))
    open_ones = {place: list(errors) for place, errors in planted.items()}
    hits, seen, area, early = 0, 0, 0.0, []
    for place, suspect in sorted(suspects, key=lambda each: -each[1].score):
        match = next((error for error in open_ones.get(place, []) if is_hit(suspect, error, sizes[place])), None)
        if match is None and any(is_hit(suspect, error, sizes[place]) for error in planted.get(place, [])):
            continue
        seen += 1
        if match is not None:
            open_ones[place].remove(match)
            hits += 1
            area += hits / seen
            if seen <= 2 * total:
                early.append(match.kind)
    kinds = [error.kind for errors in planted.values() for error in errors]
    return area / total, {kind: early.count(kind) / max(1, kinds.count(kind)) for kind in KINDS}


def voted_objects(
    photographs: list[Photograph],
    predicted: list[npt.NDArray[np.float32]],
    things: tuple[int, ...],
    least: int,
    rng: np.random.Generator,
) -> tuple[list[Voted], list[int]]:
    """Every object as three people who slip now and then name it and as the model sees it, and its true class."""
    objects, truths = [], []
    for one, chances in zip(photographs, predicted, strict=True):
        for position, mask in objects_of(one.truth, things, least):
            small = cv2.resize(mask.astype(np.float32), chances.shape[:0:-1], interpolation=cv2.INTER_AREA) >= 0.5
            if small.any():
                others = [each for each in things if each != position]
                slips = {who: rng.random() < rate for who, rate in SLIPS.items()}
                votes = {who: int(rng.choice(others)) if slip else position for who, slip in slips.items()}
                objects.append(Voted(votes, np.asarray(chances[:, small].mean(axis=1), dtype=np.float64)))
                truths.append(position)
    return objects, truths


def vote_precision(objects: list[Voted], truths: list[int]) -> dict[str, float]:
    """Average precision of the objects whose majority is wrong, and how many classes are right afterwards."""
    doubts = vote_doubts(objects)
    wrong = [one.given != truth for one, truth in zip(doubts, truths, strict=True)]
    alone = [1 - list(one.votes.values()).count(found.given) / 3 for one, found in zip(objects, doubts, strict=True)]
    return {
        "objects": len(objects),
        "ap": round(float(average_precision_score(wrong, [one.score for one in doubts])), 3),
        "ap_of_agreement": round(float(average_precision_score(wrong, alone)), 3),
        "ap_of_chance": round(sum(wrong) / len(wrong), 3),
        "majority_right": round(1 - sum(wrong) / len(wrong), 3),
        "crowdlab_right": round(float(np.mean([one.suggested == t for one, t in zip(doubts, truths, strict=True)])), 3),
    }


def predict_all(
    name: str, samples: list[Sample], folds: list[int], classes: int, seed: int, cache: Path
) -> list[npt.NDArray[np.float32]]:
    """(K, h, w) of every sample, kept in `cache` too: ranking can then be tried again in seconds."""
    path = cache / f"{name}-{len(samples)}-{seed}.npz"
    if not path.exists():
        steps, imbalance = SCHEDULES[name]
        given = load_params(PARAMS, "train", TrainParams)
        params = replace(given, seed=seed, steps=steps, validate_every=steps, imbalance=imbalance)
        recipe = recipe_of(params, load_policy(PARAMS, given.augmentation), samples[0].embedding.shape[0], classes)
        found = dict(out_of_fold(samples, folds, recipe))
        np.savez(path, *(found[place] for place in range(len(samples))))
    with np.load(path) as kept:
        return [kept[f"arr_{place}"] for place in range(len(samples))]


def measure(name: str, count: int, cache: Path, seed: int) -> dict[str, object]:
    """Plant, predict, rank."""
    rng = np.random.default_rng(seed)
    photographs, things = READERS[name](count), THINGS[name]
    classes = max(int(one.truth[one.truth != IGNORE_ID].max()) for one in photographs) + 1
    height, width = photographs[0].truth.shape
    least = round(LEAST_AREA * (max(height, width) / 128) ** 2)
    maps, planted, objects = spoil(photographs, things, least, rng)
    samples = read_samples(photographs, maps, classes, cache)
    folds = assign_folds([one.name for one in photographs], FOLDS, rng)
    predicted = predict_all(name, samples, folds, classes, seed, cache)
    labels = [sample.labels for sample in samples if sample.labels is not None]
    pairs = [(truth, predicted[place]) for place, truth in enumerate(labels)]
    found = calibrate([find_suspects(truth, chances, LEAST_AREA) for truth, chances in pairs])
    suspects = [
        (place, one) for place, each in enumerate(found) for one in each if {one.given, one.suggested} & set(things)
    ]
    ours = [max((one.score for owner, one in suspects if owner == place), default=0.0) for place in range(len(labels))]
    peer = [1 - image_quality(truth, chances) for truth, chances in pairs]
    lab = object_lab([pair_objects(truth, chances, LEAST_AREA) for truth, chances in pairs])
    by_lab = [image_doubt([one for one in each if one.label in things]) for each in lab]
    voted = voted_objects(photographs, predicted, things, least, np.random.default_rng(seed))
    is_spoiled = [place in planted for place in range(len(labels))]
    precision, by_kind = object_precision(suspects, planted, [(one.shape[0], one.shape[1]) for one in labels])
    total = sum(map(len, planted.values()))
    image_ap, peer_ap, lab_ap = (float(average_precision_score(is_spoiled, one)) for one in (ours, peer, by_lab))
    chance = total / max(1, len(suspects))
    things_seen = [(truth == chances.argmax(axis=0))[np.isin(truth, things)] for truth, chances in pairs]
    return {
        "images": len(labels),
        "objects": objects,
        "planted": total,
        "model_recall": round(float(np.concatenate(things_seen).mean()), 3),
        "object_ap": round(precision, 3),
        "object_ap_of_chance": round(chance, 3),
        "found_among_twice_as_many": {kind: round(share, 2) for kind, share in by_kind.items()},
        "image_ap": round(image_ap, 3),
        "image_ap_of_cleanlab_softmin": round(peer_ap, 3),
        "image_ap_of_object_lab": round(lab_ap, 3),
        "image_ap_of_chance": round(sum(is_spoiled) / len(is_spoiled), 3),
        "votes": vote_precision(*voted),
        "gate": precision > chance and image_ap >= peer_ap,
    }


def main() -> None:
    """Measure both and print."""
    parser = parser_of(__doc__)
    parser.add_argument("--images", type=int, default=240, help="per data set")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cache", type=Path, help="folder for embeddings, to be used again")
    parser.add_argument("--only", choices=sorted(READERS))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        cache = given.cache or Path(temporary)
        cache.mkdir(parents=True, exist_ok=True)
        names = [given.only] if given.only else sorted(READERS)
        found = {name: measure(name, given.images, cache, given.seed) for name in names}
    gate = all(bool(each.pop("gate")) for each in found.values())
    line = {
        "name": "label_errors",
        "peer": f"cleanlab {version('cleanlab')}",
        "seed": given.seed,
        **found,
        "gate": gate,
    }
    sys.stdout.write(json.dumps(line) + "\n")
    if not gate:
        sys.exit(1)


if __name__ == "__main__":
    main()
