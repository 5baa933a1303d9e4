"""People's regions and their consensus as FiftyOne labels, masks cropped to their box."""

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from datalab.adapters.review_documents import Document, Forms
from datalab.adapters.review_inputs import ReviewInputs
from datalab.masks import rle_to_crop
from datalab.tables import known_objects

Row = dict[Hashable, Any]
ANNOTATOR_FIELD = "by_"
"""Begins the name of every field that holds the regions of one person."""


@dataclass(frozen=True)
class RegionField:
    """Regions that become one field of detections. An image of `looked_at` without a region has an empty list: nothing
    there; other images have no value: not looked at."""

    looked_at: frozenset[str]
    regions: dict[str, list[Row]]
    """image_id -> rows with the columns of REGIONS and `attributes`."""
    attributes: tuple[str, ...]
    """Columns shown with each region."""

    def labels(self, forms: Forms, image_id: str) -> Document | None:
        """What FiftyOne stores of one image; None where it was not looked at."""
        if image_id not in self.looked_at:
            return None
        found = (_detection(forms, row, self.attributes) for row in self.regions.get(image_id, []))
        return forms.detections_of((one for one in found if one is not None), self._digest(image_id))

    def digests(self) -> dict[str, str]:
        """image_id -> 12 hex digits that change when its labels do; images that were not looked at are left out."""
        return {image_id: self._digest(image_id) for image_id in self.looked_at}

    def _digest(self, image_id: str) -> str:
        columns = ("label", "rle", "height", "width", *self.attributes)
        shown = [[str(row[column]) for column in columns] for row in self.regions.get(image_id, [])]
        return hashlib.sha256(json.dumps(shown).encode()).hexdigest()[:12]


def region_fields(inputs: ReviewInputs, people: Mapping[str, str]) -> dict[str, RegionField]:
    """Field name -> regions: `consensus`, `gold`, `proposals`, and that of each of `people` (e-mail -> field name)."""
    fields = {}
    if inputs.consensus is not None:
        judged = set(inputs.consensus["image_id"])
        for table in (inputs.index, inputs.ratings):
            judged |= set() if table is None else set(table["image_id"])
        fields["consensus"] = _field(judged, inputs.consensus, ("votes", "raters", "agreement", "region_id"))
    if inputs.gold is not None:
        drawn = known_objects(inputs.gold)
        fields["gold"] = _field(set(inputs.gold["image_id"]), drawn, ("region_id",))
    if inputs.proposals is not None:
        fields["proposals"] = _field(
            set(inputs.proposals["image_id"]), inputs.proposals, ("predicted_iou", "stability", "region_id")
        )
    if inputs.ratings is None or inputs.regions is None:
        return fields
    current = inputs.regions[inputs.regions["annotation_id"].isin(inputs.ratings["annotation_id"])]
    for annotator, name in people.items():
        looked_at = set(inputs.ratings.loc[inputs.ratings["annotator"] == annotator, "image_id"])
        fields[name] = _field(looked_at, current[current["annotator"] == annotator], ("origin", "region_id"))
    return fields


def predicted_field(catalog: pd.DataFrame, objects: Mapping[str, list[tuple[str, str]]]) -> RegionField:
    """Predicted objects, (class name, rle), by image_id; `catalog` (table CATALOG) has the sizes of the images."""
    sizes = catalog.set_index("image_id")[["height", "width"]]
    regions: dict[str, list[Row]] = {}
    for image_id, found in objects.items():
        height, width = map(int, sizes.loc[image_id])
        regions[image_id] = [{"label": label, "rle": rle, "height": height, "width": width} for label, rle in found]
    return RegionField(frozenset(objects), regions, ())


def annotator_fields(annotators: Iterable[str], known: Mapping[str, str]) -> dict[str, str]:
    """E-mail -> field name: `by_` and the part before the @ in a-z, 0-9 and _, sorted by e-mail.

    Who has a field in `known` (e-mail -> field name) keeps it. Newcomers whose names would be the same, or that of a
    known one, get six hex digits of the e-mail's SHA-256 behind it.
    """
    emails = sorted(set(annotators))
    plain = {email: ANNOTATOR_FIELD + re.sub(r"[^a-z0-9]+", "_", email.split("@")[0].lower()) for email in emails}
    taken = Counter([*known.values(), *(name for email, name in plain.items() if email not in known)])
    digest = {email: hashlib.sha256(email.encode()).hexdigest()[:6] for email in emails}
    new = {email: name if taken[name] == 1 else f"{name}_{digest[email]}" for email, name in plain.items()}
    return {email: known.get(email, name) for email, name in new.items()}


def _field(looked_at: set[str], regions: pd.DataFrame, attributes: tuple[str, ...]) -> RegionField:
    by_image: dict[str, list[Row]] = defaultdict(list)
    for row in regions.to_dict("records"):
        by_image[row["image_id"]].append(row)
    return RegionField(frozenset(looked_at), dict(by_image), attributes)


def _detection(forms: Forms, row: Row, attributes: tuple[str, ...]) -> Document | None:
    """None for an empty mask: it has no box."""
    if not row["rle"]:
        return None
    height, width = int(row["height"]), int(row["width"])
    top, left, mask = rle_to_crop(row["rle"], height)
    if not mask.size:
        return None
    rows, columns = mask.shape
    box = [left / width, top / height, columns / width, rows / height]
    shown = {name: row[name] for name in attributes if not pd.isna(row[name])}
    return forms.detection_of(row["label"], box, np.ascontiguousarray(mask), shown)
