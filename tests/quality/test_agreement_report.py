"""What two people drew, typed by hand, and the figures worked out from it."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from datalab.config import load_number
from datalab.quality.agreement import object_agreement
from datalab.quality.agreement_report import Limits, agreement_report, measure, verdict
from datalab.quality.rated import rated_images
from tests.quality.images import Box, tables

COIN: Box = ("coin", 0, 0, 4, 4)
NARROW: Box = ("coin", 0, 0, 4, 3)
LIMITS = Limits(least_images=4, least_of_class=2, reliable=0.8, small_share=0.1, large_share=0.3)


def report(ratings: pd.DataFrame, regions: pd.DataFrame) -> dict[str, Any]:
    measured = measure(rated_images(ratings, regions), ("coin", "cup"), 0.5)
    return agreement_report(measured, {}, LIMITS, np.random.default_rng(0))


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


def test_few_images_of_a_class_seldom_make_it_reliable_by_luck() -> None:
    """Two people who each miss 9% and else agree to 0.9: the truth is 0.75. Of ten images one in six was reliable."""
    rng, found = np.random.default_rng(1), []
    images = load_number(Path(__file__).parents[2] / "params.yaml", "agree", "least_of_class", int)
    for _ in range(200):
        drew = rng.random((images, 2)) > 0.09
        overlap = np.where(drew.all(axis=1), rng.normal(0.9, 0.04, images).clip(0.5, 1), 0.0)
        objects = pd.DataFrame({"image_id": [f"{place}" for place in range(images)], "annotator_a": "ann"})
        objects = objects.assign(annotator_b="bob", outcome=np.where(overlap > 0, "matched", "only_a"), iou=overlap)
        figure = object_agreement(objects.loc[pd.Series(drew.any(axis=1))], rng)
        found.append(verdict(figure, LIMITS.least_images, LIMITS)["value"] == "reliable")
    assert np.mean(found) <= 0.05
