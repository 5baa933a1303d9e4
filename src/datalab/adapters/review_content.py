"""What a review dataset holds, field by field and image by image."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datalab.adapters.review_app import (
    CHAMPION,
    CHAMPION_COMPARED,
    CHAMPION_OBJECTS,
    COMPARED,
    FIELDS,
    GAIN,
    PREDICTED,
    FieldKind,
    annotator_kind,
)
from datalab.adapters.review_comparison import Comparison, compare, comparison_digest
from datalab.adapters.review_documents import Forms
from datalab.adapters.review_figures import ByImage, image_figures, image_tags, label_map_paths
from datalab.adapters.review_inputs import ReviewInputs
from datalab.adapters.review_labels import RegionField, annotator_fields, predicted_field, region_fields

OnProgress = Callable[[float, str], None]
"""Called with the share that is done, 0 to 1, and what is being done."""

MARK_PATHS = {"Detections": ".digest", "Segmentation": ".mask_path", None: ""}
"""Kind of label -> where in a field lies what tells whether it is up to date."""


@dataclass(frozen=True)
class Content:
    """All that the dataset is to hold, by field and image."""

    kinds: dict[str, FieldKind]
    """All of FIELDS, and one field for each annotator."""
    marks: dict[str, ByImage]
    """Field -> image_id -> the value; of detections their digest, of a label map its path. `filepath` is in it too."""
    regions: dict[str, RegionField]
    sizes: dict[str, tuple[int, int]]
    """image_id -> (width, height) in pixels, of every image, in the order of the catalog."""
    tags: dict[str, set[str]]

    def mark_path(self, field: str) -> str:
        """Where the dataset keeps the marks of a field."""
        return field + MARK_PATHS[self.kinds[field].document if field in self.kinds else None]

    def value(self, forms: Forms, field: str, image_id: str) -> Any:
        """What `field` of an image is to hold, a label as it is stored or a plain value; None for nothing."""
        mark = self.marks[field].get(image_id)
        if mark is not None and self.mark_path(field).endswith(".digest"):
            return self.regions[field].labels(forms, image_id)
        if mark is not None and self.mark_path(field).endswith(".mask_path"):
            return forms.segmentation_of(mark)
        return mark


@dataclass(frozen=True)
class Side:
    """Where a dataset holds what came of one model's label maps beside the consensus: names of fields."""

    label_map: str
    objects: str
    iou: str
    compared: str
    """The digest of what the others follow from."""


SIDES = (
    Side("prediction", PREDICTED, "iou", COMPARED),
    Side(CHAMPION, CHAMPION_OBJECTS, "champion_iou", CHAMPION_COMPARED),
)


@dataclass(frozen=True)
class Known:
    """What a dataset holds of one comparison."""

    compared: str
    """Its digest."""
    iou: float | None
    objects: str
    """Digest of the objects."""


KnownSides = Mapping[str, Mapping[str, Known]]
"""`Side.compared` -> image_id -> what the dataset holds."""


def read_content(
    inputs: ReviewInputs, tell: OnProgress, known: KnownSides | None = None, fields: Mapping[str, str] | None = None
) -> Content:
    """Put together what `inputs` say; InputError where a label map does not fit.

    Label maps that were compared already, as `known` says, are not read again, only their bytes. `fields`: e-mail ->
    field name of the annotators that the dataset has.
    """
    catalog = inputs.catalog
    image_ids = list(catalog["image_id"])
    maps = _label_maps(inputs, image_ids)
    compared = {side: _compared(side, inputs, maps, (known or {}).get(side.compared, {}), tell) for side in SIDES}
    people = {} if inputs.ratings is None else annotator_fields(inputs.ratings["annotator"], fields or {})
    regions = {
        **region_fields(inputs, people),
        **{side.objects: predicted_field(catalog, found.objects) for side, found in compared.items()},
    }
    marks = {
        "filepath": dict(
            zip(image_ids, (str(inputs.images.absolute() / file) for file in catalog["file"]), strict=True)
        ),
        "image_id": dict(zip(image_ids, image_ids, strict=True)),
        **image_figures(inputs),
        **{field: {key: str(path) for key, path in paths.items()} for field, paths in maps.items()},
        **{field: item.digests() for field, item in regions.items()},
    }
    for side, found in compared.items():
        marks[side.compared], marks[side.iou] = found.digests, found.ious
        marks[side.objects].update(found.known_objects)
    marks[GAIN] = {
        key: marks["iou"][key] - value for key, value in marks["champion_iou"].items() if key in marks["iou"]
    }
    kinds = {**FIELDS, **{field: annotator_kind(email) for email, field in people.items()}}
    empty: dict[str, ByImage] = {field: {} for field in kinds}
    sizes = zip(catalog["width"].tolist(), catalog["height"].tolist(), strict=True)
    return Content(
        kinds=kinds,
        marks={**empty, **marks},
        regions=regions,
        sizes=dict(zip(image_ids, sizes, strict=True)),
        tags=image_tags(inputs),
    )


def _label_maps(inputs: ReviewInputs, image_ids: list[str]) -> dict[str, dict[str, Path]]:
    """Field -> image_id -> where its label map lies."""
    labelled = [] if inputs.index is None else list(inputs.index["image_id"])
    return {
        "consensus_map": label_map_paths(inputs.masks, labelled),
        "prediction": label_map_paths(inputs.predictions, image_ids),
        CHAMPION: label_map_paths(inputs.champion, labelled),
    }


@dataclass(frozen=True)
class _Compared:
    """What one side is to hold, by image_id."""

    digests: ByImage
    ious: ByImage
    objects: dict[str, list[tuple[str, str]]]
    """Of images that were compared now."""
    known_objects: dict[str, str]
    """Digests of the others'."""


def _compared(
    side: Side, inputs: ReviewInputs, maps: dict[str, dict[str, Path]], known: Mapping[str, Known], tell: OnProgress
) -> _Compared:
    """One model's label maps beside the consensus, of the images that have both."""
    truth, predictions = maps["consensus_map"], maps[side.label_map]
    both = [image_id for image_id in truth if image_id in predictions]
    digests = {key: comparison_digest(truth[key], predictions[key], inputs.guidelines) for key in both}
    same = {key: known[key] for key in both if key in known and known[key].compared == digests[key]}
    fresh = [key for key in both if key not in same]
    found: dict[str, Comparison] = {}
    for done, image_id in enumerate(fresh):
        tell(0.3 * done / len(fresh), "comparing predictions")
        found[image_id] = compare(truth[image_id], predictions[image_id], inputs.guidelines)
    ious = {**{key: one.iou for key, one in same.items()}, **{key: one.iou for key, one in found.items()}}
    return _Compared(
        digests=dict(digests),
        ious={key: value for key, value in ious.items() if value is not None},
        objects={key: one.objects for key, one in found.items()},
        known_objects={key: one.objects for key, one in same.items()},
    )
