from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from datalab.rounds.batch import BatchParams, _with_proposals, choose_gold, compose_batch, rotate_gold
from datalab.tables import ROUND_BATCH

PARAMS = BatchParams(1, images=4, overlap=3, overlap_share=0.5, careful_overlap_share=1.0, gold=2, unaided_share=0.25)
CHOSEN = pd.DataFrame({"image_id": list("abcdef"), "rank": range(6), "reason": "cold_start"})


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_a_batch_has_its_size_its_overlap_set_and_its_gold() -> None:
    batch = compose_batch(CHOSEN, ["x", "y"], PARAMS, rng())
    assert list(batch.columns) == list(ROUND_BATCH)
    assert batch["rank"].tolist() == list(range(6))
    picked = batch[batch["role"] == "batch"]
    assert picked["image_id"].tolist() == ["a", "b", "c", "d"]
    assert sorted(picked["overlap"]) == [1, 1, 3, 3]
    gold = batch[batch["role"] == "gold"]
    assert set(gold["image_id"]) == {"x", "y"}
    assert set(gold["overlap"]) == {3}


def test_gold_places_differ_from_seed_to_seed() -> None:
    places = {
        tuple(compose_batch(CHOSEN, ["x"], PARAMS, np.random.default_rng(seed)).query("role == 'gold'")["rank"])
        for seed in range(20)
    }
    assert len(places) > 2


def test_same_seed_same_batch() -> None:
    pd.testing.assert_frame_equal(
        compose_batch(CHOSEN, ["x"], PARAMS, rng()), compose_batch(CHOSEN, ["x"], PARAMS, rng())
    )


def test_a_random_share_goes_without_proposals_and_gold_is_never_left_out_of_it() -> None:
    unaided = [
        compose_batch(CHOSEN, ["x", "y"], PARAMS, np.random.default_rng(seed)).query("not aided") for seed in range(30)
    ]
    assert all(sorted(table["role"]) == ["batch", "gold"] for table in unaided)
    assert {image_id for table in unaided for image_id in table["image_id"]} == set("abcdxy")


@pytest.mark.parametrize("images", [2, 3, 5, 15, 36])
def test_rounds_of_any_size_have_their_share_without_proposals(images: int) -> None:
    roles = [*["batch"] * images, "gold"]
    unaided = ~np.array([_with_proposals(roles, 0.1, np.random.default_rng([5, seed])) for seed in range(2000)])
    assert unaided[:, :-1].mean() == pytest.approx(0.1, abs=0.015)
    assert unaided[:, -1].mean() == pytest.approx(0.1, abs=0.03)
    assert set(unaided[:, :-1].sum(axis=1)) == {images // 10, images // 10 + 1}


def test_nobody_goes_without_where_the_share_is_nothing() -> None:
    assert compose_batch(CHOSEN, ["x", "y"], replace(PARAMS, unaided_share=0.0), rng())["aided"].all()


def test_gold_that_was_shown_least_comes_first() -> None:
    assert set(rotate_gold(list("abcd"), {"a": 2, "b": 1, "c": 1}, 3, rng())) == {"b", "c", "d"}
    assert rotate_gold(list("abcd"), {"a": 2, "b": 1, "c": 1}, 1, rng()) == ["d"]
    assert rotate_gold([], {}, 3, rng()) == []


def test_gold_covers_rare_classes_and_leaves_near_copies_out() -> None:
    labels = {"a": "cat", "b": "cat", "c": "cat", "d": "cup", "e": "", "f": "cup"}
    truth = pd.DataFrame(
        {
            "image_id": list(labels),
            "region_id": list(labels),
            "label": labels.values(),
            "rle": "",
            "height": 1,
            "width": 1,
        }
    )
    catalog = pd.DataFrame({"image_id": list("abcdef"), "duplicate_group": list("abcddf"), "source": "x.png"})
    catalog.loc[catalog["image_id"] == "e", "duplicate_group"] = "e"
    catalog.loc[catalog["image_id"] == "d", "duplicate_group"] = "a"
    gold = choose_gold(truth, catalog, 3, rng())
    assert set(gold["label"]) == {"cat", "cup", ""}
    assert set(gold["image_id"]) >= {"e", "f"}
    assert not set(gold["image_id"]) & {"a", "d"}
    assert choose_gold(truth, catalog, 0, rng()).empty


def test_gold_is_dealt_over_the_folders_images_came_from() -> None:
    ids = list("abcdefgh")
    truth = pd.DataFrame({"image_id": ids, "region_id": ids, "label": "cup", "rle": "", "height": 1, "width": 1})
    sources = [f"{'night' if image_id in 'ab' else 'day'}/{image_id}.png" for image_id in ids]
    catalog = pd.DataFrame({"image_id": ids, "duplicate_group": ids, "source": sources})
    for seed in range(5):
        gold = choose_gold(truth, catalog, 2, np.random.default_rng(seed))
        assert len(set(gold["image_id"]) & {"a", "b"}) == 1
