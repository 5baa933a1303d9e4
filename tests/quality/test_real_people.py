"""Figures of real people's answers against other libraries, and of masks against plain arrays."""

from pathlib import Path

import krippendorff
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import yaml
from PIL import Image
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats import inter_rater

from datalab.masks import mask_to_rle
from datalab.quality.agreement import object_table, pair_table
from datalab.quality.kappa import alpha_of_coincidences, cohen_kappa, coincidences, fleiss_of_coincidences
from datalab.quality.object_figures import boundary_ious, object_figures
from datalab.quality.rated import RatedImage
from tests.shared_data import shared_data

LARGEST = 12
"""Regions of a person that are taken; people draw up to a hundred."""


@pytest.mark.slow
def test_bluebirds_votes_have_the_coefficients_of_other_libraries() -> None:
    """39 people, 108 images, all rated by all, and with every third vote missing."""
    said = yaml.safe_load((shared_data("bluebirds") / "labels.yaml").read_text())
    votes = pd.DataFrame(said).astype(int)
    assert votes.shape == (108, 39)
    counts = np.stack([(votes == value).sum(axis=1) for value in (0, 1)], axis=1)
    together = coincidences(counts).sum(axis=0)
    assert fleiss_of_coincidences(together) == pytest.approx(inter_rater.fleiss_kappa(counts))
    assert alpha_of_coincidences(together) == pytest.approx(
        krippendorff.alpha(value_counts=counts, level_of_measurement="nominal")
    )
    holes = votes.mask(np.add.outer(range(108), range(39)) % 3 == 0)
    some = np.stack([(holes == value).sum(axis=1) for value in (0, 1)], axis=1)
    expected = krippendorff.alpha(reliability_data=holes.to_numpy().T, level_of_measurement="nominal")
    assert alpha_of_coincidences(coincidences(some).sum(axis=0)) == pytest.approx(expected)
    for first, second in zip(votes.columns[:5], votes.columns[5:10], strict=True):
        table = pd.crosstab(votes[first], votes[second]).to_numpy()
        assert cohen_kappa(table) == pytest.approx(cohen_kappa_score(votes[first], votes[second]))


def people_of(image: str, folder: Path) -> list[npt.NDArray[np.int64]]:
    paths = sorted((folder / "val" / "segmentations").glob(f"{image}_annotator*.png"))
    return [np.asarray(Image.open(path)).astype(np.int64) for path in paths]


def largest(ids: npt.NDArray[np.int64]) -> list[int]:
    numbers, areas = np.unique(ids, return_counts=True)
    return [int(one) for one in numbers[np.argsort(-areas, kind="stable")][:LARGEST]]


def dense_overlap(a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """IoU of every region of `a` with every one of `b`, pixel by pixel."""
    sides = [[ids == number for number in largest(ids)] for ids in (a, b)]
    return np.array([[(one & two).sum() / (one | two).sum() for two in sides[1]] for one in sides[0]])


def test_bsds500_people_agree_as_plain_arrays_say() -> None:
    folder = shared_data("bsds500")
    for image in ("101085", "101087"):
        drawn = people_of(image, folder)[:3]
        rated = [
            RatedImage(
                image,
                f"p{place}",
                tuple(("region", mask_to_rle(ids == number)) for number in largest(ids)),
                ("manual",) * len(largest(ids)),
                height=ids.shape[0],
                width=ids.shape[1],
                group=image,
            )
            for place, ids in enumerate(drawn)
        ]
        objects = object_table({image: rated}, 0.5)
        pairs = pair_table({image: rated}, objects)
        for row, (a, b) in zip(pairs.to_dict("records"), [(0, 1), (0, 2), (1, 2)], strict=True):
            overlap = dense_overlap(drawn[a], drawn[b])
            kept = np.where(overlap >= 0.5, overlap, 0)
            best = kept[linear_sum_assignment(kept, maximize=True)]
            assert row["iou_sum"] == pytest.approx(best.sum(), abs=1e-9)
            assert row["objects"] == overlap.shape[0] + overlap.shape[1] - np.count_nonzero(best)
        objects["boundary_iou"] = boundary_ious({image: rated}, objects)
        found = {name: figure.value or 0 for name, figure in object_figures(objects, np.random.default_rng(0)).items()}
        assert found["panoptic_quality"] == pytest.approx(found["mean_iou"] * found["f1"])
        assert 0 < found["mean_boundary_iou"] < found["mean_iou"] < found["mean_dice"] < 1
        assert found["f1_50_95"] < found["f1"]
