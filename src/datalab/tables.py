"""The tables that pass between the rooms: which columns each one has, and a check at the border.

A table is a pandas DataFrame. Masks are COCO compressed RLE strings (`rle`) beside `height` and `width`.
`require` is called where a table is read from disk or handed in from outside, never inside a computation.
"""

import pandas as pd

from datalab.errors import InputError

CATALOG = ("image_id", "file", "source", "width", "height", "phash", "duplicate_group")
"""One row per distinct image. `image_id`: first 16 hex digits of the SHA-256 of the file's bytes as they came.
`file`: name inside data/images. `source`: path in the folder it came from. `phash`: 16 hex digits.
`duplicate_group`: the image_id that stands for its set of near duplicates (its own where it has none)."""

METADATA = ("image_id",)
"""One row per image that a metadata.csv in its folder describes. Further columns: what people wrote there, as text, ""
where nothing; none is called as one of CATALOG or of FACTS."""

FACTS = ("brightness", "contrast", "sharpness", "foreground", "megapixels", "folder")
"""What is known of every image beside the catalog's columns, by the names that rules of slices use."""

REJECTED = ("source", "kind", "reason", "image_id")
"""One row per file that did not become a new image. `kind`: "exact_duplicate" or "quarantined"; `image_id`: the
image an exact duplicate repeats, else ""."""

REGIONS = ("image_id", "region_id", "label", "rle", "height", "width")
"""One row per object: `label` is a class name of the ontology, `region_id` unique within its table."""

GOLD = REGIONS
"""Ground truth, exact masks. A gold image with nothing in it has one row with label "" and rle ""; one with pixels of
which nobody knows the class has a row of them with label "" besides."""

GOLD_EVENTS = ("image_id", "action", "reason", "by", "round_id", "at")
"""What happened to gold images, oldest first, never edited. `action`: one of gold_ledger.ACTIONS; `round_id`: the
newest round then, "0000" before the first; `at`: UTC, ISO 8601. The first gold has no row."""

PROPOSALS = (*REGIONS, "predicted_iou", "stability", "model_version")
"""Masks that SAM proposes; the two scores are in [0, 1]."""

CANDIDATES = (*PROPOSALS, "source")
"""PROPOSALS with where they come from. `source`: "sam" (found by itself), "model" (a region of the trained model's
prediction; its predicted IoU is the IoU with what SAM makes of it) or REFINED."""
REFINED = "refined"
"""What SAM makes of the box of a region that the model predicts."""

GATED_PROPOSALS = (*CANDIDATES, "expected_iou", "decision")
"""What people get to see. `expected_iou`: calibrated on gold, missing where there was too little of it; `decision`:
"propose", or "accept" for a region that people see and cannot change."""

BATCH = ("image_id", "role", "overlap", "rank", "reason")
"""The images of a round. `role`: "batch" or "gold"; `overlap`: how many people label it; `rank`: 0 comes first;
`reason`: why it was chosen ("cold_start", the name of a strategy, "random", "gold", "review")."""

ROUND_BATCH = (*BATCH, "aided")
"""BATCH as a round keeps it. `aided`: false for the random share of tasks that people get without proposals."""

ANNOTATIONS = (
    "annotation_id", "task_id", "round_id", "image_id", "annotator", "lead_time_s", "created_at", "updated_at",
    "was_cancelled", "guideline_version", "ontology_hash", "width", "height", "result_json",
)  # fmt: skip
"""Raw, one row per annotation as Label Studio gave it, never edited. `annotator`: e-mail; `lead_time_s`: seconds."""

ANNOTATION_VERSIONS = ("kind", *ANNOTATIONS, "pulled_at")
"""Every version of every answer that was ever seen, appended to and never edited. `kind`: "annotation", "draft" (not
submitted; `annotation_id` is then the draft's own id) or "deleted" (by somebody in Label Studio; the row repeats its
last version); `pulled_at`: UTC, ISO 8601."""

QUARANTINE = (
    "annotation_id", "task_id", "round_id", "image_id", "annotator", "lead_time_s", "scope", "place", "region_id",
    "reason", "detail",
)  # fmt: skip
"""What of a round's annotations is kept and not used, and why. `scope`: "annotation" (nothing of it counts) or "region"
(its other regions do); `place`: which entry of its result it is about, -1 for none; `reason`: one of
reconcile.REASONS."""

ANNOTATED_REGIONS = ("annotation_id", "round_id", "annotator", *REGIONS, "origin")
"""Decoded regions of annotations. `origin`: "proposal" (untouched), "edited" (a proposal changed), "manual"."""

ATTRIBUTES = ("annotation_id", "annotator", "image_id", "region_id", "label", "class_id", "attribute", "value")
"""What was answered about the regions of ANNOTATED_REGIONS, one row per answer. `class_id`: of the class the question
belongs to; an answer given before the region got another class is there too. No row: not answered."""

RATINGS = ("annotation_id", "round_id", "image_id", "annotator", "lead_time_s", "role", "width", "height")
"""One row per (image, annotator) that was submitted, the newest one where a person submitted twice. A rating without
a row in ANNOTATED_REGIONS says: looked at, nothing there. An image without a rating by somebody is missing, never
background."""

RATING_PROVENANCE = ("guideline_version",)
"""Further column of ratings.parquet: the guidelines that the task was made with."""

CONSENSUS = (*REGIONS, "votes", "raters", "agreement")
"""Merged objects. `votes` of `raters` annotators drew it; `agreement`: mean IoU of their masks with the consensus."""

PROVENANCE = ("method", "contributors")
"""Further columns of consensus.parquet. `method`: "single", "two", the name of the vote, or "adjudicated";
`contributors`: who drew the object, sorted, as "ann@x.org, bob@x.org"; of an adjudicated one the reviewer."""

ADJUDICATION = (*REGIONS, "reason", "kept", "disputed", "votes", "raters", "contributors")
"""Objects that a person has to decide about. `reason`: "existence" (just half of the raters drew it, or half marked the
same pixels with masks that overlap too little), "class" (two people differ, a tie, or a class without more than half of
the heads won) or "outline" (two outlines that overlap too little); `kept`: whether it is in the consensus all the same;
`disputed`: RLE of the pixels that are left out of training until then, "" where there are none."""

DECISIONS = (*REGIONS, "reviewer", "reason", "asked")
"""What a reviewer decided: the objects of an image as they shall be; where nothing is, there is one row with label ""
and rle "". `reason`: "contested" (people disagreed) or "audit" (drawn at random among the others); `asked`: RLE of the
pixels the decision is about, "" for the whole image."""

QUEUE = ("image_id", "rank", "risk", "reason", "why", "asked", "agreement", "skill", "model", "label_error")
"""Images for a reviewer, `rank` 0 first. `risk` and its parts in [0, 1], larger = worse, NaN where not known; `reason`:
"contested" or "audit"; `why`: what is in doubt, for people; `asked` as in DECISIONS."""

VERDICTS = ("relabel", "wrong class", "make gold", "accept", "exclude")
"""What a reviewer may say of an image or an object; tags of these names say the same."""

REVIEWS = (
    "review_id", "image_id", "region_id", "verdict", "comment", "reviewer", "reviewed_at", "source", "label", "box",
)  # fmt: skip
"""Raw, one row per verdict, never edited, in the order in which they were collected. `region_id`: the object it is
about, "" for the image as a whole; `label` and `box` are that object's class and "x y w h" as shares of the image, ""
for an image. `reviewed_at`: ISO 8601 in UTC, of a tag the time it was collected; `reviewer`: "" where nobody knows;
`source`: "operator" or "tag"."""

REJECTED_REVIEWS = ("line", "text", "reason")
"""Lines of the reviewers' journal that are no review."""

ROUND_REVIEWS = ("review_id", "image_id", "region_id", "verdict", "comment", "label", "box")
"""The reviews that a round sends to people again."""

FIRST_LABELS = ("image_id", "round_id", "label")
"""What was drawn in the first round an image was labelled in: one row per distinct class, label "" for nothing. Labels
of later rounds change it no more, so neither do the splits."""

DATASET = ("image_id", "file", "split", "group", "raters")
"""Labelled images. `split`: "train", "validation" or "test"; images of one `group` are in one split. Masks lie beside
as PNG label maps `<image_id>.png`."""

LABEL_ERRORS = ("image_id", "kind", "given", "suggested", "x", "y", "width", "height", "score")
"""What models that have not seen a label make of it. `kind`: of one object, its box in pixels of the image, one of
SUSPECTED, ObjectLab's "overlooked", "swap" or "badloc", or "votes" (what people and models together make of its class,
CROWDLAB); of a whole image "image" (cleanlab's softmin over pixels), "objects" (ObjectLab) or "model" (share of the
objects' pixels on which labels and model differ). `given`, `suggested`: class names, "background" among them, "" for a
whole image; `score` in [0, 1], larger = more surely wrong."""

SUSPECTED = ("swapped", "spurious", "dropped", "outline")
"""Kinds of LABEL_ERRORS that tell what is wrong with one object; the risk, the queue and the page go by these."""

JUDGED = ("image_id", "iou", "group")
"""One row per test image: mean IoU over the classes in its truth, background among them; `group` as in DATASET. Further
columns: its traits (learning/traits.py)."""

CONFUSIONS = ("image_id", "truth", "predicted", "pixels")
"""How many pixels of a class of the truth a model gave to a class, for every test image: the cells that are not 0.
Classes by name, "background" among them."""

SLICES = ("image_id", "slice")
"""Images in slices. Of the evaluation: test images in the slices of params.yaml, in reviewers' views, and in slices on
which the model is worse than elsewhere. Of the reviewers: all images of each view that they saved as a slice."""

SURPRISE = ("round_id", "image_id", "surprise")
"""One row per labelled image of a batch that a model chose, chosen or random: share in [0, 1] of the objects' pixels on
which the labels and what that model had predicted differ."""

SCORES = ("image_id", "uncertainty", "predicted_foreground")
"""One row per pool image: acquisition score (larger = the model is less sure) and share of foreground in [0, 1]."""

EVIDENCE = ("margin", "wrong_pixels", "objects")
"""Further columns of scores.parquet. `margin`: how far the two best classes are apart where they are closest, in
[0, 1]; `wrong_pixels`: expected share of wrong pixels; `objects`: connected pieces of the prediction."""

CLASS_SCORES = ("image_id", "label", "score", "residual")
"""One row per pool image and class, "background" first. `score`: how much there is to learn about the class on the
image, at least 0 (0 for background); `residual`: mean of probability - predicted class over the unsure pixels,
in [-1, 1]."""

NEXT_BATCH = ("image_id", "rank", "reason", "uncertainty")
"""What people should look at next, best first. `reason`: the name of the strategy, or "random"; `uncertainty`: NaN
where there is no model."""

NUMBERS = dict.fromkeys(
    (
        "annotation_id", "class_id", "height", "line", "objects", "overlap", "pixels", "place", "rank", "raters",
        "task_id", "votes", "width", "x", "y",
    ),
    "int64",
) | dict.fromkeys(
    (
        "agreement", "expected_iou", "iou", "label_error", "lead_time_s", "margin", "model", "predicted_foreground",
        "predicted_iou", "residual", "risk", "score", "skill", "stability", "surprise", "uncertainty", "wrong_pixels",
    ),
    "float64",
) | dict.fromkeys(("aided", "kept", "was_cancelled"), "bool")  # fmt: skip
"""The dtype of every column above that is no text, the same in all tables."""


def require(table: pd.DataFrame, columns: tuple[str, ...], name: str) -> pd.DataFrame:
    """The same table with just these columns, in this order, typed where it is empty; InputError for missing ones."""
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise InputError(
            f"{name} lacks the column(s) {', '.join(missing)}; it has {', '.join(map(str, table.columns))}"
        )
    found = table.loc[:, list(columns)]
    return typed(found) if found.empty else found


def empty(columns: tuple[str, ...]) -> pd.DataFrame:
    """A table with these columns and no rows."""
    return typed(pd.DataFrame(columns=list(columns)))


def typed(table: pd.DataFrame) -> pd.DataFrame:
    """The same table with the dtypes its columns have elsewhere: NUMBERS, and text for what has none of its own.

    A table without rows has no values to tell a type from; untyped it would be other bytes, and columns of nothing to
    whoever reads the file.
    """
    texts = {name: "str" for name, kind in table.dtypes.items() if pd.api.types.is_object_dtype(kind)}
    return table.astype(texts | {name: kind for name, kind in NUMBERS.items() if name in table.columns})


def known_objects(gold: pd.DataFrame) -> pd.DataFrame:
    """The rows of table GOLD that are objects."""
    return gold[gold["label"] != ""]


def unknown_pixels(gold: pd.DataFrame) -> dict[str, str]:
    """image_id to the RLE of the pixels of which table GOLD does not know the class; nothing for an image without."""
    rows = gold[(gold["label"] == "") & (gold["rle"] != "")]
    return dict(zip(rows["image_id"], rows["rle"], strict=True))
