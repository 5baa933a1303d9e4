"""Label maps typed by hand, and a model that sees the truth with some doubt."""

import numpy as np
import numpy.typing as npt
import pytest

from datalab.quality.label_errors import (
    Suspect,
    calibrate,
    find_suspects,
    image_quality,
    object_disagreement,
    of_known_classes,
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
    # of thousands of images only the objects are kept, not the maps they lie on
    assert found.mask.shape == (6, 6) and found.mask.base is None


def test_a_swapped_object_is_told_once_and_one_that_covers_another_is_told_too() -> None:
    labels = scene()
    labels[2:8, 2:8] = 2
    found = find_suspects(labels, seen(scene()), least_area=4)
    assert [(one.kind, one.given) for one in found] == [("swapped", 2), ("outline", 2)]
    covered = scene()
    covered[1:22, 1:22] = 2
    found = find_suspects(covered, seen(scene()), least_area=4)
    assert ("swapped", 2, 1) in [(one.kind, one.given, one.suggested) for one in found]


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


def test_a_class_the_model_has_never_seen_is_not_judged() -> None:
    """Of a class with one image every fold that judges it knows nothing, and could only call it wrong."""
    blind = seen(np.where(scene() == 2, 0, scene()).astype(np.uint8))
    assert [one.given for one in find_suspects(scene(), blind, least_area=4) if one.score > 0.5] == [2]
    known = of_known_classes(scene(), {0, 1})
    assert np.array_equal(known == 255, scene() == 2)
    assert max(one.score for one in find_suspects(known, blind, least_area=4)) < 0.5
    assert np.array_equal(of_known_classes(scene(), {0, 1, 2}), scene())


def test_calibration_knows_what_the_model_is_usually_wrong_about() -> None:
    """The model calls every second object of class 1 a 2; only an object of class 2 that it calls a 1 stands out."""
    where, mask = (slice(0, 2), slice(0, 2)), np.ones((2, 2), dtype=bool)

    def one(given: int, seen: tuple[float, float, float]) -> Suspect:
        suggested = int(np.argmax(seen))
        score = (1 + seen[suggested] - seen[given]) / 2
        return Suspect("swapped", given, suggested, score, where, mask, np.array(seen))

    as_one, as_two = (0.1, 0.7, 0.2), (0.1, 0.2, 0.7)
    images = [[one(1, as_one), one(1, as_two), one(2, as_two), one(2, as_two)] for _ in range(20)]
    images[7].append(one(2, as_one))
    found = calibrate(images)
    assert [len(each) for each in found] == [len(each) for each in images]
    worst = max((suspect for each in found for suspect in each), key=lambda suspect: suspect.score)
    assert (worst.given, worst.suggested) == (2, 1)
    assert worst.score > 0.8
    usual = [suspect.score for each in found for suspect in each if (suspect.given, suspect.suggested) == (1, 2)]
    assert max(usual) < 0.75


def test_what_the_other_folds_say_nothing_about_stays() -> None:
    """One object of another class: its fold has nothing to learn from, and the others do not know its class."""
    where, mask = (slice(0, 2), slice(0, 2)), np.ones((2, 2), dtype=bool)
    spurious = Suspect("spurious", 1, 0, 0.45, where, mask, np.array([0.55, 0.45]))
    images = [[spurious] for _ in range(40)]
    images[0].append(Suspect("dropped", 0, 1, 0.6, where, mask, np.array([0.4, 0.6])))
    found = calibrate(images)
    of_its_fold = {round(found[place][-1].score, 6) for place in range(0, 40, 5)}
    assert of_its_fold == {0.45}
    assert next(one.score for one in found[0] if one.kind == "dropped") == 0.6
    assert max(found[place][0].score for place in range(40) if place % 5) < 0.2


def test_too_few_objects_or_one_class_stay_as_they_are() -> None:
    found = [find_suspects(scene(), seen(scene()), least_area=4)]
    assert calibrate(found) == found
    labels = np.where(scene() == 2, 0, scene()).astype(np.uint8)
    assert calibrate([find_suspects(labels, seen(labels), least_area=4)] * 40)[0][0].score < 0.3
    assert calibrate([[], []]) == [[], []]
