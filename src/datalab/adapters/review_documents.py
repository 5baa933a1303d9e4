"""Labels as the documents that FiftyOne stores, filled in from forms that FiftyOne itself has made.

Building its objects takes ten times as long as all the rest of publishing: each is checked field by field, twice. The
forms come from its own `to_dict`, so a version that stores more, or other names, is followed.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from bson import ObjectId

from datalab.masks import BoolMask

Document = dict[str, Any]


@dataclass(frozen=True)
class Forms:
    """What FiftyOne stores for a label that nobody has filled in."""

    detection: Document
    detections: Document
    segmentation: Document
    pack: Callable[[BoolMask], Any]
    """(H, W) mask to the bytes it is stored as."""

    def detection_of(self, label: str, box: list[float], mask: BoolMask, shown: Mapping[str, Any]) -> Document:
        """One object: `box` is left, top, width, height as shares of the image, `mask` (h, w) lies in it, `shown` are
        its own attributes."""
        own = {"_id": ObjectId(), "label": label, "bounding_box": box, "mask": self.pack(mask)}
        return {**self.detection, **own, **shown}

    def detections_of(self, detections: Iterable[Document], digest: str) -> Document:
        """All objects of an image."""
        return {**self.detections, "detections": list(detections), "digest": digest}

    def segmentation_of(self, path: str) -> Document:
        """A label map that stays where it is."""
        return {**self.segmentation, "_id": ObjectId(), "mask_path": path}


def forms_of(fiftyone: Any) -> Forms:
    """The forms of this version of FiftyOne."""
    mask = np.ones((1, 1), dtype=bool)
    detection = fiftyone.Detection(label="", bounding_box=[0, 0, 1, 1], mask=mask)
    return Forms(
        detection=dict(detection.to_dict()),
        detections=dict(fiftyone.Detections(detections=[]).to_dict()),
        segmentation=dict(fiftyone.Segmentation(mask_path="").to_dict()),
        pack=fiftyone.core.fields.ArrayField().to_mongo,
    )
