import numpy as np
import pytest

from datalab.quality.rated import rated_images
from datalab.quality.vote_doubts import Voted, vote_doubts, voted_objects
from tests.quality.images import tables

COIN, CUP = [0.05, 0.9, 0.05], [0.05, 0.05, 0.9]


def voted(votes: dict[str, int], seen: list[float]) -> Voted:
    return Voted(votes, np.array(seen))


def agreeing(count: int) -> list[Voted]:
    """Everybody and the model say the same, of either class in turn."""
    return [
        voted(dict.fromkeys(("ann", "bob", "cy"), 1 + place % 2), CUP if place % 2 else COIN) for place in range(count)
    ]


def test_a_model_that_contradicts_the_majority_raises_a_doubt() -> None:
    objects = [*agreeing(20), voted({"ann": 1, "bob": 1, "cy": 2}, CUP)]
    found = vote_doubts(objects)
    assert len(found) == 21
    assert max(found, key=lambda one: one.score) is found[-1]
    assert (found[-1].given, found[0].suggested) == (1, 1)
    assert all(one.score < 0.2 for one in found[:20])


def test_a_tie_is_broken_by_the_model() -> None:
    found = vote_doubts([*agreeing(20), voted({"ann": 1, "bob": 2}, CUP)])[-1]
    assert found.given == found.suggested == 2


def test_somebody_who_saw_nothing_has_voted_too() -> None:
    found = vote_doubts([*agreeing(20), voted({"ann": 1, "bob": 0, "cy": 0}, [0.9, 0.05, 0.05])])[-1]
    assert (found.given, found.suggested) == (0, 0)


def test_whoever_looked_and_did_not_draw_an_object_votes_for_background() -> None:
    rated = rated_images(*tables({("a", "ann"): [("coin", 0, 0, 4, 8)], ("a", "bob"): []}))["a"]
    chances = np.stack([np.full((3, 4), share) for share in (0.2, 0.7, 0.1)])
    [(box, one)] = voted_objects(rated, {"background": 0, "coin": 1, "cup": 2}, chances, 0.5)
    assert box == (0, 0, 4, 2)
    assert one.votes == {"ann": 1, "bob": 0}
    assert one.seen.tolist() == pytest.approx([0.2, 0.7, 0.1])


@pytest.mark.parametrize(
    "objects",
    [
        [],
        [voted({"ann": 1}, COIN), voted({"bob": 2}, CUP)],
        [voted({"ann": 1, "bob": 1}, COIN)] * 3,
        [voted({"ann": 1, "bob": 1}, COIN), voted({"ann": 1, "cy": 1}, COIN)],
    ],
)
def test_nothing_to_compare_gives_no_doubt(objects: list[Voted]) -> None:
    assert vote_doubts(objects) == []
