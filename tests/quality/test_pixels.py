import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import confusion_matrix, jaccard_score

from datalab.quality.pixels import pixel_disagreement, pixel_margins, pixel_overlap, pixel_tables
from datalab.quality.rated import rated_images
from tests.quality.images import HEIGHT, WIDTH, Box, tables

LabelMap = npt.NDArray[np.uint8]
Table = npt.NDArray[np.int64]
MAPS = arrays(np.uint8, (5, 7), elements=st.integers(0, 2))


def confusion_of(a: LabelMap, b: LabelMap) -> Table:
    return np.asarray(confusion_matrix(a.ravel(), b.ravel(), labels=[0, 1, 2]))


def margins_of(confusion: Table) -> Table:
    return np.stack(
        [np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(axis=-1), confusion.sum(axis=-2)], axis=-1
    )


@pytest.mark.slow
@given(MAPS, MAPS)
def test_counts_and_iou_are_scikit_learns(a: LabelMap, b: LabelMap) -> None:
    confusion, margins = confusion_of(a, b), pixel_margins(a, b, 3)
    assert np.array_equal(margins, margins_of(confusion))
    for class_id in range(3):
        found = pixel_overlap(margins[None], class_id, np.random.default_rng(0))
        if found["iou"].value is None:
            assert not confusion[class_id].any() and not confusion[:, class_id].any()
            continue
        assert found["iou"].value == pytest.approx(jaccard_score(a.ravel() == class_id, b.ravel() == class_id))
        assert found["dice"].value == pytest.approx(2 * found["iou"].value / (1 + found["iou"].value))


@given(MAPS, MAPS)
def test_what_differs_in_quantity_and_in_place_is_all_that_differs(a: LabelMap, b: LabelMap) -> None:
    found = pixel_disagreement(pixel_margins(a, b, 3)[None], ["i"], {"i": "i"}, np.random.default_rng(0))
    total = (found["quantity"].value or 0) + (found["allocation"].value or 0)
    assert total == pytest.approx(float((a != b).mean()))


def test_maps_that_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match=r"\(2, 2\) and \(2, 3\)"):
        pixel_margins(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8), 2)
    with pytest.raises(ValueError, match="above 1"):
        pixel_margins(np.full((2, 2), 2, np.uint8), np.zeros((2, 2), np.uint8), 2)


def test_tables_of_rated_images_by_hand() -> None:
    coin, narrow, cup = ("coin", 0, 0, 4, 4), ("coin", 0, 0, 4, 3), ("cup", 0, 0, 1, 1)
    answers: dict[tuple[str, str], list[Box]] = {("i", "ann"): [coin], ("i", "bob"): [narrow, cup], ("i", "cat"): []}
    found = pixel_tables(rated_images(*tables(answers)), ["coin", "cup"])
    empty = HEIGHT * WIDTH - 16
    assert found[0].tolist() == [[empty, empty, empty + 4], [11, 16, 11], [0, 0, 1]]
    assert found[1].tolist() == [[empty, empty, empty + 16], [0, 16, 0], [0, 0, 0]]
    assert pixel_tables({}, ["coin"]).shape == (0, 2, 3)


def test_pooled_overlap_leaves_images_without_the_class_out() -> None:
    one = margins_of(np.array([[[40, 0], [4, 12]], [[48, 0], [0, 0]], [[48, 0], [0, 0]]]))
    found = pixel_overlap(one, 1, np.random.default_rng(0))
    assert (found["iou"].value, found["iou"].n) == (0.75, 1)
    assert found["dice"].value == pytest.approx(24 / 28)
    assert pixel_overlap(one[1:], 1, np.random.default_rng(0))["iou"].value is None


@given(st.lists(st.tuples(MAPS, MAPS), min_size=1, max_size=4))
def test_disagreement_is_the_mean_of_each_image(
    maps: list[tuple[LabelMap, LabelMap]],
) -> None:
    tables = np.array([confusion_of(a, b) for a, b in maps])
    alone = {f"{place}": f"{place}" for place in range(len(maps))}
    found = pixel_disagreement(margins_of(tables), list(alone), alone, np.random.default_rng(0))
    # Pontius & Millones 2011: half of what the margins differ; the rest of the wrong pixels
    quantity = [np.abs(one.sum(axis=0) - one.sum(axis=1)).sum() / 2 / one.sum() for one in tables]
    wrong = [1 - np.trace(one) / one.sum() for one in tables]
    expected = np.array([np.mean(quantity), np.mean(wrong) - np.mean(quantity)])
    assert [found["quantity"].value, found["allocation"].value] == pytest.approx(expected.tolist())


def test_too_much_here_does_not_hide_too_little_there() -> None:
    """Class 1: ann has 4 pixels more on one image, and 4 fewer on the other; on a third they lie elsewhere."""
    tables = margins_of(np.array([[[36, 0], [4, 8]], [[36, 4], [0, 8]], [[38, 5], [5, 0]]]))
    alone = {name: name for name in "ijk"}
    found = pixel_disagreement(tables, list(alone), alone, np.random.default_rng(0), class_id=1)
    assert found["quantity"].value == pytest.approx(2 * 4 / 48 / 3)
    assert found["allocation"].value == pytest.approx(10 / 48 / 3)
