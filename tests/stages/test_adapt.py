from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file
from segment_anything.modeling import Sam

from datalab.adapters.checkpoints import SamParams
from datalab.adapters.dataset_folder import read_dataset
from datalab.adapters.embedding_cache import Embedding, embedding_bytes
from datalab.adapters.files import read_json, read_rgb, read_table, write_table
from datalab.adapters.mask_generator import Pixels
from datalab.adapters.sam import load_sam
from datalab.adapters.sam_adapt import Floats, Lesson
from datalab.adapters.sam_embed import embed_image
from datalab.masks import BoolMask, mask_to_rle, rle_to_mask
from datalab.stages import adapt
from datalab.stages.adapt import Inputs, Params, figures
from datalab.tables import CONSENSUS
from datalab.workspace import Workspace
from tests.stages.blob_workspace import blob_workspace, run_dataset

OFF = Params(
    enabled=False,
    seed=0,
    steps=8,
    batch_size=4,
    learning_rate=1e-3,
    least_objects=4,
    least_images=2,
    resamples=200,
)
ON = replace(OFF, enabled=True)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = blob_workspace(tmp_path)
    run_dataset(workspace)
    return workspace


def inputs_of(workspace: Workspace) -> Inputs:
    return Inputs(workspace.consensus, workspace.dataset, workspace.images, workspace.embeddings)


def run(workspace: Workspace, params: Params) -> dict[str, object]:
    report = workspace.reports / "sam_adaptation.json"
    inputs = inputs_of(workspace)
    adapt.run(inputs, workspace.sam_decoder, report, params, SamParams("small"))
    found: dict[str, object] = read_json(report)
    return found


def test_off_it_writes_no_weights_and_says_so(workspace: Workspace) -> None:
    assert run(workspace, OFF) == {"kept": False, "reason": "adapt.enabled is false", "sam": None}
    assert load_file(workspace.sam_decoder) == {}


def test_too_little_to_learn_from_is_told(workspace: Workspace) -> None:
    found = run(workspace, replace(ON, least_objects=1000))
    assert found["kept"] is False
    assert "of 1000 objects" in str(found["reason"])
    assert load_file(workspace.sam_decoder) == {}


def test_too_few_images_to_judge_by_are_told(workspace: Workspace) -> None:
    found = run(workspace, replace(ON, least_images=1000))
    assert found["kept"] is False
    assert "of 1000 validation images with an object" in str(found["reason"])


def test_an_object_without_a_pixel_teaches_nothing(workspace: Workspace) -> None:
    drawn = adapt._objects(inputs_of(workspace)).head(1)
    gone = drawn.assign(rle=mask_to_rle(np.zeros((48, 64), dtype=bool)))
    rng = np.random.default_rng(0)
    lessons = adapt._lessons(load_sam("small"), pd.concat([gone, drawn]), inputs_of(workspace), rng)
    assert len(lessons) == 2  # a click and a box


def objects_of(images: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"image_id": images, "region_id": range(len(images))}, index=range(7, 7 + len(images)))


def test_no_more_objects_are_taken_than_can_be_drawn() -> None:
    objects = objects_of([*"aaabbc"])
    found = adapt.drawn(objects, 3, np.random.default_rng(0))
    assert len(found) == len(set(found["region_id"])) == 3
    assert list(found["region_id"]) == sorted(found["region_id"])
    pd.testing.assert_frame_equal(adapt.drawn(objects, 6, np.random.default_rng(0)), objects)


def test_the_exam_is_dealt_over_the_images() -> None:
    objects = objects_of([*"aaaaaaaabbc"])
    for seed in range(5):
        found = adapt.dealt(objects, 5, np.random.default_rng(seed))
        assert list(found["image_id"]) == [*"aabbc"]
    pd.testing.assert_frame_equal(adapt.dealt(objects, 11, np.random.default_rng(0)), objects)


@pytest.mark.slow
def test_many_objects_cost_no_more_than_the_steps_need(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(adapt, "MOST_JUDGED", 3)
    found = run(workspace, replace(ON, steps=2, batch_size=3))
    assert (found["objects_drawn"], found["objects_judged"]) == (6, 3)
    said = capsys.readouterr().err
    assert "embed objects 0/" in said
    assert "adapt SAM 0/2" in said


@pytest.mark.slow
def test_what_is_embedded_is_not_encoded_again(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, sam = inputs_of(workspace), load_sam("small")
    objects = adapt._objects(inputs)
    objects = objects[objects["image_id"] == objects["image_id"].iloc[0]]
    entry = inputs.embeddings / f"{objects['image_id'].iloc[0]}.npy"
    entry.write_bytes(embedding_bytes(embed_image(sam, read_rgb(inputs.images / objects["file"].iloc[0]))))
    encoded: list[tuple[int, ...]] = []

    def counted(sam: Sam, pixels: Pixels) -> Embedding:
        encoded.append(pixels.shape)
        return embed_image(sam, pixels)

    monkeypatch.setattr("datalab.adapters.sam_adapt.embed_image", counted)
    known = adapt._lessons(sam, objects, inputs, np.random.default_rng(0))
    assert len(encoded) == len(objects)  # the enlarged boxes alone
    entry.unlink()
    without = adapt._lessons(sam, objects, inputs, np.random.default_rng(0))
    assert len(encoded) == 2 * len(objects) + 1
    for one, other in zip(known, without, strict=True):
        np.testing.assert_allclose(one.embedding, other.embedding, atol=1e-3)


@pytest.mark.parametrize(
    ("gains", "kept"), [((0.15, 0.151), True), ((0.1, 0.2), False), ((0.4, -0.1), False), ((-0.1, -0.2), False)]
)
def test_only_what_is_surely_better_on_validation_images_is_kept(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, gains: tuple[float, float], kept: bool
) -> None:
    """`gains`: of the first and of every other image."""
    asked: list[list[str]] = []
    judged: list[int] = []
    nothing = np.zeros(0, dtype=np.float32)

    def lessons(_: object, objects: pd.DataFrame, *__: object) -> list[Lesson]:
        asked.append(sorted(set(objects["image_id"])))
        return [
            Lesson(one, kind, nothing.astype(np.float16), nothing, nothing, nothing)
            for one in asked[-1]
            for kind in (0, 1)
        ]

    def judge(_: object, exam: list[Lesson]) -> Floats:
        judged.append(len(exam))
        gain = np.where([one.image_id == exam[0].image_id for one in exam], *gains)
        return np.asarray(0.5 + gain * (len(judged) > 1), dtype=np.float64)

    monkeypatch.setattr(adapt, "_lessons", lessons)
    monkeypatch.setattr(adapt, "adapt", lambda *_: None)
    monkeypatch.setattr(adapt, "judge", judge)
    found: Any = run(workspace, ON)
    drawn = set(read_table(workspace.consensus, CONSENSUS)["image_id"])
    for ids, split in zip(asked, ("train", "validation"), strict=True):
        assert ids == sorted(drawn & set(read_dataset(workspace.dataset).split(split)["image_id"]))
    assert found["all"]["before"] == 0.5
    assert np.sign(found["all"]["difference"]["value"]) == np.sign(sum(gains))
    assert found["kept"] is kept
    assert bool(load_file(workspace.sam_decoder)) is kept


@pytest.mark.slow
def test_what_was_tried_is_reported_and_weights_are_kept_only_with_it(workspace: Workspace) -> None:
    found = run(workspace, ON)
    assert set(found) >= {"all", "box", "click", "objects", "images_held_out"}
    assert bool(load_file(workspace.sam_decoder)) == found["kept"]
    before = workspace.sam_decoder.read_bytes()
    assert run(workspace, ON) == found
    assert workspace.sam_decoder.read_bytes() == before


@pytest.mark.parametrize("gain", [0.0, 0.2])
def test_validation_images_of_one_group_keep_nothing(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, gain: float
) -> None:
    """One patient, however many images: nobody knows whether another one would be segmented better."""
    index = read_dataset(workspace.dataset).index
    write_table(workspace.dataset / "index.parquet", index.assign(group="one patient"))
    nothing = np.zeros(0, dtype=np.float32)
    judged: list[int] = []

    def lessons(_: object, objects: pd.DataFrame, *__: object) -> list[Lesson]:
        ids = sorted(set(objects["image_id"]))
        return [
            Lesson(one, kind, nothing.astype(np.float16), nothing, nothing, nothing) for one in ids for kind in (0, 1)
        ]

    def judge(_: object, exam: list[Lesson]) -> Floats:
        judged.append(len(exam))
        return np.full(len(exam), 0.5 + gain * (len(judged) > 1))

    monkeypatch.setattr(adapt, "_lessons", lessons)
    monkeypatch.setattr(adapt, "adapt", lambda *_: None)
    monkeypatch.setattr(adapt, "judge", judge)
    found: Any = run(workspace, ON)
    assert found["all"]["difference"] == {"value": pytest.approx(gain), "low": None, "high": None}
    assert (found["kept"], found["reason"]) == (False, "not visibly better on the validation images")


def test_figures_are_means_over_images_not_over_objects() -> None:
    nothing = np.zeros(0, dtype=np.float32)
    exam = [
        Lesson(image_id, kind, nothing.astype(np.float16), nothing, nothing, nothing)
        for image_id, kind in (("a", 0), ("a", 0), ("a", 1), ("b", 0))
    ]
    before, after = np.array([0.2, 0.4, 0.5, 0.7]), np.array([0.4, 0.6, 0.5, 0.9])
    found = figures(exam, {"a": "a", "b": "b"}, before, after, np.random.default_rng(0), 100)
    assert found["box"]["before"] == 0.5  # (0.3 + 0.7) / 2
    assert found["box"]["difference"]["value"] == 0.2
    assert found["click"]["difference"] == {"value": 0, "low": None, "high": None}


def test_the_masks_of_an_image_are_laid_out_one_after_the_other(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []

    def counted(rle: str, height: int, width: int) -> BoolMask:
        decoded.append(rle)
        return rle_to_mask(rle, height, width)

    def lessons_of(sam: Sam, image_id: str, pixels: Pixels, masks: Iterable[BoolMask], *_: object) -> list[Lesson]:
        assert [len(decoded) for _ in masks] == [1, 2, 3]
        return []

    monkeypatch.setattr(adapt, "rle_to_mask", counted)
    monkeypatch.setattr(adapt, "lessons_of", lessons_of)
    rows = adapt._objects(inputs_of(workspace)).iloc[[0, 0, 0]]
    assert adapt._lessons(None, rows, inputs_of(workspace), np.random.default_rng(0)) == []
    assert len(decoded) == 3
