"""How the review app shows a dataset: which fields there are, their colours, the sidebar."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from datalab.adapters.review_labels import ANNOTATOR_FIELD
from datalab.config import Guidelines
from datalab.masks import IGNORE_ID

TRUTH, PREDICTED = "consensus", "predicted_objects"
NOVELTY = "novelty"
CHAMPION, CHAMPION_OBJECTS = "champion", "champion_objects"
"""What the model of the round before made of the test images."""
GAIN = "iou_gain"
COMPARED, CHAMPION_COMPARED = "compared", "champion_compared"
"""Fields with the digest of what IoU and objects of a prediction follow from."""
EVALUATION = "eval"
"""Key of FiftyOne's evaluation of the one with the other, and begin of the fields it makes."""
DUEL = ("eval_challenger", "eval_champion")
"""Keys of the same on the test images alone, of the newest model and of the one before: the app compares the two."""
JUDGED = tuple(f"{key}_{kind}" for key in (EVALUATION, *DUEL) for kind in ("tp", "fp", "fn"))
"""Their counts, per image."""
ANNOTATOR_DESCRIPTION = "Regions of "
"""Begins the description of a field of ANNOTATOR_FIELD, in front of the annotator's e-mail."""
WORKSPACE = "review"
"""The panels that the app opens with: images, embedding plot, histogram."""
IGNORE_COLOR = "#9e9e9e"
MUTED = ("#78909c", "#8d6e63", "#7e7f9a", "#6d8b74", "#9a7b8c", "#8a8256")
"""Colours of whatever is no class: figures, tags, objects told apart one by one."""


@dataclass(frozen=True)
class FieldKind:
    """A sample field: `kind` and `document` name classes of the module fiftyone."""

    kind: str
    description: str
    document: str | None = None
    attributes: tuple[tuple[str, str], ...] = ()
    """(path inside the label, field class) of what it carries beside the usual."""


REGION = (("detections.region_id", "StringField"), ("digest", "StringField"))
FIELDS = {
    "iou": FieldKind("FloatField", "Mean IoU of the prediction with the consensus, over the classes of the consensus"),
    "agreement": FieldKind("FloatField", "Mean agreement of the annotators on the objects of the image"),
    "uncertainty": FieldKind("FloatField", "Acquisition score: larger = the model is less sure"),
    NOVELTY: FieldKind(
        "FloatField", "How unlike it is to the images that the model has learned from; above 0.95: unlike"
    ),
    "champion_iou": FieldKind("FloatField", "The same of the model of the round before, on test images"),
    GAIN: FieldKind("FloatField", "iou - champion_iou"),
    "gold_iou": FieldKind("FloatField", "Mean IoU of people's label maps with gold, over the classes in gold"),
    "label_error": FieldKind("FloatField", "How surely the labels are wrong, by models that have not seen them"),
    "surprise": FieldKind("FloatField", "Share of the objects' pixels that the model which chose the image had wrong"),
    "contested": FieldKind("IntField", "Objects that a person has to decide about"),
    "next_batch": FieldKind("IntField", "Rank in the next batch, 0 first"),
    "round": FieldKind("StringField", "Newest round in which the image was labelled"),
    "duplicate_group": FieldKind("StringField", "The image that stands for its set of near duplicates"),
    "review": FieldKind("StringField", "What a reviewer said last"),
    "review_outcome": FieldKind("StringField", "What came of it"),
    "review_comment": FieldKind("StringField", "What annotators were told"),
    "reviewer": FieldKind("StringField", "Who said it"),
    "reviewed_at": FieldKind("StringField", "When, UTC"),
    COMPARED: FieldKind("StringField", "Digest of the label maps that iou and the predicted objects follow from"),
    CHAMPION_COMPARED: FieldKind("StringField", "The same of the model of the round before"),
    "image_id": FieldKind("StringField", "First 16 hex digits of the SHA-256 of the file as it came"),
    "consensus": FieldKind(
        "EmbeddedDocumentField",
        "Objects the annotators agree on",
        "Detections",
        (
            ("detections.votes", "IntField"),
            ("detections.raters", "IntField"),
            ("detections.agreement", "FloatField"),
            ("detections.region_id", "StringField"),
            ("digest", "StringField"),
        ),
    ),
    "gold": FieldKind("EmbeddedDocumentField", "Ground truth that people are judged by", "Detections", REGION),
    "proposals": FieldKind(
        "EmbeddedDocumentField",
        "What people started from",
        "Detections",
        (*REGION, ("detections.predicted_iou", "FloatField"), ("detections.stability", "FloatField")),
    ),
    "consensus_map": FieldKind("EmbeddedDocumentField", "The label map the model learns from", "Segmentation"),
    "prediction": FieldKind("EmbeddedDocumentField", "The model's label map", "Segmentation"),
    PREDICTED: FieldKind(
        "EmbeddedDocumentField",
        "Connected parts of the prediction, where there is a consensus",
        "Detections",
        (("digest", "StringField"),),
    ),
    CHAMPION: FieldKind("EmbeddedDocumentField", "The label map of the model of the round before", "Segmentation"),
    CHAMPION_OBJECTS: FieldKind(
        "EmbeddedDocumentField",
        "Connected parts of that label map",
        "Detections",
        (("digest", "StringField"),),
    ),
}
"""Every field but those of the annotators, in the order of the sidebar."""

SHOWN = (TRUTH, PREDICTED, "iou", GAIN, "agreement", "uncertainty")
"""Switched on when the app opens. A saved view has one of the two kinds of objects: together they hide each other."""


def annotator_kind(email: str) -> FieldKind:
    """The field with the regions of one annotator."""
    attributes = tuple((path, "StringField") for path in ("detections.origin", "detections.region_id", "digest"))
    return FieldKind("EmbeddedDocumentField", ANNOTATOR_DESCRIPTION + email, "Detections", attributes)


def known_annotators(dataset: Any) -> dict[str, str]:
    """E-mail -> name of the field that the dataset has for this annotator."""
    schema = dataset.get_field_schema(flat=True)
    described = {name: schema[name].description or "" for name in _annotator_fields(schema)}
    return {
        text.removeprefix(ANNOTATOR_DESCRIPTION): name
        for name, text in described.items()
        if text.startswith(ANNOTATOR_DESCRIPTION)
    }


def review_url(base: str, dataset: str, view: str | None = None) -> str:
    """Where the app at `base` shows a dataset, or one of its saved views, e.g. "next batch"."""
    return base.rstrip("/") + review_path(dataset, view)


def review_path(dataset: str, view: str | None = None) -> str:
    """The part of `review_url` behind the app's address."""
    path = f"/datasets/{quote(dataset, safe='')}?workspace={WORKSPACE}"
    # the app knows a saved view by its slug
    return path if view is None else f"{path}&view={quote(view.lower().replace(' ', '-'))}"


def declare_fields(fiftyone: Any, dataset: Any, wanted: dict[str, FieldKind]) -> None:
    """Give the dataset these fields and no other annotators'; those that people have added stay as they are."""
    schema = dataset.get_field_schema(flat=True)
    stale = [name for name in _annotator_fields(schema) if name not in wanted]
    if stale:
        dataset.delete_sample_fields(stale)
    for name, kind in wanted.items():
        document = getattr(fiftyone, kind.document) if kind.document else None
        if name not in schema:
            dataset.add_sample_field(
                name, getattr(fiftyone, kind.kind), embedded_doc_type=document, description=kind.description
            )
        for attribute, attribute_kind in kind.attributes:
            if f"{name}.{attribute}" not in schema:
                dataset.add_sample_field(f"{name}.{attribute}", getattr(fiftyone, attribute_kind))


def _annotator_fields(schema: Mapping[str, Any]) -> list[str]:
    """People may have added fields whose names begin like these."""
    return [name for name in schema if name.startswith(ANNOTATOR_FIELD) and f"{name}.digest" in schema]


def dress(fiftyone: Any, dataset: Any, wanted: Collection[str], guidelines: Guidelines) -> None:
    """Class names and colours of the guidelines, a sidebar in the order of a review, little switched on at first."""
    targets = {item.id: item.name for item in guidelines.classes}
    dataset.default_mask_targets = {**targets, IGNORE_ID: "left out"}
    dataset.default_classes = guidelines.names
    dataset.app_config.color_scheme = color_scheme(fiftyone, wanted, guidelines)
    dataset.app_config.sidebar_groups = sidebar(fiftyone, dataset, wanted)
    dataset.app_config.active_fields = fiftyone.ActiveFields(exclude=False, paths=list(SHOWN))
    dataset.save()


def color_scheme(fiftyone: Any, wanted: Collection[str], guidelines: Guidelines) -> Any:
    """`fiftyone.ColorScheme` by class: the same colour in detections and in label maps."""
    values = [{"value": item.name, "color": item.color} for item in guidelines.classes]
    targets = [{"intTarget": item.id, "color": item.color} for item in guidelines.classes]
    targets.append({"intTarget": IGNORE_ID, "color": IGNORE_COLOR})
    fields: list[dict[str, Any]] = []
    for name in wanted:
        if name in ("consensus", "gold", "proposals", PREDICTED, CHAMPION_OBJECTS) or name.startswith(ANNOTATOR_FIELD):
            fields.append({"path": name, "colorByAttribute": "label", "valueColors": values})
        elif name in ("consensus_map", "prediction", CHAMPION):
            fields.append({"path": name, "maskTargetsColors": targets})
    return fiftyone.ColorScheme(
        color_by="value",
        color_pool=list(MUTED),
        fields=fields,
        default_mask_targets_colors=targets,
        opacity=0.5,
    )


def sidebar(fiftyone: Any, dataset: Any, wanted: Collection[str]) -> list[Any]:
    """Groups of the sidebar; the last one takes what people have added."""
    labels = [name for name, kind in FIELDS.items() if kind.document]
    people = sorted(name for name in wanted if name.startswith(ANNOTATOR_FIELD))
    judged = [name for name in JUDGED if dataset.has_field(name)]
    figures = [*(name for name in FIELDS if name not in [*labels, COMPARED, CHAMPION_COMPARED]), *judged]
    file = ["id", "filepath", "metadata", "created_at", "last_modified_at", COMPARED, CHAMPION_COMPARED]
    known = {"tags", *labels, *people, *figures, *file}
    others = [name for name in dataset.get_field_schema() if name not in known]
    file[2:3] = [f"metadata.{name}" for name in ("size_bytes", "mime_type", "width", "height", "num_channels")]
    groups = {
        "tags": ["tags", "_label_tags"],
        "figures": figures,
        "consensus and model": labels,
        "annotators": people,
        "other": others,
        "metadata": file,
    }
    kind = fiftyone.core.odm.SidebarGroupDocument
    return [
        kind(name=name, paths=paths, expanded=name not in ("metadata", "annotators"))
        for name, paths in groups.items()
        if paths
    ]
