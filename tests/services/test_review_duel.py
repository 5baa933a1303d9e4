"""Two models beside each other in a real dataset: fields, views, and the evaluations that the app compares."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datalab.adapters import review
from datalab.adapters.files import write_label_map
from datalab.adapters.review import publish
from datalab.adapters.review_connection import opened
from datalab.adapters.review_inputs import ReviewInputs
from datalab.rounds.progress import silent
from tests.adapters.review_example import HEIGHT, WIDTH, after_round

pytestmark = pytest.mark.services
NAME = "two models"
DUEL = ["eval_challenger", "eval_champion"]


def compared(folder: Path) -> ReviewInputs:
    """a1: the champion had the coin exactly, the challenger is a column off; b2: the champion saw a cup in nothing."""
    exact, cup = np.zeros((2, HEIGHT, WIDTH), dtype=np.uint8)
    exact[:, :2], cup[:, 3:] = 3, 7
    write_label_map(folder / "champion" / "a1.png", exact)
    write_label_map(folder / "champion" / "b2.png", cup)
    return replace(after_round(folder), champion=folder / "champion")


def published(uri: str, inputs: ReviewInputs) -> Any:
    publish(uri, NAME, inputs, silent)
    with opened(uri) as fiftyone:
        return fiftyone.load_dataset(NAME, reload=True)


def by_image(dataset: Any, field: str) -> dict[str, Any]:
    return dict(zip(*dataset.values(["image_id", field]), strict=True))


def test_both_models_lie_beside_each_other(uri: str, tmp_path: Path) -> None:
    dataset = published(uri, compared(tmp_path))
    assert by_image(dataset, "champion_iou") == {"a1": 1.0, "b2": 0.5, "c3": None}
    assert by_image(dataset, "iou_gain") == {"a1": pytest.approx(17 / 24 - 1), "b2": 0.5, "c3": None}
    assert by_image(dataset, "champion_objects.detections.label") == {"a1": ["coin"], "b2": ["cup"], "c3": None}
    assert by_image(dataset, "champion.mask_path")["b2"] == str(tmp_path / "champion" / "b2.png")


def test_the_views_show_where_it_got_worse_and_better(uri: str, tmp_path: Path) -> None:
    report = publish(uri, NAME, compared(tmp_path), silent)
    assert {"challenger worse", "challenger better"} <= set(report.views)
    with opened(uri) as fiftyone:
        dataset = fiftyone.load_dataset(NAME, reload=True)
        assert dataset.load_saved_view("challenger worse").values("image_id") == ["a1"]
        assert dataset.load_saved_view("challenger better").values("image_id") == ["b2"]
        assert dataset.load_saved_view("challenger worse").has_field("champion_objects")
        assert not dataset.load_saved_view("worst first").has_field("champion_objects")


def test_the_app_can_compare_the_two_on_the_same_images(uri: str, tmp_path: Path) -> None:
    dataset = published(uri, compared(tmp_path))
    assert sorted(dataset.list_evaluations()) == ["eval", *DUEL]
    found = [dataset.load_evaluation_results(key).metrics() for key in DUEL]
    assert [(one["precision"], one["recall"]) for one in found] == [(1.0, 1.0), (0.5, 1.0)]
    infos = [dataset.get_evaluation_info(key).config for key in DUEL]
    assert [(one.pred_field, one.gt_field) for one in infos] == [
        ("predicted_objects", "consensus"),
        ("champion_objects", "consensus"),
    ]
    assert by_image(dataset, "eval_champion_fp") == {"a1": 0, "b2": 1, "c3": None}


def test_nothing_is_done_twice_and_a_champion_that_goes_takes_its_marks_along(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = published(uri, compared(tmp_path)).values(["id", "last_modified_at", "champion_objects.detections.id"])
    with monkeypatch.context() as patched:
        patched.setattr(review, "evaluate", lambda dataset: pytest.fail("judged again"))
        again = published(uri, compared(tmp_path))
    assert again.values(["id", "last_modified_at", "champion_objects.detections.id"]) == before
    dataset = published(uri, replace(compared(tmp_path), champion=None))
    assert dataset.list_evaluations() == ["eval"]
    assert set(by_image(dataset, "iou_gain").values()) == {None}
    assert not [name for name in dataset.get_field_schema() if name.startswith("eval_ch")]
