"""Label maps typed by hand, and a model that sees the truth with some doubt."""

import numpy as np
import numpy.typing as npt
import pytest

from datalab.quality.label_errors import (
    Suspect,
    adjust,
    class_confidence,
    find_suspects,
    image_quality,
    object_disagreement,
)

CLASSES = 3
Labels = npt.NDArray[np.uint8]


def scene() -> Labels:
    """A square of class 1 and one of class 2 on 24 x 24 pixels."""
    truth = np.zeros((24, 24), dtype=np.uint8)
    truth[2:8, 2:8] = 1
    truth[14:20, 14:20] = 2
    return truth


def seen(truth: Labels, sure: float = 0.9) -> npt.NDArray[np.float64]:
    """(K, h, w) probabilities of a model that gives `sure` to what is there."""
    chances = np.full((CLASSES, *truth.shape), (1 - sure) / (CLASSES - 1))
    np.put_along_axis(chances, truth[None].astype(np.intp), sure, axis=0)
    return chances


def worst(labels: Labels) -> Suspect:
    return find_suspects(labels, seen(scene()), least_area=4)[0]


def test_right_labels_leave_nobody_suspected() -> None:
    assert max(one.score for one in find_suspects(scene(), seen(scene()), least_area=4)) < 0.3


def test_a_swapped_class() -> None:
    labels = scene()
    labels[2:8, 2:8] = 2
    found = worst(labels)
    assert (found.kind, found.given, found.suggested, found.box_xywh) == ("swapped", 2, 1, (2, 2, 6, 6))
    assert found.score == pytest.approx((1 + 0.9 - 0.05) / 2)


def test_a_dropped_object() -> None:
    labels = scene()
    labels[14:20, 14:20] = 0
    found = worst(labels)
    assert (found.kind, found.given, found.suggested, found.box_xywh) == ("dropped", 0, 2, (14, 14, 6, 6))


def test_an_object_that_is_not_there() -> None:
    labels = scene()
    labels[2:6, 16:20] = 1
    found = worst(labels)
    assert (found.kind, found.given, found.suggested, found.box_xywh) == ("spurious", 1, 0, (16, 2, 4, 4))


def test_an_outline_that_is_too_wide() -> None:
    labels = scene()
    labels[1:11, 1:11] = 1
    found = worst(labels)
    assert (found.kind, found.given, found.box_xywh) == ("outline", 1, (1, 1, 10, 10))


def test_what_is_not_judged_is_not_suspected() -> None:
    labels = scene()
    labels[14:20, 14:20] = 255
    assert all(one.given == 1 for one in find_suspects(labels, seen(scene()), least_area=4))
    assert object_disagreement(labels, seen(scene())) == 0


def test_small_objects_are_left_out() -> None:
    labels = scene()
    labels[22, 22] = 1
    assert len(find_suspects(labels, seen(scene()), least_area=4)) == 2


def test_the_model_and_the_labels_differ_on_half_of_the_objects() -> None:
    labels = scene()
    labels[2:8, 2:8] = 2
    assert object_disagreement(labels, seen(scene())) == 0.5
    nothing = np.zeros((4, 4), dtype=np.uint8)
    assert object_disagreement(nothing, seen(nothing)) == 0


def test_a_spoiled_image_has_the_lowest_quality() -> None:
    labels = scene()
    labels[2:8, 2:8] = 0
    assert image_quality(labels, seen(scene())) < image_quality(scene(), seen(scene()))
    labels[2:8, 2:8] = 255
    assert image_quality(labels, seen(scene())) == pytest.approx(image_quality(scene(), seen(scene())))


def test_confidence_is_the_mean_on_a_class_own_pixels() -> None:
    labels = scene()
    only = np.where(labels == 2, 0, labels).astype(np.uint8)
    labels[14, 14] = 255
    labels[15, 14] = 0
    expected = [(0.8 * 504 + 0.1) / 505, 0.8, 0.8]
    assert class_confidence([labels], [seen(scene(), 0.8)]) == pytest.approx(expected)
    assert class_confidence([only], [seen(only, 0.8)])[2] == 1


def test_a_modest_class_is_raised() -> None:
    raised = adjust(np.array([0.6, 0.4]).reshape(2, 1, 1), np.array([0.9, 0.3]))
    assert raised.ravel() == pytest.approx([1 / 3, 2 / 3])
