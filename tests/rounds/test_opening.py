"""What a round asks about, by the files that earlier rounds left; DVC is not asked here."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from datalab.adapters.embedding_cache import embedding_bytes, note_encoder
from datalab.adapters.files import read_label_map, read_table, write_bytes, write_json, write_label_map, write_table
from datalab.errors import InputError, StateError
from datalab.learning.selection import MOST_ASKED
from datalab.rounds import opening
from datalab.rounds.opening import Source, choose, take_in
from datalab.rounds.state import NOT_LEARNED, STEPS, Round, save_round
from datalab.tables import BATCH, CATALOG, GOLD, NEXT_BATCH, RATINGS, REVIEWS, ROUND_BATCH, empty
from datalab.workspace import Workspace
from tests.stages.vectors_kept import keep_all_vectors

ROOT = Path(__file__).parents[2]
IDS = [f"img{number}" for number in range(6)]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Six images and a model; nobody was asked about anything yet."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "guidelines", tmp_path / "guidelines")
    made = Workspace.at(tmp_path)
    rows = [(name, f"{name}.png", f"{name}.png", 8, 8, "0" * 16, name) for name in IDS]
    write_table(made.catalog, pd.DataFrame(rows, columns=list(CATALOG)))
    write_table(made.gold, empty(GOLD))
    write_table(made.reviews, empty(REVIEWS))
    write_bytes(made.model, b"a model")
    monkeypatch.setattr(opening, "repro", lambda *_: [])
    monkeypatch.setattr(opening, "collect_reviews", lambda _: {})
    return made


def asked(workspace: Workspace, number: int, ids: list[str], rated: list[str], **facts: str) -> None:
    """A round that is over."""
    folder = workspace.round_folder(number)
    save_round(workspace, Round(number, "g", "o", seconds=dict.fromkeys(STEPS, 1.0), facts=facts))
    rows = [(image_id, "batch", 1, rank, "default", True) for rank, image_id in enumerate(ids)]
    write_table(folder / "batch.parquet", pd.DataFrame(rows, columns=list(ROUND_BATCH)))
    before = read_table(workspace.ratings, RATINGS) if workspace.ratings.exists() else empty(RATINGS)
    new = [(f"{number}-{name}", f"{number:04d}", name, "a@b.c", 9.0, "batch", 8, 8) for name in rated]
    write_table(workspace.ratings, pd.concat([before, pd.DataFrame(new, columns=list(RATINGS))]))


def next_round(workspace: Workspace, number: int, wanted: list[str]) -> list[str]:
    rows = [(image_id, rank, "default", 0.5) for rank, image_id in enumerate(wanted)]
    write_table(workspace.next_batch, pd.DataFrame(rows, columns=list(NEXT_BATCH)))
    write_json(workspace.dataset / "classes.json", [{"id": 0, "name": "background"}])
    for image_id in IDS:
        write_label_map(workspace.predictions / f"{image_id}.png", np.full((8, 8), number, dtype=np.uint8))
    choose(workspace, Round(number, "g", "o"), lambda *_: None)
    return sorted(read_table(workspace.round_folder(number) / "batch.parquet", BATCH)["image_id"])


def test_what_was_skipped_or_set_aside_is_asked_once_more(workspace: Workspace) -> None:
    asked(workspace, 1, IDS[:4], rated=IDS[:2])
    assert next_round(workspace, 2, ["img2", "img3", "img4"]) == ["img2", "img3", "img4"]


def test_what_two_rounds_brought_no_answer_about_is_left_and_told(workspace: Workspace) -> None:
    asked(workspace, 1, IDS, rated=IDS[:4])
    asked(workspace, 2, ["img4", "img5"], rated=["img4"])
    with pytest.raises(StateError, match="every image has been labelled but 1 that 2 rounds brought no usable answer"):
        next_round(workspace, 3, ["img5"])


def test_a_rated_image_is_not_asked_again(workspace: Workspace) -> None:
    asked(workspace, 1, IDS[:4], rated=IDS[:4])
    assert next_round(workspace, 2, IDS[2:]) == ["img4", "img5"]


@pytest.mark.slow
def test_a_choice_that_was_killed_at_its_end_comes_out_the_same_the_next_time(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def select(*_: object) -> None:
        """As the stage does: an image that two rounds have in their batch is left out."""
        batches = [read_table(path, BATCH) for path in workspace.rounds.glob("*/batch.parquet")]
        shown = Counter(image_id for batch in batches for image_id in batch["image_id"])
        rows = [(one, rank, "default", 0.5) for rank, one in enumerate(IDS[2:]) if shown[one] < MOST_ASKED]
        write_table(workspace.next_batch, pd.DataFrame(rows, columns=list(NEXT_BATCH)))

    asked(workspace, 1, IDS[:3], rated=IDS[:2])
    monkeypatch.setattr(opening, "repro", select)
    left_alone = next_round(workspace, 2, [])
    assert left_alone == IDS[2:]
    assert next_round(workspace, 2, []) == left_alone  # nothing has recorded the step


@pytest.mark.parametrize(("enabled", "repeated"), [(True, ["select", "adapt"]), (False, ["select"])])
def test_an_adapted_decoder_forgets_what_has_become_gold_as_the_model_does(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, enabled: bool, repeated: list[str]
) -> None:
    params = yaml.safe_load(workspace.params.read_text())
    params["adapt"]["enabled"] = enabled
    workspace.params.write_text(yaml.safe_dump(params))
    asked(workspace, 1, IDS[:2], rated=IDS[:2])
    targets: list[list[str]] = []
    monkeypatch.setattr(opening, "repro", lambda _, stages, *others: targets.append(stages))
    next_round(workspace, 2, IDS[2:3])
    assert targets == [repeated]


def test_a_column_to_group_by_that_is_not_there_is_told_before_anybody_labels(workspace: Workspace) -> None:
    take_in(workspace, Source())
    workspace.params.write_text(workspace.params.read_text().replace("group_column: ''", "group_column: patient"))
    with pytest.raises(InputError, match=r"dataset\.group_column: no metadata\.csv has a column 'patient'"):
        take_in(workspace, Source())


@pytest.mark.slow
def test_after_a_round_that_made_no_dataset_the_batch_is_a_cold_start(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "read_image_vectors", lambda rows, _: np.eye(len(rows)))
    catalog = read_table(workspace.catalog, CATALOG)
    write_table(workspace.catalog, catalog.assign(duplicate_group=IDS))
    asked(workspace, 1, IDS[:2], rated=IDS[:2], **{NOT_LEARNED: "2 images fill no three splits"})
    assert next_round(workspace, 2, IDS[2:3]) == IDS[2:]
    asked(workspace, 2, IDS[2:], rated=IDS[2:4])
    assert not list(workspace.rounds.glob("*/predicted"))  # no model chose
    assert next_round(workspace, 3, IDS[4:5]) == IDS[4:5]


@pytest.mark.slow
def test_what_the_model_saw_on_what_it_chose_stays_when_the_next_one_comes(workspace: Workspace) -> None:
    asked(workspace, 1, IDS[:2], rated=IDS[:2])
    gold = [("img5", "r", "leaf", "", 8, 8)]
    write_table(workspace.gold, pd.DataFrame(gold, columns=list(GOLD)))
    assert next_round(workspace, 2, IDS[2:4]) == [*IDS[2:4], "img5"]
    kept = workspace.round_folder(2) / "predicted"
    assert sorted(path.name for path in kept.iterdir()) == ["classes.json", "img2.png", "img3.png"]
    asked(workspace, 2, IDS[2:4], rated=IDS[2:4])
    next_round(workspace, 3, IDS[4:5])
    assert [int(read_label_map(path).max()) for path in sorted(workspace.rounds.glob("*/predicted/*.png"))] == [2, 2, 3]


def test_a_cold_start_by_kept_vectors_is_the_one_by_the_embeddings(workspace: Workspace) -> None:
    for place, image_id in enumerate(IDS):
        embedding = np.random.default_rng(place).normal(size=(3, 4, 4)).astype(np.float16)
        write_bytes(workspace.embeddings / f"{image_id}.npy", embedding_bytes(embedding))
    note_encoder(workspace.embeddings, "sam-of-noise")
    computed = opening._cold_start(workspace, {IDS[0]}, 3, np.random.default_rng(0))
    keep_all_vectors(workspace.catalog, workspace.embeddings)
    kept = opening._cold_start(workspace, {IDS[0]}, 3, np.random.default_rng(0))
    assert len(kept) == 3
    pd.testing.assert_frame_equal(kept, computed)
