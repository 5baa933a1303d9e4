"""Fields of the annotators in a real dataset."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from tests.adapters.review_example import BEN, after_round
from tests.services.test_review import NAME, by_image, published

pytestmark = pytest.mark.services
__all__ = ["NAME"]


def test_a_newcomer_of_the_same_name_takes_nothing_from_who_was_there(uri: str, tmp_path: Path) -> None:
    inputs = after_round(tmp_path)
    assert inputs.ratings is not None and inputs.regions is not None
    sample = published(uri, inputs).match({"image_id": "a1"}).first()
    sample["by_ben"].detections[0].tags.append("blurred")
    sample.save()
    newcomer = BEN.split("@")[0] + "@elsewhere.org"
    others = inputs.ratings[inputs.ratings["annotator"] == BEN].assign(annotator=newcomer, annotation_id="new")
    dataset = published(uri, replace(inputs, ratings=pd.concat([inputs.ratings, others], ignore_index=True)))
    fields = [name for name in dataset.get_field_schema() if name.startswith("by_ben")]
    assert len(fields) == 2
    assert by_image(dataset, "by_ben.detections.tags")["a1"] == [["blurred"]]
    assert dataset.get_field("by_ben").description == f"Regions of {BEN}"
