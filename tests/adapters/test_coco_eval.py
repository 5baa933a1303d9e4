import contextlib
import io
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from datalab.adapters.coco_eval import AveragePrecision, ObjectJudge
from datalab.learning.objects import MapObject
from datalab.masks import BoolMask, mask_to_crop

SIDE = 40
NOWHERE = np.zeros((SIDE, SIDE), dtype=bool)


def square(position: int, top: int, left: int, score: float = 1.0, side: int = 10) -> MapObject:
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[top : top + side, left : left + side] = True
    return cut(position, mask, score)


def cut(position: int, mask: BoolMask, score: float = 1.0) -> MapObject:
    return MapObject(position, *mask_to_crop(mask), mask.shape, score)


Image = tuple[list[MapObject], list[MapObject]]


def judged(*images: Image, classes: int = 2) -> AveragePrecision:
    """Each image: what is there, what was found."""
    judge = ObjectJudge(classes)
    for truth, found in images:
        judge.add(truth, found, NOWHERE)
    return judge.average_precision()


def test_a_perfect_answer_is_one_and_a_missed_class_is_zero() -> None:
    both = [square(1, 0, 0), square(2, 20, 20)]
    np.testing.assert_allclose(judged((both, both), classes=3).per_class, [np.nan, 1, 1])
    np.testing.assert_allclose(judged((both, both[:1]), classes=3).per_class, [np.nan, 1, 0])


def test_shifted_by_one_pixel_passes_seven_of_ten_thresholds() -> None:
    """IoU 90 / 110 = 0.82: right at 0.50 to 0.80."""
    found = judged(([square(1, 0, 0)], [square(1, 0, 1)]))
    assert found.per_class[1] == pytest.approx(0.7)
    assert found.per_class_50[1] == pytest.approx(1)


@pytest.mark.parametrize(("score", "expected"), [(0.2, 1.0), (0.9, 0.5)])
def test_a_wrong_object_counts_where_the_model_is_surer_of_it_than_of_a_right_one(
    score: float, expected: float
) -> None:
    found = [square(1, 0, 0, 0.5), square(1, 20, 20, score)]
    assert judged(([square(1, 0, 0)], found)).per_class[1] == pytest.approx(expected)


def test_one_of_two_found_is_half_of_the_recall() -> None:
    """Precision 1 at 51 of COCO's 101 points of recall."""
    truth = [square(1, 0, 0), square(1, 20, 20)]
    assert judged((truth[:1], truth[:1]), (truth[1:], [])).per_class[1] == pytest.approx(51 / 101)


def test_what_is_found_where_nobody_judged_does_not_count() -> None:
    found = [square(1, 0, 0, 0.5), square(1, 20, 20, 0.9)]
    for unknown, expected in ((NOWHERE, 0.5), (square(1, 18, 18, side=16).mask, 1.0)):
        judge = ObjectJudge(2)
        judge.add([square(1, 0, 0)], found, unknown)
        assert judge.average_precision().per_class[1] == pytest.approx(expected)


def test_no_truth_no_answer_and_no_class() -> None:
    assert np.isnan(judged(([], []), ([], [square(1, 0, 0)]), classes=3).per_class).all()
    assert np.isnan(judged(([], []), classes=1).per_class).all()
    assert judged(([square(1, 0, 0)], [])).per_class[1] == 0


def test_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    judged(([square(1, 0, 0)], []))
    assert capsys.readouterr().out == ""


def test_all_that_was_found_counts_however_unsure() -> None:
    truth = [square(1, 0, 0), square(1, 20, 20), square(2, 0, 25)]
    found = [square(1, 0, 1, 0.9), square(1, 25, 0, 0.1), square(2, 0, 25, 0.2)]
    np.testing.assert_array_equal(
        judged((truth, found), ([], found[2:]), classes=3).hits,
        [[[0] * 3, [1, 1, 1], [1, 0, 0]], [[0] * 3, [0] * 3, [0, 1, 0]]],
    )
    np.testing.assert_array_equal(judged((truth[:1], []), classes=3).hits, [[[0] * 3, [0, 0, 1], [0] * 3]])


def test_what_is_too_unsure_to_be_an_answer_counts_in_the_average_precision_alone() -> None:
    truth = [square(1, 0, 0), square(1, 0, 20)]
    found = [square(1, 0, 0, 0.95), square(1, 0, 20, 0.4), *(square(1, 20 + place, 0, 0.06) for place in range(20))]
    results = []
    for least in (0.0, 0.4, 0.5):
        judge = ObjectJudge(2, least_score=least)
        judge.add(truth, found, NOWHERE)
        results.append(judge.average_precision())
    assert [one.hits[0, 1].tolist() for one in results] == [[2, 20, 0], [2, 0, 0], [1, 0, 1]]
    assert [one.per_class[1] for one in results] == pytest.approx([1, 1, 1])


def test_a_rim_that_nobody_judged_costs_no_object() -> None:
    """A square of 18 in a doubtful rim of 6: the model's square of 30 is right wherever somebody judged."""
    truth, wide = square(1, 11, 11, side=18), square(1, 5, 5, side=30)
    for found in (wide, square(1, 9, 9, side=22), square(1, 24, 5, side=11)):
        judge = ObjectJudge(2)
        judge.add([truth], [square(1, 11, 11, 0.5, side=18), found], wide.mask & ~truth.mask)
        assert judge.average_precision().per_class[1] == pytest.approx(1)
    judge = ObjectJudge(2)
    judge.add([truth], [wide], wide.mask & ~truth.mask)
    assert judge.average_precision().hits[0, 1].tolist() == [1, 0, 0]


def test_an_object_in_its_box_is_judged_as_on_the_whole_image() -> None:
    rng = np.random.default_rng(0)
    boxed, whole = ObjectJudge(3), ObjectJudge(3)
    for _ in range(20):
        places = rng.integers(0, 28, (6, 2)).tolist()
        objects = [square(int(rng.integers(1, 3)), top, left, rng.random()) for top, left in places]
        laid_out = [replace(one, top=0, left=0, crop=one.mask) for one in objects]
        unknown = rng.random((SIDE, SIDE)) < 0.3
        boxed.add(objects[:3], objects[1:], unknown, least=50)
        whole.add(laid_out[:3], laid_out[1:], unknown, least=50)
    assert (boxed.truth, boxed.found) == (whole.truth, whole.found)
    assert len(boxed.found) > 20


def test_a_small_object_of_a_large_photograph_takes_little_memory() -> None:
    unknown, cell = np.zeros((1500, 2000), dtype=bool), np.ones((20, 30), dtype=bool)
    one = MapObject(1, 700, 900, cell, unknown.shape)
    judge = ObjectJudge(2)
    tracemalloc.start()
    judge.add([one], [one], unknown)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert judge.found[0]["area"] == 600
    assert most < unknown.size


@pytest.mark.slow
def test_more_than_a_hundred_objects_of_a_class_count() -> None:
    cells = [square(1, top, left, side=2) for top in range(0, 39, 3) for left in range(0, 39, 3)]
    result = judged((cells, cells))
    assert result.hits[0, 1].tolist() == [169, 0, 0]
    assert result.per_class[1] == pytest.approx(1)


def test_where_nobody_judged_there_is_neither_hit_nor_miss() -> None:
    judge = ObjectJudge(2)
    judge.add([square(1, 0, 0)], [square(1, 0, 0), square(1, 20, 20)], square(1, 18, 18, side=16).mask)
    np.testing.assert_array_equal(judge.average_precision().hits[0, 1], [1, 0, 0])


def test_images_drawn_more_than_once_count_as_often_as_coco_counts_copies_of_them() -> None:
    rng = np.random.default_rng(3)
    images: list[Image] = []
    for _ in range(12):
        truth = [square(int(rng.integers(1, 3)), *rng.integers(0, 28, 2)) for _ in range(rng.integers(0, 4))]
        moved = [cut(one.position, np.roll(one.mask, 1, axis=0), rng.random()) for one in truth]
        images.append((truth, [*moved[: rng.integers(0, 4)], square(int(rng.integers(1, 3)), 0, 0, rng.random())]))
    whole = judged(*images, classes=3)
    times = rng.multinomial(12, np.full(12, 1 / 12), size=5)
    values = whole.of_images(np.array([np.ones(12, dtype=int), *times]))
    assert values.shape == (6, 3, 2)
    np.testing.assert_allclose(values[0], np.stack([whole.per_class, whole.per_class_50], axis=-1))
    for drawn, value in zip(times, values[1:], strict=True):
        copies = judged(*(images[place] for place in np.repeat(np.arange(12), drawn)), classes=3)
        np.testing.assert_allclose(value, np.stack([copies.per_class, copies.per_class_50], axis=-1))
        assert 0 < np.nanmin(value) < 1


def test_a_class_that_no_drawn_image_has_has_no_precision() -> None:
    found = judged(([square(1, 0, 0)], []), ([square(2, 0, 0)], [square(2, 0, 0)]), classes=3)
    np.testing.assert_array_equal(found.of_images(np.array([[2, 0]]))[0], [[np.nan] * 2, [0] * 2, [np.nan] * 2])


def test_who_finds_what_is_too_small_to_be_an_object_is_not_wrong() -> None:
    """Of 64 pixels where 77 make an object, found with two rows more; and a real one of 81, found a row too small."""
    truth, large = square(1, 0, 0, side=8), square(1, 20, 0, side=9)
    rows = square(1, 0, 0, 0.9, side=10).mask & (np.arange(SIDE) < 8), large.mask & (np.arange(SIDE) < 8)
    right = [cut(1, mask, 0.8) for mask in rows]
    for more, wrong in (([], 0), ([square(1, 0, 20, 0.7, side=8)], 0), ([square(1, 0, 20, 0.9)], 1)):
        judge = ObjectJudge(2)
        judge.add([truth, large], [*right, *more], NOWHERE, least=77)
        result = judge.average_precision()
        assert result.hits[0, 1].tolist() == [1, wrong, 0]
        assert result.per_class_50[1] == pytest.approx(1 / (1 + wrong))
    other = ObjectJudge(3)
    other.add([truth], [cut(2, rows[0], 0.9)], NOWHERE, least=77)
    assert other.average_precision().hits[0, 2].tolist() == [0, 1, 0]


def by_coco(images: list[Image], least: int) -> tuple[float, list[int]]:
    """AP50 of class 1, and objects right, wrong and missed, by pycocotools' range of areas."""
    sides: list[list[dict[str, object]]] = [[], []]
    for number, image in enumerate(images, start=1):
        for side, objects in zip(sides, image, strict=True):
            for one in objects:
                rle = coco_mask.encode(np.asfortranarray(one.mask.astype(np.uint8)))
                row = {"id": len(side) + 1, "image_id": number, "category_id": 1, "segmentation": rle}
                side.append({**row, "area": float(one.mask.sum()), "iscrowd": 0, "score": one.score})
    apis = [COCO(), COCO()]
    with contextlib.redirect_stdout(io.StringIO()):
        for api, side in zip(apis, sides, strict=True):
            known = [{"id": place + 1, "height": SIDE, "width": SIDE} for place in range(len(images))]
            api.dataset = {"info": {}, "images": known, "categories": [{"id": 1}], "annotations": side}
            api.createIndex()
        judge = COCOeval(*apis, iouType="segm")
        judge.params.areaRng, judge.params.areaRngLbl, judge.params.maxDets = [[least, 1e9]], ["large"], [100]
        judge.evaluate()
        judge.accumulate()
    found = [one for one in judge.evalImgs if one is not None]
    right = sum(int(((one["dtMatches"][0] > 0) & ~one["dtIgnore"][0].astype(bool)).sum()) for one in found)
    wrong = sum(int(((one["dtMatches"][0] == 0) & ~one["dtIgnore"][0].astype(bool)).sum()) for one in found)
    missed = sum(int((np.asarray(one["gtIgnore"]) == 0).sum()) for one in found) - right
    return float(judge.eval["precision"][0, :, 0, 0, 0].mean()), [right, wrong, missed]


def test_sizes_count_as_cocos_range_of_areas_does() -> None:
    rng = np.random.default_rng(0)
    images: list[Image] = []
    for _ in range(40):
        truth, found = [], []
        for top, left in ((0, 0), (0, 20), (20, 0), (20, 20)):
            truth.append(square(1, top, left, side=int(rng.integers(5, 12))))
            shift, side = rng.integers(0, 3, 2), int(rng.integers(5, 12))
            found.append(square(1, top + shift[0], left + shift[1], float(rng.random()), side))
        images.append((truth[: rng.integers(1, 5)], found))
    judge = ObjectJudge(2)
    for one in images:
        judge.add(*one, NOWHERE, least=64)
    result = judge.average_precision()
    precision, hits = by_coco(images, 64)
    assert result.hits[:, 1].sum(axis=0).tolist() == hits
    assert min(hits) > 5
    assert result.per_class_50[1] == pytest.approx(precision)
