"""A round as a FiftyOne dataset: written in batches, as `publish` does, against saving sample by sample.

Both sides fill a new dataset with the same labels, figures and tags.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from datalab.adapters.files import write_label_map
from datalab.adapters.review import publish
from datalab.adapters.review_app import declare_fields
from datalab.adapters.review_connection import opened
from datalab.adapters.review_content import Content, read_content
from datalab.adapters.review_inputs import ReviewInputs
from datalab.adapters.review_labels import Row
from datalab.config import Guidelines, LabelClass
from datalab.masks import label_map, mask_to_rle, rle_box_xywh, rle_to_mask
from datalab.services.mongo import mongo
from datalab.services.ports import free_ports
from datalab.settings import KEYS, Settings
from datalab.tables import CATALOG, CONSENSUS, DATASET, RATINGS
from measure import median_ratio, parser_of, print_result, seconds

IMAGES, OBJECTS, REPEATS = 5000, 10, 5
HEIGHT, WIDTH = 240, 320
HARDWARE = f"{os.cpu_count()} CPUs, {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB"
GUIDELINES = Guidelines((LabelClass(1, "coin", "#e69f00"),), (), "v", "o")


def inputs(folder: Path, images: int) -> ReviewInputs:
    """Images with ten discs each; the files themselves are never opened."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    discs = [mask_to_rle((y - 20 - 20 * k) ** 2 + (x - 30 - 25 * k) ** 2 < (8 + k) ** 2) for k in range(OBJECTS)]
    ids = [f"{number:016x}" for number in range(images)]
    catalog = [(one, f"{one}.png", f"{one}.png", WIDTH, HEIGHT, "0" * 16, one) for one in ids]
    ratings = [(one, "0001", one, "ann@x.org", 9.0, "batch", WIDTH, HEIGHT) for one in ids]
    consensus = [
        (one, f"{one}-c{place}", "coin", disc, HEIGHT, WIDTH, 2, 3, float(rng.random()))
        for one in ids
        for place, disc in enumerate(discs)
    ]
    index = [(one, f"{one}.png", "train", one, 1) for one in ids]
    return ReviewInputs(
        images=folder,
        catalog=pd.DataFrame(catalog, columns=list(CATALOG)),
        guidelines=GUIDELINES,
        ratings=pd.DataFrame(ratings, columns=list(RATINGS)),
        consensus=pd.DataFrame(consensus, columns=list(CONSENSUS)),
        index=pd.DataFrame(index, columns=list(DATASET)),
        agreement=pd.DataFrame({"image_id": ids, "agreement": rng.random(images)}),
    )


def with_predictions(given: ReviewInputs, folder: Path) -> ReviewInputs:
    """The same, and a model that sees every disc one pixel too far down: a label map per image, one file in truth."""
    assert given.consensus is not None
    discs = [(1, rle) for rle in given.consensus["rle"].head(OBJECTS)]
    truth = label_map(discs, HEIGHT, WIDTH)
    for name, shown in (("masks", truth), ("predictions", np.roll(truth, 1, axis=0))):
        write_label_map(folder / "one" / f"{name}.png", shown)
        (folder / name).mkdir()
        for image_id in given.catalog["image_id"]:
            (folder / name / f"{image_id}.png").hardlink_to(folder / "one" / f"{name}.png")
    return replace(given, masks=folder / "masks", predictions=folder / "predictions")


def silent(share: float, doing: str) -> None:
    """Shows nothing."""


def one_by_one(uri: str, name: str, given: ReviewInputs) -> None:
    """What most scripts do: add the samples, then set fields and save, sample by sample."""
    with opened(uri) as fiftyone:
        dataset = fiftyone.Dataset(name, persistent=True, overwrite=True)
        content = read_content(given, silent)
        declare_fields(fiftyone, dataset, content.kinds)
        for image_id, (width, height) in content.sizes.items():
            metadata = fiftyone.ImageMetadata(width=width, height=height)
            path = content.marks["filepath"][image_id]
            dataset.add_sample(fiftyone.Sample(path, image_id=image_id, metadata=metadata))
        for sample in dataset:
            image_id = sample["image_id"]
            for field in content.marks:
                sample[field] = built(fiftyone, content, field, image_id)
            sample.tags = sorted(content.tags[image_id])
            sample.save()


def built(fiftyone: Any, content: Content, field: str, image_id: str) -> Any:
    """The value of a field as FiftyOne's guides build it: objects, not documents."""
    if field not in content.regions or image_id not in content.regions[field].looked_at:
        return content.marks[field].get(image_id)
    found = content.regions[field]
    detections = [detection(fiftyone, row, found.attributes) for row in found.regions.get(image_id, [])]
    return fiftyone.Detections(detections=detections, digest=content.marks[field][image_id])


def detection(fiftyone: Any, row: Row, attributes: tuple[str, ...]) -> Any:
    """One object of an image, its mask cut to its box."""
    x, y, w, h = rle_box_xywh(row["rle"], HEIGHT, WIDTH)
    mask = rle_to_mask(row["rle"], HEIGHT, WIDTH)[y : y + h, x : x + w]
    box = [x / WIDTH, y / HEIGHT, w / WIDTH, h / HEIGHT]
    return fiftyone.Detection(
        label=row["label"], bounding_box=box, mask=mask, **{name: row[name] for name in attributes}
    )


def in_batches(uri: str, name: str, given: ReviewInputs) -> None:
    """Ours, into a dataset that is not there."""
    with opened(uri) as fiftyone:
        if fiftyone.dataset_exists(name):
            fiftyone.delete_dataset(name)
    publish(uri, name, given, silent)


def content_of(uri: str, name: str) -> list[Any]:
    """What a dataset holds, for comparison."""
    fields = ["image_id", "tags", "agreement", "consensus.digest"]
    objects = [f"consensus.detections.{name}" for name in ("label", "bounding_box", "votes", "agreement", "mask")]
    with opened(uri) as fiftyone:
        dataset = fiftyone.load_dataset(name, reload=True).sort_by("image_id")
        *plain, masks = dataset.values([*fields, *objects])
    return [*plain, [[mask.tolist() for mask in image] for image in masks]]


@contextmanager
def database() -> Iterator[str]:
    """A MongoDB of our own."""
    uri = f"mongodb://127.0.0.1:{free_ports().mongo}"
    with tempfile.TemporaryDirectory() as folder:
        values = {**dict.fromkeys(KEYS, "http://127.0.0.1:1"), "FIFTYONE_DATABASE_URI": uri}
        service = mongo(Path(folder), Settings.from_values(values, "benchmark"))
        service.folder.mkdir(parents=True)
        with subprocess.Popen(service.command, stdout=subprocess.DEVNULL) as server:
            try:
                yield uri
            finally:
                server.terminate()


def publish_many(uri: str, folder: Path, images: int) -> dict[str, Any]:
    """Seconds, and of the processor in this process: of publishing so many images, and of the same again."""
    given = with_predictions(inputs(folder, images), folder)
    times, cpu = [], []
    for _ in range(2):
        began = time.process_time()
        times.append(round(seconds(lambda: publish(uri, "many", given, silent)), 1))
        # a busy machine lengthens the one, not the other
        cpu.append(round(time.process_time() - began, 1))
    sizes = {"images": images, "objects": OBJECTS, "predicted": OBJECTS, "hardware": HARDWARE}
    return {"name": "review_publish", "seconds": times, "cpu_seconds": cpu, "sizes": sizes}


def main() -> None:
    """Measure and print."""
    parser = parser_of(__doc__)
    parser.add_argument(
        "images",
        nargs="?",
        type=int,
        help="such as 10000: time one publishing of so many instead, predicted objects judged, and of the same again, "
        "when nothing has changed",
    )
    images = parser.parse_args().images
    with database() as uri, tempfile.TemporaryDirectory() as folder:
        if images is not None:
            sys.stdout.write(json.dumps(publish_many(uri, Path(folder), images)) + "\n")
            return
        given = inputs(Path(folder), IMAGES)
        ratio = median_ratio(
            lambda: in_batches(uri, "ours", given), lambda: one_by_one(uri, "theirs", given), repeats=REPEATS
        )
        gate = content_of(uri, "ours") == content_of(uri, "theirs")
        peer = f"fiftyone {version('fiftyone')} sample.save"
        print_result("review_publish", ratio, peer, {"images": IMAGES, "objects": OBJECTS}, REPEATS, gate)


if __name__ == "__main__":
    main()
