"""What reviewers picked or tagged in the app, as images and objects of the workspace. Works on FiftyOne's datasets."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from datalab.adapters.review_app import PREDICTED, TRUTH
from datalab.adapters.review_journal import WHOLE_IMAGE, Subject
from datalab.adapters.review_labels import ANNOTATOR_FIELD
from datalab.errors import InputError
from datalab.tables import VERDICTS


@dataclass(frozen=True)
class Tag:
    """A verdict that somebody tagged in the app."""

    verdict: str
    subject: Subject
    """What it is about."""
    bearer: str
    """Id of the sample or label that bears it."""
    field: str
    """That the label is in; "" for a sample."""


def picked_subjects(dataset: Any, sample_ids: Collection[str], label_ids: Collection[str]) -> list[Subject]:
    """Images of these samples, and objects of these labels; a sample with a picked object is not meant as a whole.

    InputError where a label is none that can be judged (any more): the image must not be judged in its place.
    """
    subjects: list[Subject] = []
    fields, found = object_fields(dataset), 0
    for sample in dataset.select(list(sample_ids)).iter_samples():
        objects = [subject for _, label, subject in _objects(sample, fields) if str(label.id) in label_ids]
        found += len(objects)
        subjects += objects or [Subject(sample["image_id"])]
    if found < len(set(label_ids)):
        raise InputError(
            "some of the picked objects cannot be judged, or have been replaced since; reload the page and pick again "
            "objects of the consensus, the prediction or a person"
        )
    return subjects


def find_tags(dataset: Any) -> list[Tag]:
    """Every tag that is a verdict, image by image."""
    found: list[Tag] = []
    fields = object_fields(dataset)
    for sample in dataset.select(_tagged_samples(dataset)).iter_samples():
        image = Subject(sample["image_id"])
        found += [Tag(tag, image, str(sample.id), "") for tag in VERDICTS if tag in sample.tags]
        for field, label, subject in _objects(sample, fields):
            about = {tag: image if tag in WHOLE_IMAGE else subject for tag in VERDICTS if tag in label.tags}
            found += [Tag(tag, one, str(label.id), field) for tag, one in about.items()]
    return found


def clear_tags(dataset: Any, tags: Collection[Tag]) -> None:
    """Take these off, for they have been collected; what somebody has tagged since then stays."""
    bearers: dict[tuple[str, str], list[str]] = {}
    for tag in tags:
        bearers.setdefault((tag.verdict, tag.field), []).append(tag.bearer)
    for (verdict, field), ids in bearers.items():
        if field:
            dataset.select_labels(ids=ids, fields=field).untag_labels(verdict, label_fields=field)
        else:
            dataset.select(ids).untag_samples(verdict)


def object_fields(dataset: Any) -> list[str]:
    """The fields whose objects a reviewer may judge; a person's own field may be named like an annotator's."""
    names = [one for one in dataset.get_field_schema() if one in (TRUTH, PREDICTED) or one.startswith(ANNOTATOR_FIELD)]
    return [one for one in names if dataset.has_field(f"{one}.digest")]


def _tagged_samples(dataset: Any) -> list[str]:
    tags = list(VERDICTS)
    found = list(dataset.match_tags(tags).values("id"))
    for field in object_fields(dataset):
        found += dataset.select_labels(tags=tags, fields=field).values("id")
    return list(dict.fromkeys(found))


def _objects(sample: Any, fields: Sequence[str]) -> Iterator[tuple[str, Any, Subject]]:
    """Field, label and what it stands for of each."""
    for field in fields:
        for label in sample[field].detections if sample[field] else []:
            box = " ".join(f"{part:.6g}" for part in label.bounding_box)
            # an object whose id is not stored yet is told from others by its box
            region_id = (label["region_id"] if label.has_field("region_id") else None) or f"{field}:{box}"
            yield field, label, Subject(sample["image_id"], str(region_id), label.label, box)
