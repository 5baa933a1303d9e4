"""A workspace after some rounds, as far as the proof looks at it: every round with its own files and its report."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from datalab.adapters.files import write_json, write_table, write_text
from datalab.learning.evaluation import figures
from datalab.rounds.proof import prove
from datalab.rounds.state import Round, save_round
from datalab.stages.evaluate import confusion_rows
from datalab.tables import ANNOTATIONS, BATCH, DATASET, NEXT_BATCH, RATINGS, SCORES, SURPRISE
from datalab.workspace import Workspace

BATCH_IMAGES, TEST_EACH, POOL = 36, 8, 200
NAMES = ("background", "coin", "cup")
PARAMS = """\
proof: {seed: 1, resamples: 300, stop_below_points: 1.0, ahead: 3, longest_answer_s: 600.0}
batch: {seed: 5, images: 36, overlap: 3, overlap_share: 0.5, careful_overlap_share: 1.0, gold: 6, unaided_share: 0.1}
select: {images: 36, minutes: 0}
"""


def ids_of(number: int) -> list[str]:
    """The images of a round."""
    return [f"r{number:02d}-{place:02d}" for place in range(BATCH_IMAGES)]


def found_share(image_id: str, number: int, power: float = 0.8) -> float:
    """Share of an object that the model of a round finds: more with every round, less on later, harder images."""
    rng = np.random.default_rng([int(image_id[1:3]), int(image_id[4:]), 7])
    luck = np.random.default_rng([number, 3]).normal(0, 0.01)
    own = np.random.default_rng([int(image_id[1:3]), int(image_id[4:]), number]).normal(0, 0.06)
    skill = 0.95 - 0.5 * number**-power + luck + own
    return float(np.clip(skill - 0.04 * int(image_id[1:3]) - 0.3 * rng.random(), 0.02, 1.0))


def confusion_of(image_id: str, share: float) -> npt.NDArray[np.int64]:
    """1,000 pixels, 100 of them an object of the class that is the image's turn."""
    counts = np.zeros((3, 3), dtype=np.int64)
    label = 1 + int(image_id[4:]) % 2
    counts[0, 0], counts[0, label] = 900 - round(30 * (1 - share)), round(30 * (1 - share))
    counts[label, label], counts[label, 0] = round(100 * share), 100 - round(100 * share)
    return counts


def write_history(root: Path, rounds: int, pool: int = POOL, power: float = 0.8) -> tuple[Workspace, dict[str, Any]]:
    """The workspace and section `proof` of its newest round."""
    workspace = Workspace(root)
    write_text(workspace.params, PARAMS)
    proof: dict[str, Any] = {}
    for number in range(1, rounds + 1):
        state = Round(number, "g", "o")
        write_labels(workspace, state)
        write_model(workspace, number, power)
        write_pool(workspace, pool)
        proof = prove(workspace, state)
        write_json(workspace.reports / f"round-{number:04d}.json", {"round": number, "proof": proof})
    return workspace, proof


def write_labels(workspace: Workspace, state: Round) -> None:
    """Raw answers of one round, and the tables over all rounds so far."""
    save_round(workspace, state)
    folder = workspace.round_folder(state.number)
    images = ids_of(state.number)
    reasons = ["random" if place % 9 == 0 else "default" for place in range(BATCH_IMAGES)]
    batch = [(one, "batch", 1, place, reasons[place]) for place, one in enumerate(images)]
    write_table(folder / "batch.parquet", pd.DataFrame([*batch, ("g1", "gold", 1, 99, "gold")], columns=list(BATCH)))
    seconds = [40.0 + 10 * (place % 5) for place in range(BATCH_IMAGES)]
    answers = [
        (place, place, state.round_id, one, "ann", seconds[place], "", "", False, "g", "o", 9, 9, "[]")
        for place, one in enumerate(images)
    ]
    gold = (99, 99, state.round_id, "g1", "ann", 120.0, "", "", False, "g", "o", 9, 9, "[]")
    write_table(folder / "annotations.parquet", pd.DataFrame([*answers, gold], columns=list(ANNOTATIONS)))
    so_far = [(number, one) for number in range(1, state.number + 1) for one in ids_of(number)]
    ratings = [
        (place, f"{number:04d}", one, "ann", 40.0 + 10 * (int(one[4:]) % 5), "batch", 9, 9)
        for place, (number, one) in enumerate(so_far)
    ]
    write_table(workspace.ratings, pd.DataFrame(ratings, columns=list(RATINGS)))
    surprise = [
        (f"{number:04d}", one, 0.25 + 0.02 * (int(one[4:]) % 7) + 0.2 * (int(one[4:]) % 9 != 0))
        for number, one in so_far
    ]
    write_table(workspace.surprise, pd.DataFrame(surprise, columns=list(SURPRISE)))
    index = [(one, f"{one}.png", "test" if int(one[4:]) < TEST_EACH else "train", one, 1) for _, one in so_far]
    write_table(workspace.dataset / "index.parquet", pd.DataFrame(index, columns=list(DATASET)))


def write_model(workspace: Workspace, number: int, power: float) -> None:
    """What the evaluation says of the round's model, by the stage's own functions."""
    tested = [one for earlier in range(1, number + 1) for one in ids_of(earlier)[:TEST_EACH]]
    counts = np.stack([confusion_of(one, found_share(one, number, power)) for one in tested])
    found = figures(counts, NAMES, np.random.default_rng(0), 200)
    write_json(workspace.reports / "metrics.json", {**found, "test_images": len(tested), "test_groups": len(tested)})
    write_table(workspace.confusions, confusion_rows(tested, counts, NAMES))


def write_pool(workspace: Workspace, images: int) -> None:
    """What is left, and the next batch of it."""
    pool = [f"p{place:03d}" for place in range(images)]
    write_table(workspace.scores, pd.DataFrame([(one, 0.5, 0.1) for one in pool], columns=list(SCORES)))
    chosen = [(one, rank, "default", 0.5) for rank, one in enumerate(pool[:BATCH_IMAGES])]
    write_table(workspace.next_batch, pd.DataFrame(chosen, columns=list(NEXT_BATCH)))
