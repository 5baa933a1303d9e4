from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from datalab.figure import Figure
from datalab.masks import band_width, mask_to_rle, rle_to_mask
from datalab.quality.agreement import OBJECTS, object_table, of_class
from datalab.quality.boundary import band, cut_iou, cut_of
from datalab.quality.object_figures import boundary_ious, mean_panoptic_quality, object_figures
from datalab.quality.rated import RatedImage, rated_images
from tests.quality.images import HEIGHT, WIDTH, Box, rle, tables

COIN: Box = ("coin", 0, 0, 4, 4)
NARROW: Box = ("coin", 0, 0, 4, 3)
CUP: Box = ("cup", 4, 5, 6, 8)


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def rows(ious: Sequence[float], only_a: int = 0, only_b: int = 0) -> pd.DataFrame:
    """One image of one class: matches of these IoUs and leftovers."""
    found = [("i", "i", "ann", "bob", "matched", iou, "x", "x", 0.1, 0.1, "manual", "manual", 0, 0) for iou in ious]
    found += [("i", "i", "ann", "bob", "only_a", 0.0, "x", "", 0.1, 0.0, "manual", "", 0, -1)] * only_a
    found += [("i", "i", "ann", "bob", "only_b", 0.0, "", "x", 0.0, 0.1, "", "manual", -1, 0)] * only_b
    return pd.DataFrame(found, columns=list(OBJECTS))


def instances(numbers: list[list[int]]) -> tuple[tuple[str, str], ...]:
    grid = np.array(numbers)
    return tuple(("x", mask_to_rle(grid == number)) for number in np.unique(grid[grid > 0]))


def table_of(a: list[list[int]], b: list[list[int]], iou_threshold: float) -> pd.DataFrame:
    sides = [(who, instances(numbers)) for who, numbers in (("ann", a), ("bob", b))]
    rated = [RatedImage("i", who, drawn, ("manual",) * len(drawn), 4, 4, "i") for who, drawn in sides]
    return object_table({"i": rated}, iou_threshold)


def values(objects: pd.DataFrame) -> dict[str, float | None]:
    return {name: figure.value for name, figure in object_figures(objects, rng()).items()}


def test_panoptic_quality_by_hand() -> None:
    """Three matches, one extra, two missed: SQ 0.8, RQ 0.6667, PQ 0.5333."""
    found = values(rows([0.9, 0.8, 0.7], only_a=2, only_b=1))
    assert found["mean_iou"] == pytest.approx(0.8)
    assert found["f1"] == pytest.approx(2 / 3)
    assert found["panoptic_quality"] == pytest.approx(0.5333, abs=5e-5)


def test_panoptic_quality_of_monai() -> None:
    """The worked example of MONAI's compute_panoptic_quality, at both of its thresholds."""
    a = [[0, 1, 1, 1], [0, 0, 0, 0], [2, 0, 3, 3], [4, 2, 2, 0]]
    b = [[1, 1, 2, 1], [0, 0, 0, 0], [1, 3, 0, 0], [4, 3, 3, 3]]
    assert values(table_of(a, b, 0.5))["panoptic_quality"] == pytest.approx(0.25)
    loose = values(table_of(a, b, 0.3))
    assert loose["panoptic_quality"] == pytest.approx(0.45)
    assert [loose["mean_iou"], loose["f1"]] == pytest.approx([0.6, 0.75])


def test_panoptic_quality_of_torchmetrics() -> None:
    """The example of its docstring: rows of (class, instance), classes 6 and 7 are stuff, PQ 0.5463."""
    a = "60 00 60 60|00 00 60 01|00 00 60 01|00 70 60 10|00 70 70 70"
    b = "60 01 60 01|01 01 60 01|01 01 60 10|01 70 10 10|01 70 70 70"
    rated = []
    for who, text in (("ann", a), ("bob", b)):
        grid = np.array([[int(cell) for cell in row.split()] for row in text.split("|")])
        regions = tuple((str(cell // 10), mask_to_rle(grid == cell)) for cell in np.unique(grid))
        rated.append(RatedImage("i", who, regions, ("manual",) * len(regions), 5, 4, "i"))
    objects = object_table({"i": rated}, 0.5)
    assert mean_panoptic_quality(objects, ["0", "1", "6", "7"], rng()).value == pytest.approx(0.5463, abs=5e-5)
    per_class = [values(of_class(objects, name))["panoptic_quality"] for name in ("0", "1", "6", "7")]
    assert per_class == pytest.approx([0.5185, 0, 0.6667, 1], abs=5e-5)


def test_panoptic_quality_is_a_mean_over_the_classes_drawn() -> None:
    answers: dict[tuple[str, str], list[Box]] = {("i", "ann"): [COIN, CUP], ("i", "bob"): [NARROW]}
    objects = object_table(rated_images(*tables(answers)), 0.5)
    assert mean_panoptic_quality(objects, ["coin", "cup", "plate"], rng()).value == pytest.approx((0.75 + 0) / 2)
    assert mean_panoptic_quality(objects.iloc[:0], ["coin"], rng()).value is None


def test_draws_without_a_hard_class_show_no_better_agreement() -> None:
    """Coins agree on all images; the cup of some was seen by one person alone."""

    def quality(images: int, cups: int) -> Figure:
        answers: dict[tuple[str, str], list[Box]] = {}
        for number in range(images):
            answers[f"i{number}", "ann"] = [COIN, CUP] if number < cups else [COIN]
            answers[f"i{number}", "bob"] = [COIN]
        return mean_panoptic_quality(object_table(rated_images(*tables(answers)), 0.5), ["coin", "cup"], rng())

    few, many = quality(30, cups=2), quality(30, cups=12)
    assert few.value == many.value == 0.5
    assert few.low is few.high is None
    assert (many.low, many.high) == (0.5, 0.5)


def test_the_average_over_thresholds_is_cocos() -> None:
    """0.72 reaches 0.5, 0.55, ... 0.7: five of ten thresholds; 1.0 reaches all."""
    found = values(rows([0.72, 1.0], only_a=1))
    assert found["recall_50_95"] == pytest.approx((0.5 + 1) / 3)
    assert found["precision_50_95"] == pytest.approx((0.5 + 1) / 2)
    assert found["f1_50_95"] == pytest.approx(2 * 1.5 / 5)
    assert [found["precision"], found["recall"]] == pytest.approx([1, 2 / 3])


def test_recall_over_thresholds_is_pycocotools_average_recall(capsys: pytest.CaptureFixture[str]) -> None:
    """Objects in a row that do not touch, drawn off by up to three columns, some missed."""
    shifts = [0, 1, 2, 3, None, 1, 0]
    sides: list[list[str]] = [[], []]
    for place, shift in enumerate(shifts):
        for side, by in enumerate((0, shift)):
            if by is not None:
                mask = np.zeros((20, 120), dtype=bool)
                mask[4:16, 17 * place + by : 17 * place + by + 12] = True
                sides[side].append(mask_to_rle(mask))
    rated = [
        RatedImage("i", who, tuple(("x", one) for one in drawn), ("manual",) * len(drawn), 20, 120, "i")
        for who, drawn in zip(("ann", "bob"), sides, strict=True)
    ]
    average_recall = coco_average_recall(sides[0], sides[1], 20, 120)
    capsys.readouterr()
    assert values(object_table({"i": rated}, 0.5))["recall_50_95"] == pytest.approx(average_recall)
    assert 0.3 < average_recall < 0.8


def coco_average_recall(true: list[str], drawn: list[str], height: int, width: int) -> float:
    truth, answers = COCO(), COCO()
    for dataset, rles in ((truth, true), (answers, drawn)):
        dataset.dataset = {
            "images": [{"id": 1, "height": height, "width": width}],
            "categories": [{"id": 1}],
            "annotations": [
                {
                    "id": number, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 144, "score": 1.0,
                    "segmentation": {"size": [height, width], "counts": one},
                }
                for number, one in enumerate(rles, start=1)
            ],
        }  # fmt: skip
        dataset.createIndex()
    evaluation = COCOeval(truth, answers, "segm")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return float(evaluation.stats[8])


def test_dice_of_every_object_follows_from_its_iou() -> None:
    assert values(rows([0.5, 1.0]))["mean_dice"] == pytest.approx((2 / 3 + 1) / 2)


def test_swapping_the_sides_swaps_precision_and_recall_alone() -> None:
    there, back = values(rows([0.9, 0.6], only_a=2)), values(rows([0.9, 0.6], only_b=2))
    for name in ("precision", "precision_50_95"):
        assert there.pop(name) == back.pop(name.replace("precision", "recall"))
        assert there.pop(name.replace("precision", "recall")) == back.pop(name)
    assert there == back


def test_boundary_iou_of_matched_and_confused_objects_only() -> None:
    answers: dict[tuple[str, str], list[Box]] = {
        ("i", "ann"): [COIN, CUP],
        ("i", "bob"): [NARROW, ("coin", 4, 5, 6, 8)],
        ("i", "cat"): [COIN],
    }
    images = rated_images(*tables(answers))
    objects = object_table(images, 0.5)
    objects["boundary_iou"] = boundary_ious(images, objects)
    drawn = objects["outcome"].isin(["matched", "confused"])
    assert objects["boundary_iou"].notna().tolist() == drawn.tolist()
    expected = ring_iou(rle_to_mask(rle(0, 0, 4, 4), HEIGHT, WIDTH), rle_to_mask(rle(0, 0, 4, 3), HEIGHT, WIDTH))
    first = objects[(objects["annotator_b"] == "bob") & (objects["outcome"] == "matched")]
    assert first["boundary_iou"].tolist() == pytest.approx([expected])
    of_coins = object_figures(of_class(objects, "coin"), rng())["mean_boundary_iou"]
    assert of_coins.value == pytest.approx((expected + 1 + expected) / 3)


def ring_iou(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    cuts = [cut_of(mask_to_rle(one), HEIGHT) for one in (a, b)]
    return cut_iou(*(band(one, band_width(HEIGHT, WIDTH)) for one in cuts))


def test_nothing_to_count() -> None:
    assert {figure.value for figure in object_figures(rows([]), rng()).values()} == {None}
    alone = object_figures(rows([], only_a=1), rng())
    assert (alone["precision"].value, alone["recall"].value, alone["mean_iou"].value) == (None, 0, None)
