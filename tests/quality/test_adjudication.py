import pytest

from datalab.errors import InputError
from datalab.quality.adjudication import Audit, Decision, adjudicated, audit, errors_left, read_decisions
from datalab.quality.consensus import Rules, merge_images
from datalab.quality.rated import rated_images
from datalab.tables import DECISIONS, empty
from tests.quality.images import Box, rle, tables

COIN: Box = ("coin", 0, 0, 4, 4)
RULES = Rules(0.5, 0.8, "majority", "majority")


def decision(*boxes: Box) -> Decision:
    return Decision(tuple((label, rle(*box)) for label, *box in boxes), "eve", "audit", 6, 8)


@pytest.mark.parametrize(
    ("decided", "objects", "errors"),
    [
        (decision(COIN), 1, 0),
        (decision(), 1, 1),
        (decision(COIN, ("cup", 4, 5, 6, 8)), 2, 1),
        (decision(("cup", 0, 0, 4, 4)), 1, 1),
        (decision(("coin", 0, 0, 4, 3)), 1, 1),  # IoU 0.75
        (decision(("coin", 0, 4, 4, 8)), 2, 2),
    ],
)
def test_what_counts_as_an_error(decided: Decision, objects: int, errors: int) -> None:
    images = rated_images(*tables({("i", "ann"): [COIN]}), at_least=1)
    before = merge_images(images, {}, RULES)["i"]
    assert audit("i", before, decided, images["i"][0], 0.5, 0.8) == Audit("i", objects, errors)


def test_votes_of_a_decision_are_those_who_had_it_right() -> None:
    answers: dict[tuple[str, str], list[Box]] = {("i", "ann"): [COIN], ("i", "bob"): [("cup", 0, 0, 4, 4)]}
    rated = rated_images(*tables(answers))["i"]
    (one,) = adjudicated(decision(COIN), rated, 0.5)
    assert (one.votes, one.agreement, one.kept, one.contributors) == (1, 1, True, ("eve",))


def test_a_decision_at_another_size_is_one_line() -> None:
    rated = rated_images(*tables({("i", "ann"): [COIN]}), at_least=1)["i"]
    with pytest.raises(InputError, match="image i was decided at 4 x 6 pixels and labelled at 8 x 6"):
        adjudicated(Decision((), "eve", "contested", 6, 4), rated, 0.5)


def test_errors_left_are_scaled_to_the_unseen_images() -> None:
    left = errors_left(1, 4, unseen=200)
    assert left["wrong_share"].value == 0.25
    assert left["wrong_images_left"].value == 50
    # Wilson's interval of 1 in 4
    assert left["wrong_images_left"].low == pytest.approx(200 * 0.045587, abs=1e-3)
    assert left["wrong_images_left"].high == pytest.approx(200 * 0.699358, abs=1e-3)


def test_without_an_audit_nothing_is_known() -> None:
    assert [figure.value for figure in errors_left(0, 0, unseen=10).values()] == [None, None]
    assert read_decisions(empty(DECISIONS)) == {}


def test_two_reviewers_of_one_image_are_one_line() -> None:
    table = empty(DECISIONS)
    for reviewer in ("eve", "fay"):
        table.loc[len(table)] = ["i", "d", "coin", rle(0, 0, 4, 4), 6, 8, reviewer, "audit", ""]
    with pytest.raises(InputError, match="image i was decided by eve and fay"):
        read_decisions(table)
