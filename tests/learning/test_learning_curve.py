from dataclasses import replace

import numpy as np
import pytest

from datalab.figure import Figure
from datalab.learning.learning_curve import LINKED, REPORTED, Judged, Point, learning_curve, linked_scores
from datalab.learning.metrics import Counts, mean_defined, overlap_counts, overlap_iou

CLASSES = frozenset({"background", "coin"})


def point(number: int, value: float | None = 0.5, low: float | None = 0.4, high: float | None = 0.6) -> Point:
    return Point(number, 30 * number, 20.0 * number, Figure(value, low=low, high=high), CLASSES)


def image(right: int, wrong: int) -> list[list[int]]:
    """100 pixels of background, all right, and an object of which so many were found."""
    return [[100, 0], [wrong, right]]


NOTHING = [[0, 0], [0, 0]]


def judged(*rounds: list[list[list[int]]]) -> Judged:
    counts = np.array(rounds, dtype=np.int64)
    return Judged(overlap_counts(counts), counts.sum(axis=(2, 3)) > 0, np.arange(counts.shape[1]))


def reported(overlaps: Counts) -> float:
    """mIoU of one round's images."""
    return float(mean_defined(overlap_iou(overlaps.sum(axis=0))))


def unlinked(rounds: int) -> Judged:
    none = np.zeros((rounds, 0, 2, 3), dtype=np.int64)
    return Judged(none, none[..., 0, 0] > 0, np.arange(0))


EASY, HARD = [image(8, 2)] * 4, [image(2, 8)] * 4
FIRST = judged(EASY + [NOTHING] * 4, [image(9, 1)] * 4 + HARD)


def test_harder_test_images_do_not_pull_the_curve_down() -> None:
    """The second model is better on what both were judged on, and scores less over all."""
    scores = linked_scores(FIRST, np.random.default_rng(0), 20)
    alone = [reported(one) for one in FIRST.overlaps]
    assert alone[1] < alone[0]
    shared = reported(FIRST.overlaps[1][:4]) - alone[0]
    assert scores.shape == (21, 2)
    assert scores[0, 1] == pytest.approx(alone[1])
    assert scores[0, 1] - scores[0, 0] == pytest.approx(shared)
    assert shared > 0


def test_rounds_on_the_same_images_keep_their_figures() -> None:
    rounds = judged(EASY, [image(9, 1)] * 4, HARD)
    scores = linked_scores(rounds, np.random.default_rng(0), 5)
    assert scores[0] == pytest.approx([reported(one) for one in rounds.overlaps])


def test_draws_spread_as_the_images_do_and_share_what_rounds_share() -> None:
    rng = np.random.default_rng(0)
    mixed = [image(right, 10 - right) for right in rng.integers(0, 10, 40).tolist()]
    better = [image(min(10, one[1][1] + 1), max(0, one[1][0] - 1)) for one in mixed]
    scores = linked_scores(judged(mixed, better), rng, 500)[1:]
    assert scores[:, 1].std() > 0.01
    assert (scores[:, 1] - scores[:, 0]).std() < scores[:, 1].std() / 3
    assert np.corrcoef(scores.T)[0, 1] > 0.9


def test_frames_of_a_clip_are_drawn_together() -> None:
    """Ten clips of six frames each that are alike: their draws spread as those of ten images, not of sixty."""
    mixed = [image(right, 10 - right) for right in np.random.default_rng(0).integers(0, 10, 10).tolist()]
    one, frames = judged(mixed, mixed), judged(*[[each for each in mixed for _ in range(6)]] * 2)
    clips = replace(frames, places=np.repeat(np.arange(10), 6))
    spread = {
        name: float(linked_scores(each, np.random.default_rng(1), 800)[1:, 1].std())
        for name, each in (("images", one), ("clips", clips), ("frames", frames))
    }
    assert spread["clips"] == pytest.approx(spread["images"], rel=1e-6)
    assert spread["frames"] < spread["images"] / 2


def test_one_model_on_few_and_on_many_images_differs_in_no_draw() -> None:
    """What the rounds share cancels however few the older one has; only its level is that of the newer one."""
    images = [image(right, 10 - right) for right in np.random.default_rng(2).integers(0, 10, 30).tolist()]
    scores = linked_scores(judged(images[:3] + [NOTHING] * 27, images), np.random.default_rng(0), 300)
    assert scores[:, 0] == pytest.approx(scores[:, 1])


def test_a_round_of_one_test_image_has_no_spread() -> None:
    rng = np.random.default_rng(0)
    one = learning_curve([point(1)], judged([image(8, 2)]), rng, 20)
    assert one.basis == LINKED
    assert one.scores[0] == pytest.approx((100 / 102 + 8 / 10) / 2)
    assert np.isnan(one.draws).all()


def test_a_class_on_one_image_leaves_no_draw_undefined() -> None:
    alone = [image(5, 5), *[[[100, 0], [0, 0]]] * 5]
    scores = linked_scores(judged(alone, alone), np.random.default_rng(0), 200)
    assert np.isfinite(scores).all()


def test_rounds_with_common_images_are_linked() -> None:
    rounds = judged(EASY, EASY, [image(9, 1)] * 4)
    curve = learning_curve([point(1), point(2), point(3)], rounds, np.random.default_rng(0), 10)
    assert curve.basis == LINKED
    assert len(curve.points) == 3
    assert curve.draws.shape == (10, 3)


def test_older_rounds_without_counts_give_way_to_enough_that_have_them() -> None:
    rounds = judged([NOTHING] * 4, EASY, EASY, EASY)
    points = [point(number) for number in range(1, 5)]
    curve = learning_curve(points, rounds, np.random.default_rng(0), 10)
    assert (curve.basis, [one.number for one in curve.points]) == (LINKED, [2, 3, 4])
    fewer = Judged(rounds.overlaps[:3], rounds.judged[:3], rounds.places)
    curve = learning_curve(points[:3], fewer, np.random.default_rng(0), 10)
    assert (curve.basis, [one.number for one in curve.points]) == (REPORTED, [1, 2, 3])


def test_reported_figures_spread_as_their_intervals_say() -> None:
    points = [point(1), replace(point(2), miou=Figure(0.7))]
    curve = learning_curve(points, unlinked(2), np.random.default_rng(0), 4000)
    assert curve.scores.tolist() == [0.5, 0.7]
    assert curve.draws[:, 0].std() == pytest.approx(0.2 / 3.92, rel=0.05)
    assert np.isnan(curve.draws[:, 1]).all()


@pytest.mark.parametrize("older", [replace(point(1), classes=frozenset({"background"})), point(1, None)])
def test_a_mean_over_other_classes_is_another_figure(older: Point) -> None:
    curve = learning_curve([older, point(2), point(3)], unlinked(3), np.random.default_rng(0), 10)
    assert [one.number for one in curve.points] == [2, 3]


def test_a_newest_round_without_a_figure_has_no_curve() -> None:
    curve = learning_curve([point(1), point(2, None)], unlinked(2), np.random.default_rng(0), 10)
    assert curve.points == ()
    assert curve.draws.shape == (10, 0)


def test_three_images_in_common_link_two_rounds() -> None:
    rounds = judged([image(5, 5)] * 3 + [NOTHING], [image(6, 4)] * 4)
    assert learning_curve([point(1), point(2)], rounds, np.random.default_rng(0), 10).basis == LINKED
