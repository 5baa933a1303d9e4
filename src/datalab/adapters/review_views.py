"""The saved views of the review app: what a reviewer may want to look at first."""

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo.errors import PyMongoError

from datalab.adapters.review_app import CHAMPION_OBJECTS, EVALUATION, GAIN, NOVELTY, PREDICTED, TRUTH

LOG = logging.getLogger(__name__)
SLICE_TAG = "slice: "
"""Begins the tag, and the saved view, of every slice."""
SLICE_DESCRIPTION = "Test images of this slice, lowest IoU first"
SLICE_COLOR = "#999999"


@dataclass(frozen=True)
class SavedView:
    """Images that have a value of `field`, in its order; `falling` puts the largest first."""

    name: str
    field: str
    description: str
    color: str
    falling: bool = False


@dataclass(frozen=True)
class ObjectView:
    """Objects of `field` that the evaluation marks with `kind`, alone; the objects of `hidden` are not shown."""

    name: str
    field: str
    hidden: str
    kind: str
    description: str
    color: str


VIEWS = (
    SavedView("worst first", "iou", "Lowest IoU of prediction and consensus first", "#d55e00"),
    SavedView("low agreement", "agreement", "Lowest agreement of the annotators first", "#e69f00"),
    SavedView("likely label errors", "label_error", "Labels that are most surely wrong first", "#cc79a7", falling=True),
    SavedView("gold failures", "gold_iou", "Gold on which people do worst first", "#f0e442"),
    SavedView("drifted", NOVELTY, "Least like what the model has learned from first", "#999933", falling=True),
    SavedView("contested", "contested", "Most objects to decide about first", "#56b4e9", falling=True),
    SavedView("reviewed", "reviewed_at", "What reviewers said and what came of it, newest last", "#009e73"),
    SavedView("next batch", "next_batch", "What the model wants to have labelled, best first", "#0072b2"),
)


OBJECT_VIEWS = (
    ObjectView(
        "false positives", PREDICTED, TRUTH, "fp", "What the model alone sees, images with most first", "#d55e00"
    ),
    ObjectView(
        "missed objects", TRUTH, PREDICTED, "fn", "What the model does not see, images with most first", "#cc79a7"
    ),
)


DUEL_VIEWS = (
    ("challenger worse", -1, "Test images on which the newest model lost most against the one before", "#d55e00"),
    ("challenger better", 1, "Test images on which the newest model gained most on the one before", "#009e73"),
)
"""Name, sign of the gain, description, colour."""


def save_views(fiftyone: Any, dataset: Any) -> tuple[str, ...]:
    """Save VIEWS, OBJECT_VIEWS and one per slice, as they should be; returns the names of those that show an image now.

    A view that is saved anew gets another id, and an app that has the dataset open would not find it any more.
    """
    for view in VIEWS:
        stages = (
            dataset.exists(view.field)
            .sort_by(view.field, reverse=view.falling)
            .exclude_fields([PREDICTED, CHAMPION_OBJECTS])
        )
        _save(dataset, view.name, stages, view.description, view.color)
    shown = [view.name for view in VIEWS if dataset.count(view.field)]
    duel = _save_duel_views(fiftyone, dataset)
    return (*shown, *_save_object_views(fiftyone, dataset), *duel, *_save_slices(fiftyone, dataset))


def _save_object_views(fiftyone: Any, dataset: Any) -> list[str]:
    """Those of OBJECT_VIEWS that show an image; without an evaluation there are none."""
    shown = []
    for view in OBJECT_VIEWS:
        count = f"{EVALUATION}_{view.kind}"
        if not dataset.has_field(count):
            if dataset.has_saved_view(view.name):
                dataset.delete_saved_view(view.name)
            continue
        found = dataset.match(fiftyone.ViewField(count) > 0).sort_by(count, reverse=True)
        stages = found.filter_labels(view.field, fiftyone.ViewField(EVALUATION) == view.kind).exclude_fields(
            [view.hidden, CHAMPION_OBJECTS]
        )
        _save(dataset, view.name, stages, view.description, view.color)
        shown += [view.name] if len(found) else []
    return shown


def _save_duel_views(fiftyone: Any, dataset: Any) -> list[str]:
    """Those of DUEL_VIEWS that show an image: predictions of both models, and all objects."""
    shown = []
    for name, sign, description, color in DUEL_VIEWS:
        gain = fiftyone.ViewField(GAIN)
        # no value at all is less than 0 to the database
        found = dataset.exists(GAIN).match(gain < 0 if sign < 0 else gain > 0).sort_by(GAIN, reverse=sign > 0)
        _save(dataset, name, found, description, color)
        shown += [name] if len(found) else []
    return shown


def _save_slices(fiftyone: Any, dataset: Any) -> list[str]:
    """Those that people saved stay as they are."""
    slices = sorted(tag for tag in dataset.distinct("tags") if tag.startswith(SLICE_TAG))
    infos = dataset.list_saved_views(info=True)
    ours = {one["name"] for one in infos if _is_ours(one["name"], one["description"])}
    theirs = {one["name"] for one in infos} - ours
    wanted = slice_views([name for name in slices if name not in theirs], theirs, fiftyone.core.utils.to_slug)
    for name in ours - set(wanted):
        dataset.delete_saved_view(name)
    for name, tag in wanted.items():
        stages = dataset.match_tags(tag).sort_by("iou").exclude_fields([PREDICTED, CHAMPION_OBJECTS])
        _save(dataset, name, stages, SLICE_DESCRIPTION, SLICE_COLOR)
    return [*(name for name in slices if name in theirs), *wanted]


def slice_views(tags: Sequence[str], theirs: Collection[str], slug_of: Callable[[str], str]) -> dict[str, str]:
    """Name of the saved view -> tag of the slice that it shows.

    FiftyOne takes names of one slug for one view, and saving ours would delete a person's: a tag is left out, and
    told, where one of `theirs` has its slug. Tags that share one get six hex digits of their SHA-256 behind the name.
    """
    taken = {slug_of(name): name for name in theirs}
    shared = Counter(map(slug_of, tags))
    views: dict[str, str] = {}
    for tag in tags:
        digest = hashlib.sha256(tag.encode()).hexdigest()[:6]
        name = tag if shared[slug_of(tag)] == 1 else f"{tag} {digest}"
        if slug_of(name) in taken:
            LOG.warning("%r has no saved view: to FiftyOne it is the same as %r", tag, taken[slug_of(name)])
        else:
            views[name] = tag
    return views


def reviewers_slices(dataset: Any) -> list[str]:
    """Names of the saved views that are to be slices and that people saved."""
    slices = [one for one in dataset.list_saved_views(info=True) if one["name"].lower().startswith(SLICE_TAG)]
    return [one["name"] for one in slices if not _is_ours(one["name"], one["description"])]


def slice_members(dataset: Any) -> list[tuple[str, str]]:
    """(image_id, slice) of every image that such a view shows now, of patches and their like the image they are of.

    A view that cannot be opened, of a field that is gone for example, is told and left out.
    """
    found: list[tuple[str, str]] = []
    for name in reviewers_slices(dataset):
        try:
            view = dataset.load_saved_view(name)
            shown = dataset.select(view.distinct("sample_id")) if view.has_field("sample_id") else view
            image_ids = shown.distinct("image_id")
        except PyMongoError:  # no fault of the view, which must not be taken for one that is gone
            raise
        except Exception as exc:  # whatever the stages of somebody's view run into
            LOG.warning("the saved view %r cannot be opened: %s", name, " ".join(str(exc).split()))
            continue
        found += [(image_id, name[len(SLICE_TAG) :]) for image_id in image_ids]
    return found


def _is_ours(name: str, description: str | None) -> bool:
    """A view of a slice that people renamed, or described otherwise, is theirs."""
    return name.startswith(SLICE_TAG) and description == SLICE_DESCRIPTION


def _save(dataset: Any, name: str, stages: Any, description: str, color: str) -> None:
    if not dataset.has_saved_view(name) or dataset.load_saved_view(name) != stages:
        dataset.save_view(name, stages, description=description, color=color, overwrite=True)
