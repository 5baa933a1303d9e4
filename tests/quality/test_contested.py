import pytest

from datalab.quality.adjudication import Decision
from datalab.quality.consensus import Rules, merge_images
from datalab.quality.contested import decided_objects
from datalab.quality.rated import rated_images
from tests.quality.images import HEIGHT, WIDTH, Box, rle, tables

RULES = Rules(0.5, 0.8, "majority", "majority")
COIN: Box = ("coin", 0, 0, 3, 3)
CUP: Box = ("cup", 3, 4, 6, 8)
PLATE: Box = ("plate", 0, 5, 2, 8)


def region(box: Box) -> tuple[str, str]:
    label, *sides = box
    return label, rle(*sides)


def after(answers: dict[str, list[Box]], decided: list[Box], asked: str) -> list[tuple[str, str, str, str]]:
    """(label, rle, method, doubt) of the image's objects, of which everybody's are given by annotator."""
    images = rated_images(*tables({("i", who): boxes for who, boxes in answers.items()}))
    before = merge_images(images, {}, RULES)["i"]
    decision = Decision(tuple(map(region, decided)), "eve", "contested", HEIGHT, WIDTH, asked)
    found = decided_objects(before, decision, images["i"], RULES.iou_threshold)
    return [(one.label, one.rle, one.method, one.doubt) for one in found]


def test_a_part_is_decided_and_the_rest_stays() -> None:
    """The coin is settled; bob has no cup, and the reviewer draws it smaller."""
    smaller: Box = ("cup", 3, 4, 6, 7)
    found = after({"ann": [COIN, CUP], "bob": [COIN]}, [smaller], rle(*CUP[1:]))
    assert found == [(*region(COIN), "two", ""), (*region(smaller), "adjudicated", "")]


def test_nothing_there_takes_the_contested_objects_away() -> None:
    assert after({"ann": [COIN, CUP], "bob": [COIN]}, [], rle(*CUP[1:])) == [(*region(COIN), "two", "")]


@pytest.mark.parametrize("answer", [[], [("cup", 4, 5, 5, 6)], [("coin", 4, 5, 5, 7)]])
def test_what_lay_on_the_contested_part_is_what_the_reviewer_left_there(answer: list[Box]) -> None:
    """A coin that both drew lies on the plate that bob lacks; the reviewer takes it away, renames or redraws it."""
    plate, coin = ("plate", 3, 4, 6, 8), ("coin", 4, 5, 5, 6)
    found = after({"ann": [plate, coin], "bob": [coin]}, [plate, *answer], rle(3, 4, 6, 8))
    assert sorted(one[:2] for one in found) == sorted(map(region, [plate, *answer]))


def test_what_is_settled_is_not_there_twice() -> None:
    found = after({"ann": [COIN, CUP], "bob": [COIN]}, [COIN, CUP], rle(*CUP[1:]))
    assert [(label, method) for label, _, method, _ in found] == [("coin", "two"), ("cup", "adjudicated")]


def test_what_is_contested_elsewhere_stays_in_doubt() -> None:
    found = after({"ann": [COIN, CUP, PLATE], "bob": [COIN]}, [CUP], rle(*CUP[1:]))
    assert [(label, doubt) for label, *_, doubt in found] == [("coin", ""), ("plate", "existence"), ("cup", "")]


def test_a_decision_about_the_whole_image_is_all_there_is() -> None:
    found = after({"ann": [COIN, CUP], "bob": [COIN]}, [CUP], "")
    assert [(label, method) for label, _, method, _ in found] == [("cup", "adjudicated")]
