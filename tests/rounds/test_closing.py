from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from datalab.adapters.dvc import initialise
from datalab.adapters.files import read_table, write_table
from datalab.errors import InputError
from datalab.rounds import closing
from datalab.rounds.closing import learn, trusted_inputs
from datalab.rounds.progress import silent
from datalab.rounds.raw import ensure_tables
from datalab.rounds.state import NOT_LEARNED, Round
from datalab.stages import collect
from datalab.tables import ANNOTATED_REGIONS, CATALOG, GOLD, GOLD_EVENTS, RATINGS, REVIEWS, empty
from datalab.workspace import Workspace
from tests.quality.images import tables
from tests.rounds.labeling_round import ROOT, nobody, ready_workspace
from tests.stages.rounds_folder import write_round

ASKED = ("a", "b", "c", "d")
APART = {image_id: f"{0xFFFF << (16 * place):016x}" for place, image_id in enumerate(ASKED)}


def gold_workspace(folder: Path, *events: tuple[str, str, str]) -> Workspace:
    """Images a and b are gold that ann has labelled in round 0001. `events`: (image, action, round)."""
    workspace, _ = ready_workspace(folder / "w", nobody(folder / "media"))
    ratings, _ = tables({("a", "ann"): [], ("b", "ann"): []})
    write_table(workspace.ratings, ratings)
    write_table(workspace.regions, empty(ANNOTATED_REGIONS))
    gold = pd.DataFrame([(one, f"{one}-t", "", "", 6, 8) for one in "ab"], columns=list(GOLD))
    write_table(workspace.gold, gold)
    rows = [(image, action, "because", "eve", round_id, "2026-01-01") for image, action, round_id in events]
    write_table(workspace.gold_events, pd.DataFrame(rows, columns=list(GOLD_EVENTS)))
    return workspace


def test_reviewers_see_no_gold_whose_truth_is_in_doubt(tmp_path: Path) -> None:
    inputs = trusted_inputs(gold_workspace(tmp_path, ("a", "disputed", "0001")))
    assert inputs.gold is not None
    assert inputs.gold["image_id"].tolist() == ["b"]
    assert inputs.judging is not None
    assert inputs.judging["image_id"].tolist() == ["b"]


def test_an_answer_that_made_an_image_gold_is_not_judged_by_it(tmp_path: Path) -> None:
    inputs = trusted_inputs(gold_workspace(tmp_path, ("a", "added", "0001")))
    assert inputs.gold is not None
    assert inputs.gold["image_id"].tolist() == ["a", "b"]
    assert inputs.judging is not None
    assert inputs.judging["image_id"].tolist() == ["b"]


@pytest.fixture
def unanswered(tmp_path: Path) -> Workspace:
    """A round that nobody has answered, in a workspace with the whole graph."""
    workspace, _ = ready_workspace(tmp_path / "w", nobody(tmp_path / "media"))
    (workspace.root / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    rows = [(one, f"{one}.png", f"{one}.png", 8, 6, APART[one], one) for one in ASKED]
    write_table(workspace.catalog, pd.DataFrame(rows, columns=list(CATALOG)))
    write_table(workspace.gold, empty(GOLD))
    ensure_tables(workspace)
    return workspace


@pytest.fixture
def pulled(unanswered: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Of the graph `collect` alone runs, in this process."""

    def run(workspace: Workspace, targets: Sequence[str] = (), *_: object, **__: object) -> list[str]:
        if not targets:
            return ["train"]
        earlier = [workspace.data / f"earlier_{name}.parquet" for name in ("ratings", "regions")]
        outs = (workspace.ratings, workspace.regions, workspace.attributes, workspace.first_labels, *earlier)
        collect.run(collect.Inputs(workspace.rounds, workspace.gold, workspace.reviews), collect.Outputs(*outs))
        return list(targets)

    monkeypatch.setattr(closing, "repro", run)
    monkeypatch.setattr(closing, "add", lambda *_: None)
    return unanswered


def learned(workspace: Workspace, images: Sequence[str], number: int = 1, skipped: int = 0) -> str | None:
    """Why nothing could be learned from a round about these images; None where the graph ran."""
    boxes = [("coin", 0, 0, 2, 2)]
    answers = [(one, "ann", boxes) for one in images]
    write_round(workspace.rounds, f"{number:04d}", answers, first_id=10 * number, skipped=skipped)
    why: str | None = learn(workspace, Round(number, "g", "o"), silent).get(NOT_LEARNED)
    return why


def test_the_suggested_command_holds_for_a_folder_with_a_space(pulled: Workspace) -> None:
    (pulled.root / "my tiles").symlink_to(pulled.root)
    said = learned(Workspace(pulled.root / "my tiles"), "ab")
    assert said is not None
    assert said.endswith(f"(datalab ingest FOLDER --workspace '{pulled.root / 'my tiles'}')")


@pytest.mark.slow
def test_a_round_of_too_few_images_ends_and_the_next_one_counts_them(pulled: Workspace) -> None:
    said = learned(pulled, "ab")
    assert said is not None
    assert said.startswith("round 0001 ends without a model: 2 labelled image(s) in 2 group(s) cannot fill")
    assert said.endswith(f"or take in more images first (datalab ingest FOLDER --workspace {pulled.root})")
    assert learned(pulled, "cd", number=2) is None


@pytest.mark.slow
def test_it_ends_with_the_real_graph_as_well(unanswered: Workspace) -> None:
    (unanswered.root / "src").symlink_to(ROOT / "src")
    initialise(unanswered.root)
    assert "2 labelled image(s) in 2 group(s)" in str(learned(unanswered, "ab"))
    assert read_table(unanswered.ratings, RATINGS)["image_id"].tolist() == ["a", "b"]
    assert (unanswered.root / "data" / "rounds.dvc").exists()
    assert not unanswered.dataset.exists()


@pytest.mark.slow
def test_copies_of_one_image_and_skips_are_too_little(pulled: Workspace) -> None:
    assert "no image but gold has an answer that counts" in str(learned(pulled, ASKED, skipped=4))
    catalog = read_table(pulled.catalog, CATALOG)
    write_table(pulled.catalog, catalog.assign(phash=APART["a"]))
    assert "4 labelled image(s) in 1 group(s) cannot fill train" in str(learned(pulled, ASKED))


def test_a_round_without_any_answer_ends(pulled: Workspace) -> None:
    assert "nobody has answered anything yet" in str(learned(pulled, ()))


@pytest.mark.slow
def test_images_that_a_reviewer_left_out_fill_no_split(pulled: Workspace) -> None:
    assert learned(pulled, ASKED) is None
    out = pd.DataFrame([dict.fromkeys(REVIEWS, "") | {"image_id": one, "verdict": "exclude"} for one in "bcd"])
    write_table(pulled.reviews, out.loc[:, list(REVIEWS)])
    assert "no image with an answer that counts is left for train, test" in str(learned(pulled, ASKED))


def test_a_wrong_number_is_an_error_and_no_lack_of_labels(pulled: Workspace) -> None:
    pulled.params.write_text(pulled.params.read_text().replace("  train: 0.65", "  train: 0.9"))
    with pytest.raises(InputError, match="dataset shares must be three positive numbers that sum to 1"):
        learned(pulled, ASKED)
