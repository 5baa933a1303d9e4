from pathlib import Path

import pandas as pd
import pytest

from datalab.adapters.files import write_table
from datalab.rounds.mending import regions_to_mend
from datalab.tables import CONSENSUS, GATED_PROPOSALS, ROUND_REVIEWS
from datalab.workspace import Workspace
from tests.quality.images import HEIGHT, WIDTH, rle

LEFT, RIGHT = rle(0, 0, 6, 4), rle(0, 4, 6, 8)
LEFT_BOX, RIGHT_BOX = "0 0 0.5 1", "0.5 0 0.5 1"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    rows = [("a", f"a-c{place}", "coin", drawn, HEIGHT, WIDTH, 2, 2, 0.9) for place, drawn in enumerate((LEFT, RIGHT))]
    write_table(tmp_path / "data" / "consensus.parquet", pd.DataFrame(rows, columns=list(CONSENSUS)))
    return Workspace(tmp_path)


def asked(*requests: tuple[str, str, str]) -> pd.DataFrame:
    """(region_id, verdict, box) of image a."""
    rows = [
        (str(place), "a", region, verdict, "", "coin", box) for place, (region, verdict, box) in enumerate(requests)
    ]
    return pd.DataFrame(rows, columns=list(ROUND_REVIEWS))


def decisions(workspace: Workspace, *requests: tuple[str, str, str]) -> list[str]:
    table = regions_to_mend(workspace, asked(*requests))
    assert list(table.columns) == list(GATED_PROPOSALS)
    return list(table["decision"])


def test_just_the_object_a_reviewer_picked_may_be_changed(workspace: Workspace) -> None:
    assert decisions(workspace, ("a-c1", "relabel", RIGHT_BOX)) == ["accept", "propose"]
    assert decisions(workspace, ("a-c0", "wrong class", LEFT_BOX)) == ["propose", "accept"]
    assert decisions(workspace, ("x", "relabel", LEFT_BOX), ("y", "relabel", RIGHT_BOX)) == ["propose", "propose"]


def test_a_wrong_class_somewhere_opens_every_object(workspace: Workspace) -> None:
    assert decisions(workspace, ("", "wrong class", "")) == ["propose", "propose"]


def test_an_object_that_is_gone_opens_every_object(workspace: Workspace) -> None:
    assert decisions(workspace, ("a-c7", "relabel", "0.4 0.4 0.1 0.1")) == ["propose", "propose"]


def test_an_image_to_be_labelled_anew_starts_like_any_other(workspace: Workspace) -> None:
    assert decisions(workspace, ("", "relabel", ""), ("a-c1", "wrong class", RIGHT_BOX)) == []


def test_before_any_consensus_there_is_nothing_to_mend(tmp_path: Path) -> None:
    assert regions_to_mend(Workspace(tmp_path), asked(("", "wrong class", ""))).empty
