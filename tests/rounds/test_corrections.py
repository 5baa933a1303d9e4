"""Two rounds at the fake server: what changes in the first after its pull is read by the pull of the second."""

from pathlib import Path

import pandas as pd
import pytest

from datalab.adapters.files import read_table, write_table
from datalab.adapters.label_studio.results import region_to_result
from datalab.rounds import labeling
from datalab.rounds.history import read_versions
from datalab.rounds.progress import silent
from datalab.tables import ANNOTATIONS, QUARANTINE
from tests.adapters.label_studio.fake_server import FakeLabelStudio, KilledError, client_over
from tests.rounds.labeling_round import next_round, nobody, ready_workspace
from tests.services.labeling import OTHER, TRUE
from tests.simulate.people import SIDE

COIN = region_to_result("r", "coin", TRUE, SIDE, SIDE)
CUP = region_to_result("s", "cup", OTHER, SIDE, SIDE)
LONG = 900.0


class TwoRounds:
    """The first is pulled: one answer counts, one is set aside. The second is pushed."""

    def __init__(self, folder: Path, server: FakeLabelStudio) -> None:
        self.server = server
        self.workspace, first = ready_workspace(folder / "w", nobody(folder / "media"))
        labeling.push(self.workspace, first, silent)
        tasks = [task["id"] for task in server.tasks]
        self.good = server.answer(tasks[0], 1, [COIN])
        self.doubtful = server.answer(tasks[1], 1, [], lead_time=LONG)
        labeling.pull(self.workspace, first, silent)
        self.first, self.second = self.workspace.round_folder(1), next_round(self.workspace)
        labeling.push(self.workspace, self.second, silent)

    def pull(self) -> dict[str, int]:
        corrected: dict[str, int] = labeling.pull(self.workspace, self.second, silent)["corrected"]
        return corrected

    @property
    def stamps(self) -> list[str]:
        return [str(one) for one in read_table(self.first / "annotations.parquet", ANNOTATIONS)["updated_at"]]

    @property
    def reasons(self) -> list[str]:
        return [str(one) for one in read_table(self.first / "quarantine.parquet", QUARANTINE)["reason"]]


@pytest.fixture
def rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TwoRounds:
    server = FakeLabelStudio()
    monkeypatch.setattr(labeling, "connect", lambda url, token: client_over(server))
    return TwoRounds(tmp_path, server)


def test_without_a_change_nothing_is_written(rounds: TwoRounds) -> None:
    before = {path: path.stat().st_mtime_ns for path in rounds.first.rglob("*.parquet")}
    assert rounds.pull() == {}
    assert {path: path.stat().st_mtime_ns for path in rounds.first.rglob("*.parquet")} == before
    assert rounds.reasons == ["empty after long work"]


def test_a_slip_that_was_put_right_counts(rounds: TwoRounds) -> None:
    rounds.server.change(rounds.good, [CUP])
    assert rounds.pull() == {"0001": 1}
    table = read_table(rounds.first / "annotations.parquet", ANNOTATIONS)
    assert table["annotation_id"].tolist() == [rounds.good["id"], rounds.doubtful["id"]]
    assert '"cup"' in table["result_json"].iloc[0]
    assert set(table["round_id"]) == {"0001"}
    assert rounds.reasons == ["empty after long work"]
    assert rounds.pull() == {}
    assert len(read_versions(rounds.first)) == 3


def test_what_was_set_aside_counts_once_it_was_submitted_again(rounds: TwoRounds) -> None:
    rounds.server.change(rounds.doubtful, [])
    assert rounds.pull() == {"0001": 1}
    assert rounds.reasons == []


def test_a_correction_that_cannot_be_right_is_set_aside(rounds: TwoRounds) -> None:
    rounds.server.change(rounds.good, [region_to_result("r", "coin", TRUE[:-8], SIDE // 2, SIDE)])
    assert rounds.pull() == {"0001": 1}
    assert len(rounds.reasons) == 2


def test_tasks_that_were_cleared_away_stay_as_they_were(rounds: TwoRounds) -> None:
    rounds.server.tasks = [task for task in rounds.server.tasks if task["data"]["round"] == "0002"]
    before = rounds.stamps
    assert rounds.pull() == {}
    assert rounds.stamps == before
    assert set(read_versions(rounds.first)["kind"]) == {"annotation"}


def test_killed_between_its_files_it_goes_on(rounds: TwoRounds, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds.server.change(rounds.doubtful, [])

    def killed(path: Path, table: pd.DataFrame) -> None:
        if path == rounds.first / "annotations.parquet":
            raise KilledError
        write_table(path, table)

    with monkeypatch.context() as patch:
        patch.setattr("datalab.rounds.corrections.write_table", killed)
        with pytest.raises(KilledError):
            rounds.pull()
    assert rounds.pull() == {"0001": 1}
    assert rounds.doubtful["updated_at"] in rounds.stamps
    assert rounds.reasons == []
