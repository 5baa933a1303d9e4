"""Right and missed objects in a real dataset, told by FiftyOne's evaluation."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from datalab.adapters import review
from datalab.adapters.files import write_label_map
from datalab.adapters.review import publish
from datalab.adapters.review_app import PREDICTED, TRUTH
from datalab.adapters.review_connection import opened
from datalab.adapters.review_inputs import ReviewInputs
from datalab.adapters.review_journal import Subject
from datalab.adapters.review_tags import clear_tags, find_tags, picked_subjects
from datalab.rounds.progress import silent
from datalab.tables import CONSENSUS
from tests.adapters.review_example import HEIGHT, WIDTH, KilledError, after_round, box_mask

pytestmark = pytest.mark.services
NAME = "judged objects"
COUNTS = ["eval_tp", "eval_fp", "eval_fn"]
VIEWS = {"false positives", "missed objects"}


def judged(folder: Path) -> ReviewInputs:
    """a1: two coins, of which one is found, with an IoU of 2/3, and the other is taken for a cup; b2: a cup, where
    nothing is."""
    inputs = after_round(folder)
    objects = [("k1", box_mask(0, 0, 4, 2)), ("k2", box_mask(0, 4, 4, 6))]
    rows = [("a1", name, "coin", rle, HEIGHT, WIDTH, 2, 2, 0.875) for name, rle in objects]
    predict(folder, "a1", [(3, 0, 3), (7, 4, 6)])
    predict(folder, "b2", [(7, 0, 3)])
    return replace(inputs, consensus=pd.DataFrame(rows, columns=list(CONSENSUS)))


def predict(folder: Path, image_id: str, columns: list[tuple[int, int, int]]) -> None:
    label_map = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    for class_id, left, right in columns:
        label_map[:, left:right] = class_id
    write_label_map(folder / "predictions" / f"{image_id}.png", label_map)


def published(uri: str, inputs: ReviewInputs) -> Any:
    publish(uri, NAME, inputs, silent)
    with opened(uri) as fiftyone:
        return fiftyone.load_dataset(NAME, reload=True)


def counts(dataset: Any) -> dict[str, tuple[int | None, ...]]:
    ids, *values = dataset.values(["image_id", *COUNTS])
    return dict(zip(ids, zip(*values, strict=True), strict=True))


def marks(dataset: Any, field: str) -> list[tuple[str, str]]:
    labels, found = dataset.match({"image_id": "a1"}).values([f"{field}.detections.label", f"{field}.detections.eval"])
    return list(zip(labels[0], found[0], strict=True))


def test_objects_are_right_wrong_or_missed(uri: str, tmp_path: Path) -> None:
    dataset = published(uri, judged(tmp_path))
    assert counts(dataset) == {"a1": (1, 1, 1), "b2": (0, 1, 0), "c3": (None, None, None)}
    assert marks(dataset, "predicted_objects") == [("coin", "tp"), ("cup", "fp")]
    assert marks(dataset, "consensus") == [("coin", "tp"), ("coin", "fn")]
    ious = dataset.match({"image_id": "a1"}).values("consensus.detections.eval_iou")[0]
    assert ious == [pytest.approx(2 / 3), None]


def test_the_marks_are_those_of_fiftyone_when_it_writes_them_itself(uri: str, tmp_path: Path) -> None:
    dataset = published(uri, judged(tmp_path))
    theirs = dataset.evaluate_detections(PREDICTED, gt_field=TRUTH, eval_key="peer", use_masks=True, progress=False)
    paths = [f"{field}.detections.{{}}{part}" for field in (TRUTH, PREDICTED) for part in ("", "_id", "_iou")]
    paths += ["{}_tp", "{}_fp", "{}_fn"]
    shown = dataset.exists(PREDICTED)
    assert [shown.values(path.format("eval")) for path in paths] == [
        shown.values(path.format("peer")) for path in paths
    ]
    ours = dataset.load_evaluation_results("eval")
    assert ours.metrics() == theirs.metrics()
    assert sorted(ours.ypred) == sorted(theirs.ypred)


def test_each_view_shows_just_the_objects_in_question(uri: str, tmp_path: Path) -> None:
    report = publish(uri, NAME, judged(tmp_path), silent)
    assert set(report.views) >= VIEWS
    with opened(uri) as fiftyone:
        dataset = fiftyone.load_dataset(NAME, reload=True)
        wrong, missed = (dataset.load_saved_view(name) for name in sorted(VIEWS))
        assert sorted(wrong.values("image_id")) == ["a1", "b2"]
        assert wrong.count_values("predicted_objects.detections.label") == {"cup": 2}
        assert not wrong.has_field("consensus")
        assert missed.values("image_id") == ["a1"]
        assert missed.values("consensus.detections.region_id") == [["k2"]]
        assert not missed.has_field("predicted_objects")


def test_nothing_is_judged_twice(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = published(uri, judged(tmp_path))
    fields = ["id", "last_modified_at", *COUNTS, "predicted_objects.detections.eval_id"]
    values, view = before.values(fields), before._get_saved_view_doc("missed objects").id
    monkeypatch.setattr(review, "evaluate", lambda dataset: pytest.fail("judged again"))
    after = published(uri, judged(tmp_path))
    assert after.values(fields) == values
    assert after._get_saved_view_doc("missed objects").id == view


def test_another_model_is_judged_anew(uri: str, tmp_path: Path) -> None:
    inputs = judged(tmp_path)
    published(uri, inputs)
    predict(tmp_path, "a1", [(3, 0, 2), (3, 4, 6)])
    predict(tmp_path, "b2", [])
    dataset = published(uri, inputs)
    assert counts(dataset) == {"a1": (2, 0, 0), "b2": (0, 0, 0), "c3": (None, None, None)}
    assert dataset.list_evaluations() == ["eval"]
    assert VIEWS.isdisjoint(publish(uri, NAME, inputs, silent).views)


@pytest.mark.parametrize("step", ["publishing", "judging objects"])
def test_killed_between_labels_and_judgement(uri: str, tmp_path: Path, step: str) -> None:
    inputs = judged(tmp_path)
    published(uri, inputs)

    def kill(share: float, doing: str) -> None:
        if doing == step:
            raise KilledError

    predict(tmp_path, "a1", [(3, 0, 3)])
    with pytest.raises(KilledError):
        publish(uri, NAME, inputs, kill)
    assert counts(published(uri, inputs))["a1"] == (1, 0, 1)


def test_an_image_that_somebody_removed_comes_back_judged(uri: str, tmp_path: Path) -> None:
    dataset = published(uri, judged(tmp_path))
    dataset.delete_samples(dataset.match({"image_id": "a1"}))
    assert counts(published(uri, judged(tmp_path)))["a1"] == (1, 1, 1)


def test_without_a_model_there_is_no_judgement(uri: str, tmp_path: Path) -> None:
    inputs = judged(tmp_path)
    published(uri, inputs)
    dataset = published(uri, replace(inputs, predictions=None))
    assert dataset.list_evaluations() == []
    assert not [name for name in dataset.get_field_schema() if name.startswith("eval")]
    assert VIEWS.isdisjoint(dataset.list_saved_views())


def test_a_wrong_object_can_be_sent_back(uri: str, tmp_path: Path) -> None:
    dataset = published(uri, judged(tmp_path))
    wrong = dataset.load_saved_view("false positives")
    (sample_id,) = dataset.match({"image_id": "b2"}).values("id")
    ((label_id,),) = dataset.match({"image_id": "b2"}).values("predicted_objects.detections.id")
    (picked,) = picked_subjects(dataset, [sample_id], [label_id])
    assert (picked.image_id, picked.label, picked.box) == ("b2", "cup", "0 0 0.5 1")
    wrong.match({"image_id": "b2"}).tag_labels("relabel", label_fields="predicted_objects")
    tags = find_tags(dataset)
    assert [(tag.verdict, tag.subject) for tag in tags] == [("relabel", picked)]
    dataset.match({"image_id": "b2"}).tag_samples(["accept", "mine"])
    clear_tags(dataset, tags)
    later = find_tags(dataset)
    assert [(tag.verdict, tag.subject) for tag in later] == [("accept", Subject("b2"))]
    clear_tags(dataset, later)
    assert find_tags(dataset) == []
    (tags_left,) = dataset.match({"image_id": "b2"}).values("tags")
    assert "mine" in tags_left
