from dataclasses import replace

import numpy as np
import pytest

from tests.quality.test_gold_score import advised, image

NO_CLASS = np.zeros((2, 2), dtype=np.int64)


def test_advice_names_small_objects_when_only_they_are_missed() -> None:
    one = replace(image(14, 14, 20), small_hits=4, small_true=10)
    assert advised([one] * 4) == ["misses small objects: 16 of 40 right, of larger ones 40 of 40"]
    assert advised([image(5, 5, 10)] * 6) == ["misses objects or their class: 30 of 60 right"]
    assert advised([replace(image(19, 19, 20), small_hits=9, small_true=10)]) == []


@pytest.mark.parametrize(
    ("px", "expected"),
    [
        (3.04, ["draws 3.0 px too wide (2.9 to 3.2)"]),
        (-2.0, ["draws 2.0 px too narrow (1.8 to 2.2)"]),
        (1.4, []),
    ],
)
def test_advice_on_outlines(px: float, expected: list[str]) -> None:
    assert advised([image(10, 10, 10, offset_px=px + by) for by in (-0.1, 0.1, 0.1, -0.1)]) == expected


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_few_images_with_outlines_off_by_chance_are_no_habit(count: int) -> None:
    """Resampling two images called outlines too wide or too narrow in a third of the draws."""
    rng = np.random.default_rng(5)
    told = []
    for _ in range(400):
        images = [replace(image(4, 4, 4, offset_px=float(px)), presence=NO_CLASS) for px in rng.normal(0, 2.5, count)]
        told.append(any("draws" in line for line in advised(images)))
    assert np.mean(told) <= 0.07


def test_outlines_off_both_ways_are_no_habit() -> None:
    assert advised([image(10, 10, 10, offset_px=px) for px in (9.0, -5.0, 8.0, -6.0)]) == []


def test_advice_on_classes_and_on_what_is_no_object() -> None:
    mixed = replace(image(7, 10, 10), confusions=(("coin", "cup"),) * 3)
    assert "takes coin for cup: 12 of 40" in advised([mixed] * 4)
    assert advised([image(10, 15, 10)] * 4) == ["marks what is no object: 20 of 60"]


def test_objects_of_another_class_are_objects() -> None:
    mixed = replace(image(7, 13, 10), confusions=(("coin", "cup"),) * 3)
    assert "marks what is no object: 30 of 130" in advised([mixed] * 10)


def test_one_image_that_went_wrong_is_no_habit() -> None:
    assert advised([image(10, 10, 10)] * 9 + [image(10, 45, 10)]) == []
    confused = replace(image(0, 10, 10), confusions=(("coin", "cup"),) * 10)
    assert not any("takes" in line for line in advised([image(10, 10, 10)] * 3 + [confused]))
    blind = replace(image(0, 0, 10), small_hits=0, small_true=10)
    seen = replace(image(20, 20, 20), small_hits=2, small_true=2)
    assert advised([seen] * 9 + [blind]) == []
    assert advised([image(10, 60, 10)]) == []


@pytest.mark.slow
def test_what_hangs_together_on_an_image_is_seldom_a_habit_by_chance() -> None:
    """A tenth are no objects, at the limit; taken as independent, 9 of 100 people were told that they mark too much."""
    rng = np.random.default_rng(3)
    told = []
    for share in rng.beta(0.4, 3.6, (300, 12)):
        extra = rng.binomial(5, share)
        told.append(any("no object" in line for line in advised([image(5 - int(n), 5, 5) for n in extra])))
    assert np.mean(told) <= 0.05


def test_nothing_seen_nothing_said() -> None:
    assert advised([]) == []
