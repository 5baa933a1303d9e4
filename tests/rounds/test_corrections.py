"""Two rounds at the fake server: what changes in the first after its pull is read by the pull of the second."""

from pathlib import Path

import pytest

from datalab.adapters.files import read_table
from datalab.adapters.label_studio.results import region_to_result
from datalab.rounds import labeling
from datalab.rounds.history import read_versions
from datalab.rounds.progress import silent
from datalab.tables import ANNOTATIONS, QUARANTINE
from tests.adapters.label_studio.fake_server import FakeLabelStudio, client_over
from tests.rounds.labeling_round import next_round, nobody, ready_workspace
from tests.services.labeling import OTHER, TRUE
from tests.simulate.people import SIDE
from tests.stages.rounds_folder import without_drawings

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
        self.first, self.second = self.workspace.round_folder(1), next_round(self.workspace, 2)
        labeling.push(self.workspace, self.second, silent)

    @property
    def second_folder(self) -> Path:
        return self.workspace.round_folder(self.second.number)

    def pull(self) -> dict[str, int]:
        corrected: dict[str, int] = labeling.pull(self.workspace, self.second, silent)["corrected"]
        return corrected

    @property
    def corrections(self) -> list[tuple[str, int, str]]:
        table = read_table(self.second_folder / "corrections.parquet", ANNOTATIONS)
        columns = table[["round_id", "annotation_id", "updated_at"]]
        return [(str(name), int(one), str(at)) for name, one, at in columns.to_numpy().tolist()]

    @property
    def reasons(self) -> list[str]:
        table = read_table(self.second_folder / "quarantine.parquet", QUARANTINE)
        return [f"{name}: {reason}" for name, reason in table[["round_id", "reason"]].to_numpy().tolist()]

    def tables(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.first.glob("*.parquet")}


@pytest.fixture
def rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TwoRounds:
    server = FakeLabelStudio()
    monkeypatch.setattr(labeling, "connect", lambda url, token: client_over(server))
    return TwoRounds(tmp_path, server)


def test_without_a_change_there_is_nothing(rounds: TwoRounds) -> None:
    assert rounds.pull() == {}
    assert rounds.corrections == []
    assert len(read_versions(rounds.first)) == 2


def test_a_slip_that_was_put_right_is_read_and_its_round_stays_as_it_was(rounds: TwoRounds) -> None:
    before = rounds.tables()
    rounds.server.change(rounds.good, [CUP])
    assert rounds.pull() == {"0001": 1}
    assert rounds.corrections == [("0001", rounds.good["id"], rounds.good["updated_at"])]
    assert rounds.reasons == []
    assert rounds.tables() == before
    # killed behind the pull, it pulls again
    assert rounds.pull() == {"0001": 1}
    assert len(read_versions(rounds.first)) == 3


def test_what_was_read_before_is_known_without_the_drawings(rounds: TwoRounds) -> None:
    without_drawings(rounds.first / "annotations.parquet")
    rounds.server.change(rounds.good, [CUP])
    assert rounds.pull() == {"0001": 1}


def test_what_was_set_aside_counts_once_it_was_submitted_again(rounds: TwoRounds) -> None:
    rounds.server.change(rounds.doubtful, [])
    assert rounds.pull() == {"0001": 1}
    assert rounds.reasons == []


def test_a_correction_that_cannot_be_right_is_set_aside(rounds: TwoRounds) -> None:
    rounds.server.change(rounds.good, [region_to_result("r", "plate", TRUE, SIDE, SIDE)])
    assert rounds.pull() == {"0001": 1}
    assert rounds.reasons == ["0001: unknown class"]


@pytest.mark.slow
def test_what_one_round_has_read_the_next_one_does_not_read_again(rounds: TwoRounds) -> None:
    rounds.server.change(rounds.good, [CUP])
    rounds.pull()
    rounds.second = next_round(rounds.workspace, 3)
    labeling.push(rounds.workspace, rounds.second, silent)
    rounds.server.change(rounds.doubtful, [])
    assert rounds.pull() == {"0001": 1}
    assert [one for _, one, _ in rounds.corrections] == [rounds.doubtful["id"]]


def test_tasks_that_were_cleared_away_stay_as_they_were(rounds: TwoRounds) -> None:
    rounds.server.tasks = [task for task in rounds.server.tasks if task["data"]["round"] == "0002"]
    assert rounds.pull() == {}
    assert set(read_versions(rounds.first)["kind"]) == {"annotation"}
