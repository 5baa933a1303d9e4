"""What two people drew, typed by hand, and the figures worked out from it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from datalab.config import load_number
from datalab.figure import Figure
from datalab.quality.agreement import object_agreement
from datalab.quality.agreement_report import Limits, agreement_report, measure, verdict
from datalab.quality.rated import rated_images
from tests.quality.images import Box, tables

COIN: Box = ("coin", 0, 0, 4, 4)
NARROW: Box = ("coin", 0, 0, 4, 3)
LIMITS = Limits(least_images=4, least_of_class=2, reliable=0.8, small_share=0.1, large_share=0.3)


def report(ratings: pd.DataFrame, regions: pd.DataFrame, groups: Mapping[str, str] = MappingProxyType({})) -> Any:
    measured = measure(rated_images(ratings, regions, groups=groups), ("coin", "cup"), 0.5)
    halves = {image_id: "first" if image_id < "6" else "second" for image_id in measured.images}
    return agreement_report(measured, {"per_slice": halves}, LIMITS, np.random.default_rng(0))


def test_objects_count_where_the_most_work_was_done_on_them() -> None:
    answers: dict[tuple[str, str], list[Box]] = {
        ("a", "ann"): [COIN], ("a", "bob"): [COIN],  # both kept it
        ("b", "ann"): [COIN], ("b", "bob"): [NARROW],  # bob edited it
        ("c", "ann"): [NARROW], ("c", "bob"): [("coin", 0, 0, 4, 2)],  # edited by ann, drawn by bob
        ("d", "ann"): [COIN], ("d", "bob"): [],  # kept by ann
    }  # fmt: skip
    ratings, regions = tables(answers)
    regions["origin"] = ["proposal", "proposal", "proposal", "edited", "edited", "manual", "proposal"]
    found = report(ratings, regions)["per_origin"]
    assert {name: round(figure.value, 4) for name, figure in found.items()} == {
        "both kept the proposal": 1,
        "one kept the proposal, the other has nothing": 0,
        "somebody edited it": 0.75,
        "somebody drew it": 0.6667,
        "somebody drew or edited": 0.7083,
    }


def test_kappas_pool_what_the_two_of_a_pair_chose() -> None:
    """ann sees a coin on four images, bob on one: chance is that of both together, 5 of 16 yes."""
    answers: dict[tuple[str, str], list[Box]] = {(image, "ann"): [COIN] for image in "abcd"}
    answers |= {(image, "bob"): [COIN] if image == "a" else [] for image in "abcd"}
    figures = report(*tables(answers))["figures"]
    chance = (5 / 16) ** 2 + (11 / 16) ** 2
    assert figures["class presence (kappa)"].value == pytest.approx((5 / 8 - chance) / (1 - chance))
    chance = (80 / 384) ** 2 + (304 / 384) ** 2
    assert figures["pixels (kappa)"].value == pytest.approx((3 / 4 - chance) / (1 - chance))


def test_the_pixels_of_a_class_are_its_own() -> None:
    answers = {(image, who): [COIN if who == "ann" else NARROW] for image in "ab" for who in ("ann", "bob")}
    classes = report(*tables(answers))["per_class"]
    assert classes["coin"]["pixels"]["quantity"].value == pytest.approx(4 / 48)
    assert classes["cup"]["pixels"]["quantity"].value == 0


@pytest.mark.slow
def test_few_images_of_a_class_seldom_make_it_reliable_by_luck() -> None:
    """Two people who each miss 9% and else agree to 0.9: the truth is 0.75. Of ten images one in six was reliable."""
    rng, found = np.random.default_rng(1), []
    images = load_number(Path(__file__).parents[2] / "params.yaml", "agree", "least_of_class", int)
    for _ in range(200):
        drew = rng.random((images, 2)) > 0.09
        overlap = np.where(drew.all(axis=1), rng.normal(0.9, 0.04, images).clip(0.5, 1), 0.0)
        names = [f"{place}" for place in range(images)]
        objects = pd.DataFrame({"image_id": names, "group": names, "annotator_a": "ann", "annotator_b": "bob"})
        objects = objects.assign(outcome=np.where(overlap > 0, "matched", "only_a"), iou=overlap)
        figure = object_agreement(objects.loc[pd.Series(drew.any(axis=1))], rng)
        found.append(verdict(figure, {name: name for name in "abcd"}, LIMITS)["value"] == "reliable")
    assert np.mean(found) <= 0.05


def figures_in(content: Any, path: str = "") -> Iterator[tuple[str, Figure]]:
    if isinstance(content, Figure):
        yield path, content
    elif isinstance(content, dict):
        for name, inner in content.items():
            yield from figures_in(inner, f"{path}/{name}")


def slips(seed: int, frames: int) -> dict[tuple[str, str], list[Box]]:
    """What three people draw on twelve images, each of which is there so many times."""
    rng = np.random.default_rng(seed)
    answers: dict[tuple[str, str], list[Box]] = {}
    for image in "0123456789ab":
        for who in ("ann", "bob", "cat"):
            coins: list[Box] = [("coin", 0, 0, 4, int(rng.integers(3, 5)))] if rng.random() < 0.8 else []
            cups: list[Box] = [("cup", 4, 5, 6, int(rng.integers(7, 9)))] if rng.random() < 0.6 else []
            answers |= {(f"{image}-{frame}", who): coins + cups for frame in range(frames)}
    return answers


@pytest.mark.slow
def test_frames_that_repeat_an_image_add_nothing_to_any_figure() -> None:
    answers = slips(seed=4, frames=3)
    once = dict(figures_in(report(*tables(slips(seed=4, frames=1)))))
    found = report(*tables(answers), groups={image: f"{image[0]}-0" for image, _ in answers})
    assert (found["double_labelled_images"], found["double_labelled_groups"]) == (36, 12)
    thrice = dict(figures_in(found))
    assert set(thrice) == set(once)
    assert len(once) > 100
    for path, figure in once.items():
        again = thrice[path]
        # alpha corrects for how few ratings there are
        near = 0.1 if "alpha" in path else 1e-9
        assert (again.n, again.low is None) == (figure.n, figure.low is None), path
        for end, other in ((again.value, figure.value), (again.low, figure.low), (again.high, figure.high)):
            assert end == (None if other is None else pytest.approx(other, abs=near)), path


def clips_of(rng: np.random.Generator, clips: int, frames: int) -> pd.DataFrame:
    """Table OBJECTS: an object on every frame; bob overlooks it, or draws it off, through a whole clip."""
    overlooked, outline = rng.beta(0.6, 2.4, clips), rng.normal(0.85, 0.05, clips)
    missed = rng.random(clips * frames) < np.repeat(overlooked, frames)
    overlap = np.clip(np.repeat(outline, frames) + rng.normal(0, 0.03, clips * frames), 0.5, 1)
    names = [f"{clip:05d}-{frame}" for clip in range(clips) for frame in range(frames)]
    objects = pd.DataFrame({"image_id": names, "group": [name[:5] for name in names], "annotator_a": "ann"})
    outcome = np.where(missed, "only_a", "matched")
    return objects.assign(annotator_b="bob", outcome=outcome, iou=np.where(missed, 0.0, overlap))


@pytest.mark.slow
@pytest.mark.parametrize(("clips", "frames"), [(8, 20), (30, 5)])
def test_agreement_on_clips_is_covered(clips: int, frames: int) -> None:
    """Frames taken as independent held the truth in 60 and 83% of the draws."""
    truth = float(clips_of(np.random.default_rng(99), 10_000, 5)["iou"].mean())
    held = []
    for seed in range(150):
        figure = object_agreement(clips_of(np.random.default_rng(seed), clips, frames), np.random.default_rng(1))
        assert figure.low is not None
        assert figure.high is not None
        held.append(figure.low <= truth <= figure.high)
    assert np.mean(held) >= 0.9


def test_a_verdict_needs_groups_that_an_interval_can_be_told_from() -> None:
    sure, limits = Figure(0.95, 60, 0.9, 0.99), replace(LIMITS, least_images=50)
    groups = {clips: {f"{place}": f"{place % clips}" for place in range(60)} for clips in (1, 7, 8)}
    told = {clips: verdict(sure, names, limits) for clips, names in groups.items()}
    assert told[1]["reason"] == "60 double-labelled images in 1 group; a verdict needs 8"
    assert told[7]["reason"] == "60 double-labelled images in 7 groups; a verdict needs 8"
    assert told[8] == {"value": "reliable", "reason": None}
    alone = {f"{place}": f"{place}" for place in range(4)}
    assert verdict(sure, alone, LIMITS)["value"] == "reliable"
    unknown = Figure(0.95, 1, reason="no interval: all 60 images are of one group")
    assert verdict(unknown, alone, LIMITS)["reason"] == unknown.reason


@pytest.mark.slow
def test_a_class_needs_groups_too() -> None:
    """Coins on all frames of one clip, and on no other of eight."""
    answers: dict[tuple[str, str], list[Box]] = {
        (f"{clip}{frame}", who): [COIN] if clip == "a" else [] for clip in "abcdefgh" for frame in "01" for who in "xy"
    }
    groups = {image: image[0] for image, _ in answers}
    found = report(*tables(answers), groups=groups)["per_class"]["coin"]
    assert found["verdict"]["reason"] == "2 images with coin in 1 group; a verdict needs 8"
    assert found["objects"].reason == "no interval: all 2 images are of one group"
