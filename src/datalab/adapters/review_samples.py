"""The samples of a review dataset: new ones as whole documents, the others where something has changed."""

import zlib
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId

from datalab.adapters.review_content import SIDES, Content, Known, OnProgress
from datalab.adapters.review_documents import Forms, forms_of
from datalab.adapters.review_figures import is_own_tag

BATCH = 100
"""Images per request to the database: a kill loses little, and their masks fit into memory."""


def known_comparisons(dataset: Any) -> dict[str, dict[str, Known]]:
    """What the dataset says of predictions beside consensus, by SIDES and image_id.

    Nothing where a field is missing: the dataset is older, or was left while its fields were declared.
    """
    found = {}
    for side in SIDES:
        paths = ["image_id", side.compared, side.iou, f"{side.objects}.digest"]
        if all(map(dataset.has_field, paths)):
            rows = list(zip(*dataset.values(paths), strict=True))
            found[side.compared] = {key: Known(*held) for key, *held in rows if held[0] and held[2]}
    return found


def match_samples(fiftyone: Any, dataset: Any, content: Content, tell: OnProgress) -> dict[str, str]:
    """Add missing images, delete others and doubles; returns image_id -> sample id, in the catalog's order."""
    present: dict[str, str] = {}
    doubles = []
    for image_id, sample_id in zip(*dataset.values(["image_id", "id"]), strict=True):
        if image_id in content.sizes and image_id not in present:
            present[image_id] = sample_id
        else:
            doubles.append(sample_id)
    if doubles:
        dataset.delete_samples(doubles)
    missing = [image_id for image_id in content.sizes if image_id not in present]
    if missing and not present:
        # the first one tells the dataset what it is made of
        first = missing.pop(0)
        present[first] = dataset.add_samples([_sample(fiftyone, content, first)], dynamic=False, progress=False)[0]
    _insert(fiftyone, dataset, content, missing, present, tell)
    return {image_id: present[image_id] for image_id in content.sizes}


def update_samples(forms: Forms, dataset: Any, content: Content, sample_ids: dict[str, str], tell: OnProgress) -> None:
    """Write what has changed, in batches; what an image no longer has becomes None."""
    image_ids = list(sample_ids)
    # last: they say that the others are written
    last = [side.compared for side in SIDES]
    fields = [*(field for field in content.marks if field not in last), *last]
    held = _present(dataset, {"tags": "tags", **{field: content.mark_path(field) for field in fields}})
    for start in range(0, len(image_ids), BATCH):
        tell(0.5 + 0.4 * start / len(image_ids), "publishing")
        chunk = {sample_ids[image_id]: image_id for image_id in image_ids[start : start + BATCH]}
        for field in last:
            _set(dataset, field, dict.fromkeys(_changed(content, field, held, chunk)))
        for field in fields:
            changed = _changed(content, field, held, chunk)
            values = {key: content.value(forms, field, image) for key, image in changed.items()}
            _carry_over(dataset, field, values)
            _set(dataset, field, values)
        _tag(dataset, held["tags"], {key: content.tags[image] for key, image in chunk.items()})


def _tag(dataset: Any, held: dict[str, list[str]], ours: dict[str, set[str]]) -> None:
    """Write our tags where others are `held`, beside what people have tagged; that is read again just before."""
    changed = [key for key, tags in ours.items() if _merged(held[key], tags) != held[key]]
    if changed:
        now = _present(dataset.select(changed), {"tags": "tags"})["tags"]
        _set(dataset, "tags", {key: _merged(tags, ours[key]) for key, tags in now.items()})


def _carry_over(dataset: Any, field: str, values: dict[str, Any]) -> None:
    """Give objects that stay as they are, label, place and shape, the id and the tags that they have now."""
    wanted = {key: value for key, value in values.items() if isinstance(value, dict) and value.get("detections")}
    if not wanted:
        return
    found = dataset._sample_collection.find({"_id": {"$in": [ObjectId(key) for key in wanted]}}, {field: 1})
    for sample in found:
        before = {_shape(one): one for one in (sample.get(field) or {}).get("detections") or []}
        for one in wanted[str(sample["_id"])]["detections"]:
            if old := before.pop(_shape(one), None):
                one.update(_id=old["_id"], tags=old.get("tags") or [])


def _shape(detection: dict[str, Any]) -> tuple[Any, ...]:
    return detection["label"], tuple(detection["bounding_box"]), bytes(detection.get("mask") or b"")


def _changed(content: Content, field: str, held: dict[str, dict[str, Any]], chunk: dict[str, str]) -> dict[str, str]:
    """Those of `chunk`, sample id -> image_id, that are to hold something else."""
    wanted = content.marks[field]
    return {key: image for key, image in chunk.items() if wanted.get(image) != held[field][key]}


def _insert(
    fiftyone: Any, dataset: Any, content: Content, missing: list[str], present: dict[str, str], tell: OnProgress
) -> None:
    """Add samples with all that they hold as documents, each like one that FiftyOne itself has made."""
    if not missing:
        return
    forms = forms_of(fiftyone)
    form = _form(dataset)
    for start in range(0, len(missing), BATCH):
        tell(0.3 + 0.2 * start / len(missing), "adding images")
        chunk = missing[start : start + BATCH]
        documents = [_document(forms, form, content, image_id) for image_id in chunk]
        fiftyone.core.odm.insert_documents(documents, dataset._sample_collection, progress=False)
        present.update((image_id, str(one["_id"])) for image_id, one in zip(chunk, documents, strict=True))


def _form(dataset: Any) -> dict[str, Any]:
    """What every sample of the dataset has in common, the same in all of them, and its metadata."""
    stored = dataset._sample_collection.find_one({"image_id": {"$exists": True}, "metadata": {"$exists": True}})
    return {name: stored[name] for name in ("_media_type", "_dataset_id", "metadata")}


def _document(forms: Forms, form: dict[str, Any], content: Content, image_id: str) -> dict[str, Any]:
    width, height = content.sizes[image_id]
    now = datetime.now(UTC)
    values = {field: content.value(forms, field, image_id) for field in content.marks}
    return {
        **form,
        "_id": ObjectId(),
        # what FiftyOne shuffles by, in the range of its own
        "_rand": 0.999 + 0.001 * zlib.crc32(image_id.encode()) / 2**32,
        "metadata": {**form["metadata"], "width": width, "height": height},
        "tags": sorted(content.tags[image_id]),
        "created_at": now,
        "last_modified_at": now,
        **{field: value for field, value in values.items() if value is not None},
    }


def _sample(fiftyone: Any, content: Content, image_id: str) -> Any:
    width, height = content.sizes[image_id]
    metadata = fiftyone.ImageMetadata(width=width, height=height)
    return fiftyone.Sample(content.marks["filepath"][image_id], image_id=image_id, metadata=metadata)


def _present(dataset: Any, paths: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Name -> sample id -> what the dataset holds now at the path of that name."""
    ids, *found = dataset.values(["id", *paths.values()])
    return {name: dict(zip(ids, values, strict=True)) for name, values in zip(paths, found, strict=True)}


def _set(dataset: Any, field: str, values: dict[str, Any]) -> None:
    """The fields are declared, and labels come as documents: FiftyOne is neither to look for new ones nor to check."""
    if values:
        dataset.set_values(
            field, values, key_field="id", expand_schema=False, dynamic=False, validate=False, progress=False
        )


def _merged(old: list[str], ours: set[str]) -> list[str]:
    """Our tags, and those that people have given."""
    return [*sorted(ours), *(tag for tag in old if not is_own_tag(tag))]
