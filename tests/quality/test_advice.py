from dataclasses import replace

import numpy as np
import pytest

from tests.quality.test_gold_score import advised, image

NO_CLASS = np.zeros((2, 2), dtype=np.int64)


def test_advice_names_small_objects_when_only_they_are_missed() -> None:
    one = replace(image(14, 14, 20), small_hits=4, small_true=10)
    assert advised([one] * 2) == ["misses small objects: 8 of 20 right, of larger ones 20 of 20"]
    assert advised([image(5, 5, 10)] * 3) == ["misses objects or their class: 15 of 30 right"]
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
    assert "takes coin for cup: 6 of 20" in advised([mixed] * 2)
    assert advised([image(10, 15, 10)] * 2) == ["marks what is no object: 10 of 30"]


def test_objects_of_another_class_are_objects() -> None:
    mixed = replace(image(7, 13, 10), confusions=(("coin", "cup"),) * 3)
    assert "marks what is no object: 12 of 52" in advised([mixed] * 4)


def test_nothing_seen_nothing_said() -> None:
    assert advised([]) == []
