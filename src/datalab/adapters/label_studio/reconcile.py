"""Answers that cannot be right, told before anything is computed from them: kept, set aside, with a reason."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from datalab.adapters.label_studio.attributes import results_to_attributes
from datalab.adapters.label_studio.prompts import unanswered_prompts
from datalab.adapters.label_studio.results import results_to_regions
from datalab.errors import InputError
from datalab.ranges import Amount
from datalab.tables import QUARANTINE

EMPTY, SIZE, DAMAGED, CLASS, TWICE, CLICKED, PERSON, DELETED = REASONS = (
    "empty after long work",
    "size mismatch",
    "undecodable",
    "unknown class",
    "duplicate region",
    "click without a region",
    "unknown annotator",
    "deleted in Label Studio",
)


@dataclass(frozen=True)
class PullParams:
    """What makes an answer doubtful."""

    empty_after_s: Amount
    """An empty answer that took longer may be work that was lost; submitted once more, it counts."""


@dataclass(frozen=True)
class Finding:
    """`place`: index in the answer's result, -1 for the whole; `scope` as in table QUARANTINE."""

    reason: str
    detail: str
    scope: str = "annotation"
    place: int = -1
    region_id: str = ""


def reconcile(
    annotations: pd.DataFrame,
    classes: Collection[str],
    deleted: Collection[int],
    confirmed: Collection[int],
    params: PullParams,
) -> pd.DataFrame:
    """Table QUARANTINE of `annotations` (table ANNOTATIONS), in their order; skipped ones say nothing and pass.

    `deleted`: ids that the server no longer has; `confirmed`: ids whose empty result was submitted more than once.
    A duplicate region alone is left out (the first one stays), and a proposal without a class that nobody touched;
    anything else sets the whole annotation aside, since a rating without one of its regions would say that nothing is
    there.
    """
    rows = []
    for annotation in annotations[~annotations["was_cancelled"].astype(bool)].to_dict("records"):
        findings = [*_about_person(annotation, deleted), *_about_result(annotation, set(classes), confirmed, params)]
        rows += [{**annotation, **vars(finding)} for finding in findings]
    return pd.DataFrame(rows, columns=list(QUARANTINE))


def unknown_classes(annotations: pd.DataFrame, aside: pd.DataFrame) -> Counter[str]:
    """Name of each class that regions of `annotations` have and the guidelines do not, and how many regions.

    `aside`: what `reconcile` made of them. A region without a class names none.
    """
    # of proposals that were left without a class there may be thousands
    found = aside[(aside["reason"] == CLASS) & (aside["scope"] == "annotation")]
    results = dict(zip(annotations["annotation_id"], annotations["result_json"], strict=True))
    regions = [json.loads(results[one])[at] for one, at in zip(found["annotation_id"], found["place"], strict=True)]
    return Counter(str(label) for region in regions for label in (region["value"].get(region["type"]) or ())[:1])


def _about_person(annotation: dict[Any, Any], deleted: Collection[int]) -> Iterator[Finding]:
    if annotation["annotation_id"] in deleted:
        yield Finding(DELETED, "its last version is kept in versions/")
    if "@" not in annotation["annotator"]:
        yield Finding(PERSON, f"{annotation['annotator']} has no account")


def _about_result(
    annotation: dict[Any, Any], classes: set[str], confirmed: Collection[int], params: PullParams
) -> Iterator[Finding]:
    results = json.loads(annotation["result_json"])
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        yield Finding(DAMAGED, "the result is no list of regions")
        return
    regions, size = 0, (int(annotation["width"]), int(annotation["height"]))
    seen: set[tuple[str, str]] = set()
    for place, result in enumerate(results):
        found = _region(result, size, classes)
        if isinstance(found, tuple):
            regions += 1
            if found in seen:
                detail = f"the same {found[0]} again"
                yield Finding(TWICE, detail, "region", place, str(result.get("id")))
            seen.add(found)
        elif found is not None:
            regions += 1
            yield replace(found, place=place, region_id=str(result.get("id")))
    yield from _about_attributes(results)
    yield from _about_clicks(results, size)
    seconds = annotation["lead_time_s"]
    if not regions and seconds > params.empty_after_s and annotation["annotation_id"] not in confirmed:
        yield Finding(EMPTY, f"{seconds:.0f} s, and nothing was saved; submit it again if nothing is there")


def _about_attributes(results: list[dict[str, Any]]) -> Iterator[Finding]:
    """An answer about a region is left out alone: the region counts without it."""
    for place, result in enumerate(results):
        try:
            results_to_attributes([result])
        except InputError as exc:
            yield Finding(DAMAGED, str(exc), "region", place, str(result.get("id")))


def _about_clicks(results: list[dict[str, Any]], size: tuple[int, int]) -> Iterator[Finding]:
    """Where somebody pointed for SAM, kept no mask and drew nothing: an object is probably missing."""
    try:
        names = unanswered_prompts([result for result in results if _given_size(result) in (None, size)])
    except (InputError, AttributeError, KeyError, TypeError, ValueError):
        return  # of a damaged region, which is told by itself
    for place, result in enumerate(results):
        if result.get("id") in names:
            detail = "SAM was asked for a mask here and none was kept; keep it, draw the object or delete the point"
            yield Finding(CLICKED, detail, "annotation", place, str(result["id"]))


def is_empty(annotation: Mapping[Any, Any]) -> bool:
    """Whether no entry of the answer is a region, sound or not: it is [], or of erased brushes and notices alone."""
    results = json.loads(annotation["result_json"])
    size = (int(annotation["width"]), int(annotation["height"]))
    return isinstance(results, list) and all(
        isinstance(result, dict) and _region(result, size, set()) is None for result in results
    )


def _given_size(result: dict[str, Any]) -> tuple[Any, Any] | None:
    """Width and height of the image, as the region has them; None where it has none."""
    return (result["original_width"], result.get("original_height")) if "original_width" in result else None


def _region(result: dict[str, Any], size: tuple[int, int], classes: set[str]) -> Finding | tuple[str, str] | None:
    """Class and mask of a region; None for an entry that is none; what is wrong with it."""
    given = _given_size(result)
    if given not in (None, size):
        return Finding(SIZE, f"a mask of {given[0]} x {given[1]} pixels on an image of {size[0]} x {size[1]}")
    try:
        rows = results_to_regions([result])
    except (InputError, AttributeError, KeyError, TypeError, ValueError) as exc:
        return Finding(DAMAGED, str(exc))
    for row in rows:
        if row["label"] not in classes:
            if not row["label"] and row["origin"] == "proposal":
                return Finding(CLASS, "a proposal without a class was left as it was", "region")
            said = repr(row["label"]) if row["label"] else "no class"
            return Finding(CLASS, f"{said}; guidelines/classes.yaml has {', '.join(sorted(classes))}")
        return str(row["label"]), str(row["rle"])
    return None
