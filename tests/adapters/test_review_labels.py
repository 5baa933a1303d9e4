from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datalab.adapters.review_documents import Document, Forms
from datalab.adapters.review_labels import RegionField, annotator_fields, predicted_field, region_fields
from tests.adapters.review_example import ANNA, BEN, after_round, before_labels, box_mask, catalog

FORMS = Forms({"_cls": "object", "tags": []}, {"_cls": "objects"}, {"_cls": "map"}, pack=lambda mask: mask)
"""Stands for what FiftyOne stores; masks are not packed."""
PEOPLE = {ANNA: "by_anna_k", BEN: "by_ben"}


def objects(field: RegionField, image_id: str) -> list[Document] | None:
    labels = field.labels(FORMS, image_id)
    return None if labels is None else labels["detections"]


def drawn(field: RegionField, image_id: str) -> list[Document]:
    return objects(field, image_id) or []


def test_one_field_per_annotator() -> None:
    assert annotator_fields([BEN, ANNA, BEN], {}) == PEOPLE


def test_same_names_are_told_apart_and_stay_so() -> None:
    fields = annotator_fields(["ben@one.org", "Ben@two.org", "carl@one.org"], {})
    assert len(set(fields.values())) == 3
    assert fields["carl@one.org"] == "by_carl"
    assert fields["ben@one.org"] == annotator_fields(["ben@one.org", "BEN@three.org"], {})["ben@one.org"]
    assert all(field.removeprefix("by_").replace("_", "").isalnum() for field in fields.values())


def test_a_newcomer_of_the_same_name_leaves_a_field_that_is_there_as_it_is() -> None:
    known = {"ben@one.org": "by_ben", "gone@one.org": "by_gone"}
    fields = annotator_fields(["ben@one.org", "ben@two.org", "gone@two.org", "carl@one.org"], known)
    assert fields["ben@one.org"] == "by_ben"
    assert fields["ben@two.org"].startswith("by_ben_")
    assert fields["gone@two.org"].startswith("by_gone_")
    assert fields["carl@one.org"] == "by_carl"
    assert annotator_fields(fields, fields) == fields


def test_nothing_there_differs_from_not_looked_at(tmp_path: Path) -> None:
    fields = region_fields(after_round(tmp_path), PEOPLE)
    assert objects(fields["by_anna_k"], "b2") == []
    assert objects(fields["by_ben"], "b2") is None
    assert objects(fields["consensus"], "b2") == []
    assert objects(fields["consensus"], "c3") is None
    assert region_fields(before_labels(tmp_path), {}) == {}


def test_a_mask_is_cropped_to_its_box(tmp_path: Path) -> None:
    (region,) = drawn(region_fields(after_round(tmp_path), PEOPLE)["by_ben"], "a1")
    assert region["bounding_box"] == pytest.approx([0.0, 1 / 4, 2 / 6, 3 / 4])
    assert np.array_equal(region["mask"], np.ones((3, 2), dtype=bool))
    assert (region["label"], region["origin"], region["region_id"]) == ("coin", "proposal", "r2")


def test_consensus_carries_its_votes(tmp_path: Path) -> None:
    (region,) = drawn(region_fields(after_round(tmp_path), PEOPLE)["consensus"], "a1")
    assert (region["votes"], region["raters"], region["agreement"]) == (2, 2, 0.875)


def test_an_empty_mask_has_no_box(tmp_path: Path) -> None:
    inputs = after_round(tmp_path)
    assert inputs.consensus is not None
    for rle in ("", box_mask(0, 0, 0, 0)):
        field = region_fields(replace(inputs, consensus=inputs.consensus.assign(rle=rle)), PEOPLE)["consensus"]
        assert objects(field, "a1") == []


def test_an_older_annotation_of_the_same_person_is_not_shown(tmp_path: Path) -> None:
    inputs = after_round(tmp_path)
    assert inputs.ratings is not None
    ratings = inputs.ratings.replace({"annotation_id": {"n1": "n9"}})
    assert objects(region_fields(replace(inputs, ratings=ratings), PEOPLE)["by_anna_k"], "a1") == []


def test_the_digest_follows_what_is_shown(tmp_path: Path) -> None:
    inputs = after_round(tmp_path)
    assert inputs.consensus is not None
    before = region_fields(inputs, PEOPLE)["consensus"].digests()
    assert before.keys() == {"a1", "b2"}
    moved = replace(inputs, consensus=inputs.consensus.assign(rle=box_mask(0, 1, 4, 3)))
    renamed = replace(inputs, consensus=inputs.consensus.assign(region_id="k9"))
    after = region_fields(moved, PEOPLE)["consensus"].digests()
    assert after["a1"] != before["a1"]
    assert after["b2"] == before["b2"]
    assert region_fields(renamed, PEOPLE)["consensus"].digests()["a1"] != before["a1"]


def test_predicted_objects_lie_where_they_were_predicted() -> None:
    field = predicted_field(catalog(), {"a1": [("coin", box_mask(0, 0, 4, 3))], "b2": []})
    (coin,) = drawn(field, "a1")
    assert (coin["label"], coin["bounding_box"]) == ("coin", [0.0, 0.0, 0.5, 1.0])
    assert objects(field, "b2") == []
    assert objects(field, "c3") is None
