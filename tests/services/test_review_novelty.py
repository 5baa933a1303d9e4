"""How unlike the learned images an image is, in a real dataset."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from datalab.adapters import review_novelty
from datalab.adapters.review import publish
from datalab.adapters.review_connection import opened
from datalab.adapters.review_inputs import ReviewInputs
from datalab.rounds.progress import silent
from datalab.tables import CATALOG, DATASET
from tests.adapters.review_example import before_labels

pytestmark = pytest.mark.services
NAME = "novel images"
LEARNED = [f"t{number}" for number in range(6)]


@pytest.fixture
def inputs(tmp_path: Path) -> ReviewInputs:
    """Six images to learn from, one like them and one unlike them; t5 is a near duplicate of t0."""
    rng = np.random.default_rng(0)
    images = [*LEARNED, "like", "unlike"]
    groups = ["t0" if one == "t5" else one for one in images]
    for one in images:
        embedding = (
            rng.normal(scale=0.1, size=(8, 4, 4)) + (np.arange(8) * (-3 if one == "unlike" else 1))[:, None, None]
        )
        np.save(tmp_path / f"{one}.npy", embedding.astype(np.float16))
    rows = [(one, f"{one}.png", f"{one}.png", 6, 6, "0" * 16, group) for one, group in zip(images, groups, strict=True)]
    index = [(one, f"{one}.png", "train", group, 1) for one, group in zip(LEARNED, groups, strict=False)]
    return replace(
        before_labels(tmp_path),
        catalog=pd.DataFrame(rows, columns=list(CATALOG)),
        index=pd.DataFrame(index, columns=list(DATASET)),
        embeddings=tmp_path,
    )


def published(uri: str, inputs: ReviewInputs) -> Any:
    publish(uri, NAME, inputs, silent)
    with opened(uri) as fiftyone:
        return fiftyone.load_dataset(NAME, reload=True)


def novelty_of(dataset: Any) -> dict[str, float]:
    return dict(zip(*dataset.values(["image_id", "novelty"]), strict=True))


def test_the_image_that_is_unlike_the_learned_ones_comes_first(uri: str, inputs: ReviewInputs) -> None:
    dataset = published(uri, inputs)
    found = novelty_of(dataset)
    # five learned ones of which none is a duplicate of another
    assert found["unlike"] == pytest.approx(5 / 6)
    assert dataset.load_saved_view("drifted").values("image_id")[0] == "unlike"
    assert max(found[one] for one in LEARNED) <= 4 / 5


def test_it_is_computed_anew_only_for_other_images_to_learn_from(
    uri: str, inputs: ReviewInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = novelty_of(published(uri, inputs))
    with monkeypatch.context() as patch:
        patch.setattr(review_novelty, "novelty", lambda vectors, learned: pytest.fail("computed again"))
        assert novelty_of(published(uri, inputs)) == before
    assert inputs.index is not None
    more = [("unlike", "unlike.png", "train", "unlike", 1), ("like", "like.png", "train", "like", 1)]
    index = pd.concat([inputs.index, pd.DataFrame(more, columns=list(DATASET))], ignore_index=True)
    assert novelty_of(published(uri, replace(inputs, index=index))) != before


def test_an_image_that_was_removed_gets_its_value_back(uri: str, inputs: ReviewInputs) -> None:
    dataset = published(uri, inputs)
    before = novelty_of(dataset)
    dataset.delete_samples(dataset.match({"image_id": "like"}))
    assert novelty_of(published(uri, inputs)) == before


def test_beside_a_few_images_nothing_is_new(uri: str, inputs: ReviewInputs) -> None:
    assert inputs.index is not None
    published(uri, inputs)
    dataset = published(uri, replace(inputs, index=inputs.index.head(4)))
    assert set(novelty_of(dataset).values()) == {None}
