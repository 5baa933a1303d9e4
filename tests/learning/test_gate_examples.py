"""Gold images that hang together are one witness of how good proposals are."""

from dataclasses import replace

import numpy as np
import pytest

from datalab.learning.gate import (
    fit_calibration,
    held_out_error,
    held_out_expected,
    why_no_gate,
    why_none_shown,
    why_not_accepted,
)
from datalab.learning.gate_examples import Examples
from tests.learning.test_gate import PARAMS, cups, cups_error, examples


def in_clips(known: Examples, frames: int) -> Examples:
    """So many images in a row are of one clip."""
    places = {image_id: place for place, image_id in enumerate(dict.fromkeys(known.image_ids))}
    return replace(known, groups=tuple(f"clip{places[one] // frames}" for one in known.image_ids))


@pytest.mark.slow
@pytest.mark.parametrize(("clips", "frames"), [(3, 10), (5, 10), (8, 10), (15, 10), (30, 4)])
def test_the_lower_end_of_clips_whose_errors_go_together_seldom_exceeds_the_truth(clips: int, frames: int) -> None:
    """2.5% are meant, a skewed distribution has more; of frames taken as images of their own 20 to 38% exceeded it."""
    rng = np.random.default_rng(6)
    exceeded = []
    for _ in range(400):
        known = cups(list(np.repeat(rng.beta(0.94 * 30, 0.06 * 30, clips), frames)))
        found = cups_error(in_clips(known, frames), replace(PARAMS, accept_at=0.0)).accepted_mean_iou
        assert found.low is not None
        assert found.n == clips
        exceeded.append(found.low > 0.94)
    assert np.mean(exceeded) <= 0.1


@pytest.mark.parametrize(("clips", "frames", "wrong"), [(5, 20, 0.1), (15, 10, 0.05), (15, 10, 0.1), (60, 5, 0.1)])
def test_clips_that_are_right_by_luck_bear_no_class_out(clips: int, frames: int, wrong: float) -> None:
    """Of the clips so many are wrong throughout. Frame by frame nine of ten right were borne out in 60% of the draws of
    five clips, and in 25% of fifteen."""
    rng = np.random.default_rng(6)
    params = replace(PARAMS, accept_at=0.95)
    borne_out = []
    for _ in range(200):
        known = cups(list(np.repeat(np.where(rng.random(clips) < wrong, 0.0, 0.98), frames)))
        error = held_out_error(in_clips(known, frames), np.ones(clips * frames), params)
        borne_out.append(why_not_accepted(error, params) is None)
    assert np.mean(borne_out) <= 0.02


def test_many_clips_that_are_right_bear_a_class_out() -> None:
    assert why_not_accepted(cups_error(in_clips(cups([0.97, 0.93, 0.95] * 40), 4)), PARAMS) is None


def test_what_is_said_of_clips_that_repeat_a_frame_is_what_is_said_of_the_frame() -> None:
    """Also with two proposals an image; and a group of one image is that image."""
    rng = np.random.default_rng(2)
    iou = rng.uniform(0.3, 1, (12, 1, 2))
    once = cups(list(iou.ravel()), per_image=2)
    again = in_clips(cups(list(np.repeat(iou, 4, axis=1).ravel()), per_image=2), 4)
    first, second = cups_error(once), cups_error(again)
    assert (second.accepted, second.accepted_counted) == (4 * first.accepted, first.accepted_counted)
    for ours, theirs in (
        (first.accepted_mean_iou, second.accepted_mean_iou),
        (first.accepted_bad_share, second.accepted_bad_share),
    ):
        assert [theirs.value, theirs.n, theirs.low, theirs.high] == pytest.approx(
            [ours.value, ours.n, ours.low, ours.high]
        )
    assert cups_error(in_clips(once, 1)) == first
    np.testing.assert_allclose(held_out_expected(again, PARAMS)[::8], held_out_expected(once, PARAMS)[::2])


def test_what_speaks_against_a_source_or_a_class_goes_by_clips() -> None:
    bad = examples([0.8] * 6, [0.0, 0.1, 0.05, 0.1, 0.2, 0.0], images="abcdef")
    assert why_none_shown(bad)
    assert why_none_shown(in_clips(bad, 3)) is None  # two clips tell nothing about a third
    known = examples([0.5] * 8, [0.9, 0.9, 0.9, 0.9, 0.9, 0.1, 0.1, 0.1], "aaaaabbb", "pqrstxyz")
    params = replace(PARAMS, least_class_examples=4)
    assert set(fit_calibration(known, params).lowered) == {"b"}
    one_clip = replace(known, groups=("p", "q", "r", "s", "t", "x", "x", "x"))
    assert fit_calibration(one_clip, params).lowered == {}


def test_a_clip_counts_for_as_many_as_one_of_its_frames_has() -> None:
    known = replace(examples([0.5] * 9, [0.5] * 9, "aaaaaaabb", "pqrstuuvw"), groups=tuple("pqrsttttt"))
    # four images alone, and a clip of four frames with five proposals
    assert (known.counted, known.of_class("a").counted, known.of_class("b").counted) == (5, 5, 1)
    found = fit_calibration(known, replace(PARAMS, least_class_examples=6))
    assert found.classes == {}
    assert why_no_gate(known, PARAMS) is None
    told = "9 proposals (worth 5) on 5 groups of gold images, 6 on 2 are needed; the fixed thresholds decide"
    assert why_no_gate(known, replace(PARAMS, least_examples=6)) == told
