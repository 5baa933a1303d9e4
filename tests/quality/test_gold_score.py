"""Skill, trend and action, from counts of hits typed by hand or drawn at random."""

from dataclasses import replace

import numpy as np
import pytest

from datalab.quality.advice import advice
from datalab.quality.gold import GoldImage, Outlines
from datalab.quality.gold_score import GoldLimits, GoldScore, action, change_of, score_gold, skill_of
from datalab.quality.proportion import beta

LIMITS = GoldLimits(20, target=0.8, pause_below=0.5, recent_rounds=1, advise_px=1.5, advise_share=0.1)


def image(hits: int, drawn: int, true: int, round_id: str = "0001", offset_px: float = 0.0) -> GoldImage:
    return GoldImage(
        image_id="i",
        group="i",
        round_id=round_id,
        hits=hits,
        drawn=drawn,
        true=true,
        small_hits=0,
        small_true=0,
        outlines=Outlines(0.9 * hits, 0.8 * hits, hits, offset_px * hits, abs(offset_px) * hits),
        confusions=(),
        true_of={"coin": true},
        presence=np.array([[1, 0], [0, 1]]),
        seconds=10.0,
    )


def apart(images: list[GoldImage]) -> list[GoldImage]:
    """As so many images that do not hang together."""
    return [replace(one, image_id=f"{place}", group=f"{place}") for place, one in enumerate(images)]


def scored(images: list[GoldImage]) -> GoldScore:
    return score_gold(apart(images), [], LIMITS, np.random.default_rng(0))


def advised(images: list[GoldImage]) -> list[str]:
    return advice(apart(images), scored(images), LIMITS)


@pytest.mark.parametrize(
    ("images", "expected", "reason"),
    [
        ([image(10, 10, 10)], "none", "10 gold objects; people are judged from 20 on"),
        ([image(10, 10, 10)] * 4, "none", "skill 0.95 (0.83 to 1.00)"),
        ([image(17, 20, 20)], "none", "skill 0.79 (no interval from one image)"),
        # one image that went wrong is no habit
        ([image(2, 20, 20)], "warn", "skill 0.17 (no interval from one image) may be below 0.8"),
        ([image(10, 10, 10)] * 3 + [image(0, 20, 20)], "warn", "skill 0.59 (0.00 to 1.00) may be below 0.8"),
        ([image(7, 10, 10)] * 2, "warn", "skill 0.67 (0.00 to 1.00) may be below 0.8"),
        ([image(7, 10, 10)] * 10, "more overlap", "skill 0.69 (0.59 to 0.79) is below 0.8"),
        ([image(3, 10, 10)] * 10, "pause", "skill 0.31 (0.21 to 0.41) is below 0.5"),
    ],
)
def test_what_follows_from_a_skill(images: list[GoldImage], expected: str, reason: str) -> None:
    assert action(scored(images), LIMITS) == {"value": expected, "reason": reason}


def test_a_gold_image_asked_again_still_counts_in_the_round_before() -> None:
    """Forty objects found then, 24 of the same found now: newest answers alone have nothing to compare with."""
    earlier, images = apart([image(10, 10, 10, "0001")] * 4), apart([image(6, 10, 10, "0002")] * 4)
    one = score_gold(images, earlier, LIMITS, np.random.default_rng(0))
    assert {name: figure.value for name, figure in one.rounds.items()} == {"0001": 1, "0002": 0.6}
    assert one.drifting
    assert (one.images, one.figures["recall"].value) == (4, 0.6)
    assert scored(images).change.reason == "fewer than 20 gold objects in the recent rounds or before"


def test_somebody_who_gets_worse_is_warned_though_still_good() -> None:
    images = [image(10, 10, 10, "0001")] * 10 + [image(8, 10, 10, "0002")] * 4
    one = scored(images)
    assert one.drifting
    assert one.change.value == pytest.approx(0.8 - 1)
    assert action(one, LIMITS) == {"value": "warn", "reason": "F1 fell by 0.20 against earlier rounds"}
    assert advised(images) == ["got worse: F1 fell by 0.20 against earlier rounds"]
    assert list(one.rounds) == ["0001", "0002"]
    assert one.rounds["0002"].value == pytest.approx(0.8)


def test_chance_is_no_drift() -> None:
    one = scored([image(9, 10, 10, "0001")] * 3 + [image(8, 10, 10, "0002")] * 3)
    assert one.change.value is not None
    assert one.change.value < 0
    assert not one.drifting
    few = scored([image(9, 10, 10, "0001")] * 3 + [image(1, 10, 10, "0002")])
    assert (few.change.value, few.drifting) == (None, False)


@pytest.mark.slow
def test_drift_is_found_in_time_and_seldom_for_nothing() -> None:
    """Four rounds of eight gold images of three objects: a fall from 0.95 to 0.7 is seen, an even 0.95 is not."""
    rng = np.random.default_rng(4)

    def alarms(recent: float) -> float:
        found = []
        for _ in range(200):
            shares = {"0001": 0.95, "0002": 0.95, "0003": recent, "0004": recent}
            images = [image(int(rng.binomial(3, p)), 3, 3, name) for name, p in shares.items() for _ in range(8)]
            high = change_of(apart(images), replace(LIMITS, recent_rounds=2)).high
            found.append(high is not None and high < 0)
        return float(np.mean(found))

    assert alarms(0.7) > 0.9
    assert alarms(0.95) < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("objects", [10, 25])
def test_crowded_images_are_no_drift(objects: int) -> None:
    """What a person gets right goes by image; objects taken one by one gave false alarms in 10 to 15% of the draws."""
    rng = np.random.default_rng(4)
    found = []
    for _ in range(400):
        shares = rng.beta(8.1, 0.9, 30)
        rounds = ["0001"] * 24 + ["0002"] * 6
        images = [
            image(int(rng.binomial(objects, share)), objects, objects, name)
            for share, name in zip(shares, rounds, strict=True)
        ]
        high = change_of(apart(images), LIMITS).high
        found.append(high is not None and high < 0)
    assert np.mean(found) <= 0.05


def test_two_crowded_images_alone_show_no_drift() -> None:
    one = scored([image(30, 30, 30, "0001"), image(10, 30, 30, "0002")])
    assert (one.change.value, one.drifting) == (None, False)
    assert one.change.reason == "one gold image alone in the recent rounds and before"


@pytest.mark.slow
def test_skill_ranks_people_and_its_interval_covers_the_truth() -> None:
    """200 rounds of three people: 30 images, up to 3 objects each; they miss, confuse and invent by chance."""
    rng = np.random.default_rng(7)
    people = {"careful": (0.03, 0.02), "hasty": (0.12, 0.1), "careless": (0.3, 0.25)}
    truth = {name: 2 * (1 - wrong) / (2 + extra - wrong / 2) for name, (wrong, extra) in people.items()}
    covered, ranked = [], []
    for _ in range(200):
        found = {}
        for name, (wrong, extra) in people.items():
            true = rng.integers(1, 4, 30)
            hits = rng.binomial(true, 1 - wrong)
            drawn = hits + rng.binomial(true - hits, 0.5) + rng.binomial(true, extra)
            found[name] = skill_of(apart([image(*counts) for counts in zip(hits, drawn, true, strict=True)]))
        values = [found[name].value or 0 for name in people]
        ranked.append(values == sorted(values, reverse=True))
        for name, one in found.items():
            assert one.low is not None
            assert one.high is not None
            covered.append(one.low <= truth[name] <= one.high)
    assert np.mean(ranked) > 0.95
    assert np.mean(covered) >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize(("clips", "share"), [(3, 0.6), (3, 0.95), (5, 0.85), (8, 0.85), (24, 0.85)])
def test_a_skill_that_goes_by_clip_is_covered(clips: int, share: float) -> None:
    """Hits of a clip correlated by 0.2. Taken one by one they left the truth in 59 to 79% of the intervals; divided by
    the design effect, which draws a good person's interval of few clips towards one half, in 73 to 99%."""
    rng = np.random.default_rng(8)
    inside = []
    for shares in rng.beta(share * 4, (1 - share) * 4, (300, clips)):
        hits = rng.binomial(2, np.repeat(shares, 10))
        found = skill_of(clipped([image(int(one), 2, 2) for one in hits], 10))
        assert found.value is not None
        assert found.low is not None
        assert found.high is not None
        assert found.low <= found.value <= found.high
        inside.append(found.low <= share <= found.high)
    assert np.mean(inside) >= 0.91


def test_skill_without_an_object_is_what_was_assumed_and_one_group_says_nothing_of_others() -> None:
    nothing, assumed = skill_of(apart([image(0, 0, 0)] * 3)), beta(0, 0, 2, 2)
    assert (nothing, skill_of([])) == (assumed, assumed)
    one = skill_of(clipped([image(8, 10, 10)] * 3, 3))
    assert (one.value, one.n, one.low) == (26 / 34, 30, None)
    assert one.reason == "no interval: all 3 images are of one group"


def clipped(images: list[GoldImage], frames: int) -> list[GoldImage]:
    """As images of which so many in a row are of one clip."""
    return [replace(one, group=f"clip{place // frames}") for place, one in enumerate(apart(images))]


def test_frames_of_a_clip_that_repeat_an_image_say_no_more_than_it() -> None:
    rng = np.random.default_rng(1)
    images = [image(int(hits), 10, 10, offset_px=float(hits - 5)) for hits in rng.integers(4, 11, 6)]
    frames = clipped([one for one in images for _ in range(4)], 4)
    once, again = scored(images).figures, score_gold(frames, [], LIMITS, np.random.default_rng(0)).figures
    rates = {"f1", "precision", "recall"}
    for name in set(once) - rates:
        assert replace(again[name], reason=None) == replace(once[name], reason=None), name
    for name in rates:
        ends = [again[name].low, again[name].high]
        assert ends == pytest.approx([once[name].low, once[name].high], abs=0.06), name
        assert (again[name].value, again[name].n) == (once[name].value, 4 * (once[name].n or 0))


def test_a_clip_that_went_wrong_is_no_habit() -> None:
    """Ten frames all right, ten of another clip all wrong: as so many images they would have been reason to pause."""
    images = [image(10, 10, 10)] * 2 + [image(1, 10, 10)] * 18
    assert action(scored(images), LIMITS)["value"] == "pause"
    clips = clipped(images, 10)
    assert action(score_gold(clips, [], LIMITS, np.random.default_rng(0)), LIMITS)["value"] == "warn"
    one = score_gold(clipped(images, 20), [], LIMITS, np.random.default_rng(0))
    assert one.figures["f1"].reason == "no interval: all 20 images are of one group"
    assert one.figures["mean_iou"].reason == "no interval: all 20 images are of one group"
    extra = clipped([image(5, 10, 5)] * 8, 8)
    assert advice(extra, score_gold(extra, [], LIMITS, np.random.default_rng(0)), LIMITS) == []
    assert advised([image(5, 10, 5)] * 8) == ["marks what is no object: 40 of 80"]


def test_drift_goes_by_groups_over_all_rounds_before() -> None:
    """Frames of one clip in two rounds are one witness; one image in two rounds is asked twice, as it always was."""
    before = [image(9, 10, 10, "0001"), image(8, 10, 10, "0001"), image(9, 10, 10, "0002"), image(7, 10, 10, "0002")]
    recent = [image(6, 10, 10, "0003"), image(5, 10, 10, "0003"), image(6, 10, 10, "0003")]
    alone = change_of(apart(before + recent), LIMITS)
    twice = [replace(one, image_id=name, group=name) for one, name in zip(before, "abab", strict=True)]
    assert change_of(twice + apart(recent), LIMITS) == alone
    clips = [replace(one, group=name) for one, name in zip(apart(before), "aaab", strict=True)]
    assert change_of(clips + apart(recent), LIMITS) != alone
    one = clipped(before, 4) + clipped(recent, 4)
    assert change_of(one, LIMITS).reason == "one group of gold images alone in the recent rounds and before"
