"""What the proof of a round is made of: the points of the learning curve, and the parts of every batch."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from datalab.adapters.files import read_json, read_table
from datalab.figure import Figure
from datalab.learning.control import Part, surprise_of
from datalab.learning.learning_curve import Judged, Point
from datalab.learning.metrics import Counts
from datalab.learning.selection import parts_of
from datalab.resampling import places_of
from datalab.rounds.state import Round, round_numbers
from datalab.tables import BATCH, CONFUSIONS, DATASET, RATINGS, SURPRISE, empty
from datalab.workspace import Workspace

Row = dict[str, Any]
ANSWERS = ("image_id", "lead_time_s", "was_cancelled")


def point_row(workspace: Workspace, state: Round, longest_s: float) -> Row:
    """What the report keeps of this round, for the curve of all later ones."""
    metrics = read_json(workspace.reports / "metrics.json")
    index = read_table(workspace.dataset / "index.parquet", DATASET)
    return {
        "round": state.number,
        "labelled_images": len(index),
        "training_images": int((index["split"] == "train").sum()),
        **spent(workspace, state.number, longest_s),
        "miou": {key: metrics["miou"].get(key) for key in ("value", "low", "high", "reason")},
        "test_images": metrics["test_images"],
        "classes": sorted(name for name, figure in metrics["iou"].items() if figure["value"] is not None),
    }


def past_rows(workspace: Workspace, before: int, longest_s: float) -> list[Row]:
    """The same of the earlier rounds, in their order; a round without a report or without its mIoU is left out.

    Reports from before points were kept have the figures of the model; images and minutes are counted from the raw
    annotations then: images that somebody answered and that were no gold in their round.
    """
    rows = []
    for number in (one for one in round_numbers(workspace) if one < before):
        path = workspace.reports / f"round-{number:04d}.json"
        report = read_json(path) if path.exists() else {}
        if "proof" in report:
            rows.append(report["proof"]["point"])
        elif "miou" in report.get("evaluation", {}):
            rows.append(_counted(workspace, number, report, longest_s))
    return rows


def spent(workspace: Workspace, upto: int, longest_s: float) -> Row:
    """Minutes of all annotators in all rounds up to this one, whatever became of their answers.

    An answer that was open for longer than `longest_s` seconds counts as that: people leave tasks open over lunch.
    `untimed_answers` have no time and add nothing; where no answer has one the minutes are None.
    """
    seconds = [table["lead_time_s"] for table in _answers(workspace, upto).values()]
    times = pd.concat(seconds).astype(float) if seconds else pd.Series(dtype=float)
    known = times[times > 0]
    minutes = round(float(known.clip(upper=longest_s).sum()) / 60, 2) if len(known) else None
    return {"annotator_minutes": minutes, "untimed_answers": len(times) - len(known)}


def point_of(row: Row) -> Point:
    """A kept row as a point of the curve."""
    miou = row["miou"]
    figure = Figure(miou["value"], low=miou.get("low"), high=miou.get("high"), reason=miou.get("reason"))
    return Point(row["round"], row["labelled_images"], row["annotator_minutes"], figure, frozenset(row["classes"]))


def kept_confusions(workspace: Workspace, number: int) -> Path:
    """Where the report keeps table CONFUSIONS of a round."""
    return workspace.reports / "confusions" / f"{number:04d}.parquet"


def judged_in(workspace: Workspace, numbers: list[int]) -> Judged:
    """What was kept of these rounds; rounds from before it was kept have judged nothing."""
    paths = {place: kept_confusions(workspace, number) for place, number in enumerate(numbers)}
    tables = [read_table(path, CONFUSIONS).assign(place=place) for place, path in paths.items() if path.exists()]
    if not tables:
        none = np.zeros((len(numbers), 0, 1, 3), dtype=np.int64)
        return Judged(none, none[..., 0, 0] > 0, places_of([]))
    rows = pd.concat(tables, ignore_index=True)
    names = sorted({*rows["truth"], *rows["predicted"]})
    images = sorted(set(rows["image_id"]))
    overlaps = _overlaps(rows, len(numbers), images, names)
    # an image that has left the dataset since stands for itself
    known = read_table(workspace.dataset / "index.parquet", ("image_id", "group")).set_index("image_id")["group"]
    return Judged(overlaps, overlaps[..., 1].sum(axis=-1) > 0, places_of([str(known.get(one, one)) for one in images]))


def _overlaps(rows: pd.DataFrame, rounds: int, images: list[str], names: list[str]) -> Counts:
    """(R, I, K, 3) `overlap_counts` of rows of CONFUSIONS and `place`; whole matrices would grow with K ** 2."""
    keys = ((images, "image_id"), (names, "truth"), (names, "predicted"))
    image, true, found = (pd.Index(known).get_indexer(pd.Index(rows[column])) for known, column in keys)
    place, pixels = rows["place"].to_numpy(), rows["pixels"].to_numpy()
    counts = np.zeros((rounds, len(images), len(names), 3), dtype=np.int64)
    np.add.at(counts[..., 0], (place, image, true), pixels * (true == found))
    np.add.at(counts[..., 1], (place, image, true), pixels)
    np.add.at(counts[..., 2], (place, image, found), pixels)
    return counts


def left_the_tests(workspace: Workspace, before: int) -> str | None:
    """How many test images of the newest earlier round are training images by now; None where none is.

    No round does that by itself, but for an image that joins groups of two splits; a changed setting deals all anew.
    """
    numbers = [one for one in round_numbers(workspace) if one < before and kept_confusions(workspace, one).exists()]
    if not numbers:
        return None
    tested = set(read_table(kept_confusions(workspace, max(numbers)), CONFUSIONS)["image_id"])
    index = read_table(workspace.dataset / "index.parquet", ("image_id", "split"))
    moved = tested.intersection(index.loc[index["split"] == "train", "image_id"])
    if not moved:
        return None
    return (
        f"{len(moved)} of the {len(tested)} test images of round {max(numbers)} are training images now: the figures "
        "of the two rounds are of other images (docs/learning.md, Splits, says what moves them)"
    )


def batch_parts(workspace: Workspace, upto: int, longest_s: float) -> dict[int, tuple[Part, Part]]:
    """Round -> the `parts_of` its batch, as far as they are labelled."""
    # a round that learned before there was such a table has none
    surprise = read_table(workspace.surprise, SURPRISE) if workspace.surprise.exists() else empty(SURPRISE)
    ratings = read_table(workspace.ratings, RATINGS)
    times = ratings["lead_time_s"].astype(float).clip(upper=longest_s) / 60
    minutes = times.where(times > 0).groupby([ratings["round_id"], ratings["image_id"]]).mean()
    batches = {
        number: read_table(workspace.round_folder(number) / "batch.parquet", BATCH)
        for number in sorted(round_numbers(workspace))
        if number <= upto
    }

    def part(number: int, image_ids: list[str]) -> Part:
        known = surprise_of(surprise, f"{number:04d}", image_ids)
        taken = minutes.reindex(known.index)
        return Part(np.asarray(known, dtype=np.float64), np.asarray(taken, dtype=np.float64))

    parts = parts_of(list(batches.values()))
    return {
        number: (part(number, chosen), part(number, drawn))
        for number, (chosen, drawn) in zip(batches, parts, strict=True)
    }


def _counted(workspace: Workspace, number: int, report: Row, longest_s: float) -> Row:
    evaluation = report["evaluation"]
    images: set[str] = set()
    for earlier, answers in _answers(workspace, number).items():
        batch = read_table(workspace.round_folder(earlier) / "batch.parquet", BATCH)
        asked = batch.loc[batch["role"] == "batch", "image_id"]
        given = answers.loc[~answers["was_cancelled"].astype(bool), "image_id"]
        images |= set(asked) & set(given)
    return {
        "round": number,
        "labelled_images": len(images),
        "training_images": None,
        **spent(workspace, number, longest_s),
        "miou": evaluation["miou"],
        "test_images": report.get("test_images"),
        "classes": sorted(
            name.removeprefix("iou ") for name, figure in evaluation.items()
            if name.startswith("iou ") and figure["value"] is not None
        ),
    }  # fmt: skip


def _answers(workspace: Workspace, upto: int) -> dict[int, pd.DataFrame]:
    """Round -> image_id, lead_time_s and was_cancelled of its raw annotations."""
    paths = {number: workspace.round_folder(number) / "annotations.parquet" for number in round_numbers(workspace)}
    return {number: read_table(path, ANSWERS) for number, path in paths.items() if number <= upto and path.exists()}
