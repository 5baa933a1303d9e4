import tracemalloc
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from datalab.errors import InputError
from datalab.masks import mask_to_rle, rle_to_mask
from datalab.quality import class_votes
from datalab.quality.class_votes import Ballots, Shares, majority
from datalab.quality.consensus import Merged, Rules, merge_images
from datalab.quality.rated import RatedImage, rated_images
from tests.quality.images import HEIGHT, WIDTH, Box, rle, tables

WIDE: Box = ("coin", 0, 0, 4, 5)
EXACT: Box = ("coin", 0, 0, 4, 4)
NARROW: Box = ("coin", 0, 0, 4, 3)
STRAY: Box = ("coin", 4, 5, 6, 8)
EQUAL = {"ann": 0.5, "bob": 0.5, "cat": 0.5}


RULES = Rules(iou_threshold=0.5, outline_iou=0.8, pixels="skill_weighted", classes="skill_weighted")


def everything(
    answers: dict[str, list[Box]], skills: dict[str, float] | None = None, rules: Rules = RULES
) -> list[Merged]:
    images = rated_images(*tables({("i", who): boxes for who, boxes in answers.items()}), at_least=1)
    return merge_images(images, skills or EQUAL, rules)["i"]


def merged(answers: dict[str, list[Box]], skills: dict[str, float] | None = None, rules: Rules = RULES) -> list[Merged]:
    return [one for one in everything(answers, skills, rules) if one.kept]


def columns(one: Merged) -> int:
    return columns_of(one.rle)


def columns_of(rle: str) -> int:
    return int(rle_to_mask(rle, HEIGHT, WIDTH)[0].sum())


def test_the_majority_of_pixels_wins() -> None:
    (one,) = merged({"ann": [WIDE], "bob": [EXACT], "cat": [NARROW]})
    assert columns(one) == 4
    assert (one.label, one.votes) == ("coin", 3)
    assert one.agreement == pytest.approx((16 / 20 + 1 + 12 / 16) / 3)


def test_skill_outweighs_number() -> None:
    (one,) = merged({"ann": [WIDE], "bob": [WIDE], "cat": [NARROW]}, {"ann": 0.2, "bob": 0.2, "cat": 0.9})
    assert columns(one) == 3


def test_a_lone_object_is_left_out_and_majority_kept() -> None:
    assert len(merged({"ann": [EXACT, STRAY], "bob": [EXACT], "cat": []})) == 1


def test_two_raters_must_both_have_it_and_a_tie_is_background() -> None:
    assert merged({"ann": [EXACT], "bob": []}) == []
    (one,) = merged({"ann": [WIDE], "bob": [EXACT]})
    assert columns(one) == 4


def test_just_half_of_the_raters_is_a_doubt_and_less_is_not() -> None:
    (one,) = everything({"ann": [EXACT], "bob": []})
    assert (one.doubt, one.kept, one.votes) == ("existence", False, 1)
    assert everything({"ann": [EXACT], "bob": [], "cat": []}) == []
    (one,) = everything({"ann": [EXACT], "bob": [EXACT], "cat": [], "dan": []})
    assert (one.doubt, one.kept) == ("existence", False)


def test_an_object_that_all_drew_elsewhere_is_a_doubt() -> None:
    """Ann's two rows overlap bob's and cat's by a third, who do not overlap at all."""
    thin: dict[str, list[Box]] = {
        who: [("coin", top, 0, top + 2, 8)] for who, top in (("ann", 2), ("bob", 3), ("cat", 1))
    }
    (one,) = everything(thin)
    assert (one.label, one.doubt, one.kept, one.votes) == ("coin", "existence", False, 3)
    assert one.contributors == ("ann", "bob", "cat")
    # what bob or cat alone drew is asked about, and no reason to learn nothing there
    assert (one.rle, one.disputed) == (rle(1, 0, 5, 8), rle(2, 0, 4, 8))
    assert one.agreement == 0.5
    (one,) = everything({**thin, "bob": [], "dan": []})
    assert (one.doubt, one.votes, one.disputed) == ("existence", 2, rle(2, 0, 3, 8))
    assert everything({**thin, "bob": [], "dan": [], "eve": []}) == []


def test_masks_that_hang_together_and_share_no_pixel_of_half_the_people_are_no_object() -> None:
    chain: dict[str, list[Box]] = {
        who: [("coin", 0, left, 4, left + 3)] for who, left in (("ann", 0), ("bob", 2), ("cat", 4))
    }
    assert [one.doubt for one in everything(chain | {"dan": [], "eve": []})] == []


def test_neighbours_whose_outlines_overlap_by_a_pixel_are_two_objects() -> None:
    beside: dict[str, list[Box]] = {"ann": [("coin", 0, 0, 6, 4)], "bob": [("cup", 5, 3, 6, 8)], "cat": []}
    assert everything(beside) == []


NEAR: Box = ("coin", 0, 0, 4, 3)
"""A copy of EXACT but for a column: IoU 0.75."""


@pytest.mark.parametrize(
    "answers",
    [
        {"ann": [EXACT, NEAR], "bob": [EXACT]},
        {"ann": [NEAR, EXACT], "bob": [EXACT, NEAR], "cat": [EXACT], "dan": [EXACT]},
        {"ann": [EXACT, NEAR], "bob": [EXACT], "cat": [EXACT]},
    ],
    ids=["two", "two of four", "three"],
)
def test_a_proposal_left_beside_its_redrawn_object_is_no_second_object(answers: dict[str, list[Box]]) -> None:
    (one,) = everything(answers)
    assert (columns(one), one.doubt, one.disputed, one.contributors) == (4, "", "", tuple(answers))


def test_second_masks_of_several_people_are_not_joined_to_one_doubt() -> None:
    """Ann's and bob's share a column, which half of the raters drew so."""
    whole: Box = ("coin", 0, 0, 4, 8)
    (one,) = everything(
        {
            "ann": [whole, ("coin", 0, 0, 4, 5)],
            "bob": [("coin", 0, 2, 4, 8), ("coin", 0, 4, 4, 8)],
            "cat": [whole],
        }
    )
    assert (columns(one), one.doubt) == (8, "")


@pytest.mark.parametrize(
    ("ann", "bob"),
    [
        ([EXACT, ("cup", 0, 0, 4, 3)], [EXACT]),
        ([EXACT, ("coin", 0, 0, 4, 1)], [EXACT]),
        ([EXACT], [EXACT, STRAY]),
    ],
    ids=["of another class", "smaller", "elsewhere"],
)
def test_what_one_of_two_drew_besides_stays_a_doubt(ann: list[Box], bob: list[Box]) -> None:
    kept, other = everything({"ann": ann, "bob": bob})
    assert (kept.kept, kept.doubt) == (True, "")
    assert (other.kept, other.doubt) == (False, "existence")


def test_what_people_drew_apart_is_no_object_of_them_together() -> None:
    apart: dict[str, list[Box]] = {"ann": [("coin", 0, 0, 2, 2)], "bob": [("coin", 0, 2, 2, 4)], "cat": [STRAY]}
    assert everything(apart) == []


def test_what_merely_touches_leaves_the_others_classes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who confuses which classes is learned from objects, not from a cup and a coin side by side."""
    seen: list[Sequence[tuple[str, str]]] = []

    def noted(ballots: Ballots, skills: Mapping[str, float]) -> Shares:
        seen.extend(ballots)
        return majority(ballots, skills)

    monkeypatch.setattr(class_votes, "CLASS_VOTES", {**class_votes.CLASS_VOTES, "noted": noted})
    answers: dict[str, list[Box]] = {"ann": [EXACT, ("cup", 4, 4, 6, 6)], "bob": [EXACT], "cat": [("coin", 4, 5, 6, 8)]}
    kept, touching = everything(answers, rules=replace(RULES, classes="noted"))
    assert (kept.doubt, touching.doubt, touching.label) == ("", "existence", "coin")
    assert seen == [[("ann", "coin"), ("bob", "coin")]]


def test_two_people_who_differ_are_not_put_to_the_vote() -> None:
    answers: dict[str, list[Box]] = {"ann": [("cup", 0, 0, 4, 4)], "bob": [EXACT]}
    for skills in (EQUAL, {"ann": 0.9, "bob": 0.1}):
        (one,) = everything(answers, skills)
        assert (one.doubt, one.kept) == ("class", False)
        assert columns_of(one.disputed) == 4


def test_two_outlines_that_overlap_too_little_leave_the_difference_to_a_reviewer() -> None:
    (one,) = everything({"ann": [WIDE], "bob": [NARROW]}, {"ann": 0.9, "bob": 0.1})
    assert (one.doubt, one.kept, one.method) == ("outline", True, "two")
    assert columns(one) == 3
    assert rle_to_mask(one.disputed, HEIGHT, WIDTH)[0].tolist() == [False] * 3 + [True] * 2 + [False] * 3
    (one,) = everything({"ann": [WIDE], "bob": [EXACT], "cat": []}, {"ann": 0.9, "bob": 0.1, "cat": 0.5})
    assert (one.doubt, one.disputed, one.votes) == ("", "", 2)
    assert columns(one) == 5


def test_what_only_one_of_two_drew_on_a_large_photograph_takes_little_memory() -> None:
    tall, wide = (np.zeros((1500, 2000), dtype=bool) for _ in range(2))
    tall[700:720, 900:910] = wide[710:730, 900:910] = True
    drawn = (("ann", mask_to_rle(tall)), ("bob", mask_to_rle(wide)))
    rated = [RatedImage("i", who, (("coin", shape),), ("manual",), 1500, 2000, "i") for who, shape in drawn]
    tracemalloc.start()
    (one,) = merge_images({"i": rated}, EQUAL, replace(RULES, iou_threshold=0.3))["i"]
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (one.rle, one.disputed) == (mask_to_rle(tall & wide), mask_to_rle(tall ^ wide))
    assert most < tall.size


def test_a_class_that_wins_against_most_heads_is_kept_with_a_doubt() -> None:
    answers: dict[str, list[Box]] = {"ann": [("cup", 0, 0, 4, 4)], "bob": [EXACT], "cat": [EXACT]}
    (one,) = everything(answers, {"ann": 0.9, "bob": 0.2, "cat": 0.2})
    assert (one.label, one.doubt, one.kept, one.disputed) == ("cup", "class", True, "")


def test_who_contributed_and_how() -> None:
    (one,) = merged({"cat": [EXACT], "ann": [EXACT], "bob": [], "dan": [NARROW]}, dict.fromkeys("abcd", 0.5))
    assert one.contributors == ("ann", "cat", "dan")
    assert one.method == "skill_weighted"
    (alone,) = merged({"ann": [EXACT]})
    assert (alone.contributors, alone.method) == (("ann",), "single")


def test_an_unknown_vote_names_the_known_ones() -> None:
    answers = {who: [EXACT] for who in EQUAL}
    with pytest.raises(InputError, match=r"no pixel vote 'mean'; known: majority, skill_weighted, staple, em, rasa"):
        merged(answers, rules=replace(RULES, pixels="mean"))
    with pytest.raises(InputError, match=r"no class vote 'mean'; known: majority, skill_weighted, dawid_skene"):
        merged(answers, rules=replace(RULES, classes="mean"))


def test_a_tie_of_skill_against_number_is_a_doubt() -> None:
    answers: dict[str, list[Box]] = {"ann": [("cup", 0, 0, 4, 4)], "bob": [EXACT], "cat": [EXACT]}
    (one,) = everything(answers, {"ann": 0.8, "bob": 0.4, "cat": 0.4})
    assert (one.doubt, one.kept) == ("class", False)


def test_masks_that_overlap_too_little_are_two_objects() -> None:
    found = everything({"ann": [("coin", 0, 0, 4, 4)], "bob": [("coin", 0, 3, 4, 7)]})
    assert [one.doubt for one in found] == ["existence", "existence"]


def test_the_order_of_people_does_not_matter() -> None:
    answers = {"ann": [WIDE, STRAY], "bob": [EXACT], "cat": [NARROW, STRAY]}
    there, back = (
        {(one.label, one.rle, one.votes) for one in merged(dict(order))}
        for order in (answers.items(), reversed(answers.items()))
    )
    assert there == back


def test_nothing_outside_the_box_and_the_exact_place() -> None:
    (one,) = merged({"ann": [STRAY], "bob": [STRAY], "cat": [("coin", 3, 4, 6, 8)]})
    mask = rle_to_mask(one.rle, HEIGHT, WIDTH)
    assert mask.sum() == 6
    assert mask[4:6, 5:8].all()


def test_one_rater_is_taken_as_is() -> None:
    (one,) = merged({"ann": [EXACT]})
    assert (one.votes, one.agreement) == (1, 1)


def test_class_goes_by_skill() -> None:
    answers = {"ann": [EXACT], "bob": [("cup", 0, 0, 4, 4)], "cat": [("cup", 0, 0, 4, 4)]}
    assert merged(answers)[0].label == "cup"
    assert merged(answers, {"ann": 0.9, "bob": 0.2, "cat": 0.2})[0].label == "coin"


def test_identical_masks_give_the_mask_whatever_the_skills() -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        skills = dict(zip(EQUAL, rng.random(3), strict=True))
        (one,) = merged({who: [EXACT] for who in EQUAL}, skills)
        assert columns(one) == 4


def test_nobody_drew_anything() -> None:
    assert merged({"ann": [], "bob": []}) == []


CUP: Box = ("cup", 0, 0, 4, 4)
FOUR = {"ann": 0.9, "bob": 0.9, "cat": 0.2, "dan": 0.2}


def test_skill_names_the_class_and_does_not_decide_between_equal_numbers_of_heads() -> None:
    (one,) = everything({"ann": [CUP], "bob": [CUP], "cat": [EXACT], "dan": [EXACT]}, FOUR)
    assert (one.label, one.doubt, one.kept) == ("cup", "class", False)
    assert one.disputed
    (one,) = everything({"ann": [CUP], "cat": [EXACT], "dan": [EXACT]}, FOUR)
    assert (one.label, one.doubt, one.kept) == ("cup", "class", True)


def test_three_who_name_three_classes_teach_nothing_until_somebody_has_decided() -> None:
    three = {"ann": [CUP], "bob": [EXACT], "cat": [("lid", 0, 0, 4, 4)]}
    (one,) = everything(three, FOUR)
    assert (one.doubt, one.kept) == ("class", False)


def test_whether_it_is_there_is_asked_before_what_it_is() -> None:
    (one,) = everything({"ann": [CUP], "bob": [EXACT], "cat": [], "dan": []}, dict.fromkeys(FOUR, 0.5))
    assert one.doubt == "existence"
