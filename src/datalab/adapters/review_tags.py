"""What reviewers picked or tagged in the app, as images and objects of the workspace. Works on FiftyOne's datasets."""

from collections.abc import Collection, Iterator
from typing import Any

from datalab.adapters.review_app import PREDICTED, TRUTH
from datalab.adapters.review_journal import WHOLE_IMAGE, Subject
from datalab.adapters.review_labels import ANNOTATOR_FIELD
from datalab.tables import VERDICTS

Tagged = tuple[str, Subject]
"""(verdict, what it is about)."""


def picked_subjects(dataset: Any, sample_ids: Collection[str], label_ids: Collection[str]) -> list[Subject]:
    """Images of these samples, and objects of these labels; a sample with a picked object is not meant as a whole."""
    subjects: list[Subject] = []
    for sample in dataset.select(list(sample_ids)).iter_samples():
        objects = [subject for label, subject in _objects(sample) if str(label.id) in label_ids]
        subjects += objects or [Subject(sample["image_id"])]
    return subjects


def tagged_subjects(dataset: Any) -> list[Tagged]:
    """What bears a tag that is a verdict, image by image."""
    found: list[Tagged] = []
    for sample in dataset.select(_tagged_samples(dataset)).iter_samples():
        image = Subject(sample["image_id"])
        found += [(tag, image) for tag in VERDICTS if tag in sample.tags]
        for label, subject in _objects(sample):
            found += [(tag, image if tag in WHOLE_IMAGE else subject) for tag in VERDICTS if tag in label.tags]
    return list(dict.fromkeys(found))


def clear_tags(dataset: Any) -> None:
    """Take the verdicts' tags off samples and labels: they have been collected."""
    tags = list(VERDICTS)
    dataset.match_tags(tags).untag_samples(tags)
    for field in object_fields(dataset):
        labels = dataset.select_labels(tags=tags, fields=field)
        if len(labels):
            labels.untag_labels(tags, label_fields=field)


def object_fields(dataset: Any) -> list[str]:
    """The fields whose objects a reviewer may judge."""
    return [name for name in dataset.get_field_schema() if _is_judged(name)]


def _is_judged(field: str) -> bool:
    return field in (TRUTH, PREDICTED) or field.startswith(ANNOTATOR_FIELD)


def _tagged_samples(dataset: Any) -> list[str]:
    tags = list(VERDICTS)
    found = list(dataset.match_tags(tags).values("id"))
    for field in object_fields(dataset):
        found += dataset.select_labels(tags=tags, fields=field).values("id")
    return list(dict.fromkeys(found))


def _objects(sample: Any) -> Iterator[tuple[Any, Subject]]:
    for field in sample.field_names:
        if not _is_judged(field):
            continue
        for label in sample[field].detections if sample[field] else []:
            box = " ".join(f"{part:.6g}" for part in label.bounding_box)
            # an object whose id is not stored yet is told from others by its box
            region_id = (label["region_id"] if label.has_field("region_id") else None) or f"{field}:{box}"
            yield label, Subject(sample["image_id"], str(region_id), label.label, box)
