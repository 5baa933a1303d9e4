"""What is stored is what FiftyOne stores itself, where the same labels are given to it as objects."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from datalab.adapters.review_connection import opened
from datalab.adapters.review_documents import forms_of
from datalab.settings import Settings

pytestmark = pytest.mark.services
NAME = "stored labels"
MASK = np.array([[True, False, True], [False, True, True]])
SHOWN = {"votes": 2, "agreement": 0.5, "region_id": "r1"}
BOX = [0.0, 0.25, 0.5, 0.5]


@pytest.fixture
def dataset(settings: Settings) -> Iterator[tuple[Any, Any]]:
    """The module fiftyone, and a dataset of two images with the fields `objects` and `map`."""
    with opened(settings.fiftyone_database_uri) as fiftyone:
        made = fiftyone.Dataset(NAME, overwrite=True)
        made.add_samples([fiftyone.Sample("/x/1.png"), fiftyone.Sample("/x/2.png")], progress=False)
        kinds = {"objects": fiftyone.Detections, "map": fiftyone.Segmentation}
        for name, kind in kinds.items():
            made.add_sample_field(name, fiftyone.EmbeddedDocumentField, embedded_doc_type=kind)
        yield fiftyone, made
        fiftyone.delete_dataset(NAME)


def without_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_ids(one) for key, one in value.items() if key != "_id"}
    return [without_ids(one) for one in value] if isinstance(value, list) else value


def both_ways(dataset: Any, field: str, objects: Any, document: dict[str, Any]) -> list[Any]:
    """Given as objects, saved by the sample, and given as a document, in bulk."""
    first, second = dataset.values("id")
    sample = dataset[first]
    sample[field] = objects
    sample.save()
    dataset.set_values(field, {second: document}, key_field="id", expand_schema=False, validate=False)
    raw = {str(one["_id"]): one[field] for one in dataset._sample_collection.find()}
    return [raw[first], raw[second]]


def test_objects(dataset: tuple[Any, Any]) -> None:
    fiftyone, made = dataset
    detection = fiftyone.Detection(label="coin", bounding_box=BOX, mask=MASK, **SHOWN)
    bare = fiftyone.Detection(label="cup", bounding_box=BOX, mask=~MASK)
    form = forms_of(fiftyone)
    document = form.detections_of(
        [form.detection_of("coin", BOX, MASK, SHOWN), form.detection_of("cup", BOX, ~MASK, {})], "d"
    )
    theirs, ours = both_ways(made, "objects", fiftyone.Detections(detections=[detection, bare], digest="d"), document)
    assert without_ids(ours) == without_ids(theirs)
    ids = [one["_id"] for one in ours["detections"]]
    assert len(set(ids)) == 2
    assert {type(one) for one in ids} == {type(theirs["detections"][0]["_id"])}
    made.reload()
    read = made.values("objects.detections")[1]
    assert (read[0].label, read[0].votes, read[0].bounding_box) == ("coin", 2, BOX)
    assert np.array_equal(read[0].mask, MASK)


def test_no_object(dataset: tuple[Any, Any]) -> None:
    fiftyone, made = dataset
    theirs, ours = both_ways(
        made, "objects", fiftyone.Detections(detections=[], digest="d"), forms_of(fiftyone).detections_of([], "d")
    )
    assert ours == theirs


def test_a_label_map(dataset: tuple[Any, Any]) -> None:
    fiftyone, made = dataset
    theirs, ours = both_ways(
        made, "map", fiftyone.Segmentation(mask_path="/m.png"), forms_of(fiftyone).segmentation_of("/m.png")
    )
    assert without_ids(ours) == without_ids(theirs)
    assert ours["_id"] != theirs["_id"]
