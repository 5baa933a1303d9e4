"""Publishing into a real database, read back through FiftyOne."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from datalab.adapters import review_content, review_samples
from datalab.adapters.files import write_label_map
from datalab.adapters.review import publish
from datalab.adapters.review_comparison import Comparison, compare
from datalab.adapters.review_connection import opened
from datalab.adapters.review_inputs import ReviewInputs
from datalab.config import Guidelines, LabelClass
from datalab.errors import InputError, ServiceError
from datalab.masks import mask_to_rle
from tests.adapters.review_example import GUIDELINES, KilledError, after_round, before_labels
from tests.services.test_review_documents import without_ids

pytestmark = pytest.mark.services
NAME = "review test"
CAN = LabelClass(7, "can", "#56b4e9")


def published(uri: str, inputs: ReviewInputs) -> Any:
    """The dataset after publishing."""
    publish(uri, NAME, inputs, silent)
    with opened(uri) as fiftyone:
        return fiftyone.load_dataset(NAME, reload=True)


def silent(share: float, doing: str) -> None:
    assert 0 <= share <= 1
    assert doing


def by_image(dataset: Any, field: str) -> dict[str, Any]:
    return dict(zip(*dataset.values(["image_id", field]), strict=True))


def ids(view: Any) -> list[str]:
    return list(view.values("image_id"))


def test_a_round_as_people_see_it(uri: str, tmp_path: Path) -> None:
    report = publish(uri, NAME, after_round(tmp_path), silent)
    assert (report.path, report.samples) == ("/datasets/review%20test?workspace=review", 3)
    assert report.views == (
        *("worst first", "low agreement", "likely label errors", "gold failures", "contested", "reviewed"),
        *("next batch", "slice: dark"),
    )
    with opened(uri) as fiftyone:
        dataset = fiftyone.load_dataset(NAME)
        assert dataset.persistent
        assert by_image(dataset, "filepath")["a1"] == str(tmp_path / "images" / "a1.png")
        assert by_image(dataset, "metadata.width") == {"a1": 6, "b2": 6, "c3": 6}
        assert by_image(dataset, "tags")["b2"] == ["gold", "round-0001", "slice: dark", "test"]
        assert by_image(dataset, "iou") == {"a1": pytest.approx(17 / 24), "b2": 1.0, "c3": None}
        assert by_image(dataset, "next_batch") == {"a1": None, "b2": None, "c3": 0}
        assert by_image(dataset, "prediction.mask_path")["c3"] == str(tmp_path / "predictions" / "c3.png")
        assert by_image(dataset, "by_ben.detections.origin") == {"a1": ["proposal"], "b2": None, "c3": None}
        (coin,) = by_image(dataset, "consensus.detections")["a1"]
        assert (coin.label, coin.votes, coin.agreement) == ("coin", 2, 0.875)
        assert np.array_equal(coin.mask, np.ones((4, 2), dtype=bool))
        assert by_image(dataset, "gold.detections.label") == {"a1": None, "b2": [], "c3": None}
        assert by_image(dataset, "proposals.detections.predicted_iou")["c3"] == [0.9]
        assert by_image(dataset, "review_outcome")["a1"] == "sent in round 0002"
        assert dataset.info["review_journal"] == str(tmp_path / "review-journal.jsonl")


def test_saved_views_are_sorted_and_keep_to_what_is_defined(uri: str, tmp_path: Path) -> None:
    dataset = published(uri, after_round(tmp_path))
    assert ids(dataset.load_saved_view("worst first")) == ["a1", "b2"]
    assert ids(dataset.load_saved_view("low agreement")) == ["a1"]
    assert ids(dataset.load_saved_view("next batch")) == ["c3"]
    assert ids(dataset.load_saved_view("slice: dark")) == ["b2"]
    assert all(dataset.get_saved_view_info(name)["description"] for name in dataset.list_saved_views())


def test_a_slice_that_is_no_more_takes_its_view_along(uri: str, tmp_path: Path) -> None:
    published(uri, after_round(tmp_path))
    dataset = published(uri, replace(after_round(tmp_path), slices=None))
    assert "slice: dark" not in dataset.list_saved_views()
    assert by_image(dataset, "tags")["b2"] == ["gold", "round-0001", "test"]


@pytest.mark.parametrize("declared", [3, 9, 15, 20])
def test_a_kill_while_fields_are_declared_is_made_good(
    uri: str, tmp_path: Path, declared: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = replace(after_round(tmp_path), champion=tmp_path / "predictions")
    with opened(uri) as fiftyone, monkeypatch.context() as patch:
        calls: list[object] = []
        add = fiftyone.Dataset.add_sample_field

        def dies(self: Any, *given: Any, **named: Any) -> None:
            calls.append(given)
            if len(calls) > declared:
                raise KilledError
            add(self, *given, **named)

        patch.setattr(fiftyone.Dataset, "add_sample_field", dies)
        with pytest.raises(KilledError):
            publish(uri, NAME, inputs, silent)
    whole = published(uri, inputs)
    assert by_image(whole, "iou") == {"a1": pytest.approx(17 / 24), "b2": 1.0, "c3": None}


def test_a_persons_own_field_stays_though_its_name_begins_as_an_annotators_does(uri: str, tmp_path: Path) -> None:
    inputs = after_round(tmp_path)
    assert inputs.ratings is not None and inputs.regions is not None
    publish(uri, NAME, inputs, silent)
    with opened(uri) as fiftyone:
        dataset = fiftyone.load_dataset(NAME, reload=True)
        dataset.add_sample_field("by_weather", fiftyone.StringField)
        dataset.set_values("by_weather", ["rain", "sun", "fog"])
    again = published(uri, replace(inputs, ratings=inputs.ratings.head(1), regions=inputs.regions.head(1)))
    assert sorted(by_image(again, "by_weather").values()) == ["fog", "rain", "sun"]
    assert "by_ben" not in again.get_field_schema()


def test_images_lie_in_a_plane_by_their_embeddings(uri: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for image_id in ("a1", "b2", "c3"):
        np.save(tmp_path / f"{image_id}.npy", rng.normal(size=(8, 4, 4)).astype(np.float16))
    inputs = replace(after_round(tmp_path), embeddings=tmp_path)
    dataset = published(uri, inputs)
    points = dataset.load_brain_results("sam_embeddings").points
    assert points.shape == (3, 2)
    assert panels(dataset) == ["Samples", "Embeddings", "Histograms"]
    assert np.array_equal(published(uri, inputs).load_brain_results("sam_embeddings").points, points)
    dataset.save_workspace(
        "review", dataset.load_workspace("review"), description="of an older datalab", overwrite=True
    )
    fewer = published(uri, replace(inputs, catalog=inputs.catalog.iloc[:2]))
    assert len(fewer) == 2
    assert panels(fewer) == ["Samples", "Histograms"]


def panels(dataset: Any) -> list[str]:
    """Of the saved workspace, those that are shown."""

    def shown(space: Any) -> list[Any]:
        if not hasattr(space, "children"):
            return [space.type]
        active = [one for one in space.children if space.active_child in (None, one.component_id)]
        return [name for one in active for name in shown(one)]

    assert dataset.list_workspaces() == ["review"]
    return shown(dataset.load_workspace("review"))


def test_a_dataset_of_an_older_schema_is_brought_up_to_date(uri: str, tmp_path: Path) -> None:
    dataset = published(uri, after_round(tmp_path))
    dataset.delete_sample_fields(["review", "gold", "label_error"])
    dataset.info = {"made_by": "datalab"}
    dataset.save()
    again = published(uri, after_round(tmp_path))
    assert by_image(again, "review")["a1"] == "relabel"
    assert by_image(again, "label_error")["a1"] == 0.75
    assert "review_journal" in again.info


def test_an_image_deleted_from_the_disk_is_still_published(uri: str, tmp_path: Path) -> None:
    inputs = after_round(tmp_path)
    (tmp_path / "predictions" / "a1.png").unlink()
    dataset = published(uri, inputs)
    assert by_image(dataset, "iou") == {"a1": None, "b2": 1.0, "c3": None}
    assert by_image(dataset, "filepath")["a1"] == str(tmp_path / "images" / "a1.png")


def test_colours_are_those_of_the_guidelines(uri: str, tmp_path: Path) -> None:
    dataset = published(uri, after_round(tmp_path))
    assert dataset.default_mask_targets == {3: "coin", 7: "cup", 255: "left out"}
    fields = {field["path"]: field for field in dataset.app_config.color_scheme.fields}
    assert {"value": "coin", "color": "#e69f00"} in fields["by_anna_k"]["valueColors"]
    assert {"intTarget": 7, "color": "#56b4e9"} in fields["prediction"]["maskTargetsColors"]


def test_publishing_again_changes_nothing(uri: str, tmp_path: Path) -> None:
    before = published(uri, after_round(tmp_path))
    fields = ["id", "last_modified_at", "consensus.detections.id", "tags"]
    values, view = before.values(fields), before._get_saved_view_doc("worst first").id
    after = published(uri, after_round(tmp_path))
    assert after.values(fields) == values
    assert after._get_saved_view_doc("worst first").id == view


def test_the_first_round_fills_what_was_empty(uri: str, tmp_path: Path) -> None:
    report = publish(uri, NAME, before_labels(tmp_path), silent)
    assert (report.samples, report.views) == (3, ())
    dataset = published(uri, after_round(tmp_path))
    assert len(dataset) == 3
    assert by_image(dataset, "round") == {"a1": "0002", "b2": "0001", "c3": None}


def test_what_no_longer_holds_is_cleared_and_what_people_added_stays(uri: str, tmp_path: Path) -> None:
    dataset = published(uri, after_round(tmp_path))
    dataset.tag_samples("wrong label")
    dataset.add_sample_field("note", dataset.get_field("image_id").__class__)
    dataset.save_view("mine", dataset.limit(1))
    moved = tmp_path / "elsewhere"
    dataset = published(uri, before_labels(moved))
    assert set(by_image(dataset, "consensus").values()) == {None}
    assert set(by_image(dataset, "iou").values()) == {None}
    assert by_image(dataset, "tags") == {"a1": ["wrong label"], "b2": ["wrong label"], "c3": ["wrong label"]}
    assert by_image(dataset, "filepath")["b2"] == str(moved / "images" / "b2.png")
    assert not [name for name in dataset.get_field_schema() if name.startswith("by_")]
    assert dataset.has_field("note")
    assert dataset.has_saved_view("mine")


def test_objects_that_stay_as_they_are_keep_their_tags_and_ids(uri: str, tmp_path: Path) -> None:
    inputs = after_round(tmp_path)
    dataset = published(uri, inputs)
    sample = dataset.match({"image_id": "a1"}).first()
    kept = sample["consensus"].detections[0]
    kept.tags.append("blurred")
    sample.save()
    assert inputs.consensus is not None
    first = inputs.consensus[inputs.consensus["image_id"] == "a1"].head(1)
    corner = np.zeros((int(first["height"].iloc[0]), int(first["width"].iloc[0])), dtype=bool)
    corner[:1, :1] = True
    more = pd.concat([inputs.consensus, first.assign(region_id="new", rle=mask_to_rle(corner))], ignore_index=True)
    dataset = published(uri, replace(inputs, consensus=more))
    found = dataset.match({"image_id": "a1"}).first()["consensus"].detections
    assert {(one.id, tuple(one.tags)) for one in found} >= {(kept.id, ("blurred",))}
    assert len(found) == len(sample["consensus"].detections) + 1


def test_images_come_and_go_without_doubles(uri: str, tmp_path: Path) -> None:
    inputs = after_round(tmp_path)
    dataset = published(uri, replace(inputs, catalog=inputs.catalog.iloc[:2]))
    assert sorted(ids(dataset)) == ["a1", "b2"]
    dataset.add_sample(dataset.first().copy())
    assert sorted(ids(published(uri, inputs))) == ["a1", "b2", "c3"]
    assert sorted(ids(published(uri, replace(inputs, catalog=inputs.catalog.iloc[1:])))) == ["b2", "c3"]


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by every image whose label maps are read."""
    found: list[str] = []

    def listed(consensus: Path, prediction: Path, guidelines: Guidelines) -> Comparison:
        found.append(prediction.stem)
        return compare(consensus, prediction, guidelines)

    monkeypatch.setattr(review_content, "compare", listed)
    return found


def test_only_label_maps_that_changed_are_read(uri: str, tmp_path: Path, compared: list[str]) -> None:
    before = published(uri, after_round(tmp_path))
    values = before.values(["iou", "predicted_objects.detections.label", "predicted_objects.detections.id"])
    assert compared == ["a1", "b2"]
    after = published(uri, after_round(tmp_path))
    assert after.values(["iou", "predicted_objects.detections.label", "predicted_objects.detections.id"]) == values
    assert compared == ["a1", "b2"]
    inputs = after_round(tmp_path)
    write_label_map(tmp_path / "predictions" / "b2.png", np.full((4, 6), 3, dtype=np.uint8))
    assert by_image(published(uri, inputs), "predicted_objects.detections.label") == {
        "a1": ["coin"],
        "b2": ["coin"],
        "c3": None,
    }
    assert compared == ["a1", "b2", "b2"]
    renamed = replace(inputs, guidelines=replace(GUIDELINES, classes=(*GUIDELINES.classes[:1], CAN)))
    published(uri, renamed)
    assert compared[3:] == ["a1", "b2"]


def test_a_lost_database_is_filled_again(uri: str, tmp_path: Path, compared: list[str]) -> None:
    before = published(uri, after_round(tmp_path)).values(["image_id", "iou", "consensus.digest", "tags"])
    with opened(uri) as fiftyone:
        fiftyone.delete_dataset(NAME)
    assert published(uri, after_round(tmp_path)).values(["image_id", "iou", "consensus.digest", "tags"]) == before
    assert compared == ["a1", "b2"] * 2


def test_a_change_that_is_taken_back_after_a_kill(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second publishing dies once it has written the new IoU; the third has the first one's inputs."""
    published(uri, after_round(tmp_path))
    write = review_samples._set

    def dies(dataset: Any, field: str, values: dict[str, Any]) -> None:
        write(dataset, field, values)
        if field == "iou" and values:
            raise KilledError

    changed = after_round(tmp_path)
    write_label_map(tmp_path / "predictions" / "a1.png", np.zeros((4, 6), dtype=np.uint8))
    with monkeypatch.context() as patched:
        patched.setattr(review_samples, "_set", dies)
        with pytest.raises(KilledError):
            published(uri, changed)
    assert by_image(published(uri, after_round(tmp_path)), "iou")["a1"] == pytest.approx(17 / 24)


def test_a_sample_is_stored_as_fiftyone_stores_it(uri: str, tmp_path: Path) -> None:
    """The first of a dataset is FiftyOne's own and filled field by field, the others are put in whole."""

    def stored(inputs: ReviewInputs, image_id: str) -> dict[str, Any]:
        dataset = published(uri, inputs)
        sample = dataset._sample_collection.find_one({"image_id": image_id})
        with opened(uri) as fiftyone:
            fiftyone.delete_dataset(NAME)
        return {name: without_ids(value) for name, value in sample.items() if value is not None}

    inputs = replace(after_round(tmp_path), predictions=None)  # an evaluation notes ids
    field_by_field = stored(inputs, "a1")
    whole = stored(replace(inputs, catalog=inputs.catalog.iloc[::-1]), "a1")
    own = ("_id", "_dataset_id", "_rand", "created_at", "last_modified_at")
    assert whole.keys() == field_by_field.keys()
    assert {name: type(whole[name]) for name in own} == {name: type(field_by_field[name]) for name in own}
    assert {**whole, **dict.fromkeys(own)} == {**field_by_field, **dict.fromkeys(own)}


@pytest.mark.parametrize("step", ["comparing predictions", "adding images", "publishing"])
def test_killed_midway_and_run_again(uri: str, tmp_path: Path, step: str) -> None:
    def kill(share: float, doing: str) -> None:
        if doing == step:
            raise KilledError

    with pytest.raises(KilledError):
        publish(uri, NAME, after_round(tmp_path), kill)
    dataset = published(uri, after_round(tmp_path))
    assert sorted(ids(dataset)) == ["a1", "b2", "c3"]
    assert by_image(dataset, "consensus.detections.label") == {"a1": ["coin"], "b2": [], "c3": None}
    assert dataset.persistent


def test_somebody_elses_dataset_is_left_alone(uri: str, tmp_path: Path) -> None:
    with opened(uri) as fiftyone:
        theirs = fiftyone.Dataset(NAME)
        theirs.add_sample(fiftyone.Sample(str(tmp_path / "x.png")))
    with pytest.raises(InputError, match="that datalab did not make"):
        publish(uri, NAME, before_labels(tmp_path), silent)
    assert len(theirs) == 1


def test_one_process_serves_one_database(uri: str, tmp_path: Path) -> None:
    publish(uri, NAME, before_labels(tmp_path), silent)
    with pytest.raises(ServiceError, match="run it in a new process"):
        publish(f"{uri}/?appName=other", NAME, before_labels(tmp_path), silent)
