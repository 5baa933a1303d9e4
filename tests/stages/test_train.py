from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datalab.adapters import segmenter_training
from datalab.adapters.dataset_folder import read_dataset
from datalab.adapters.files import read_json, read_label_map, write_label_map
from datalab.adapters.plots import LabelMap, Pixels
from datalab.adapters.segmenter import load_segmenter
from datalab.adapters.segmenter_samples import Sample, read_sample, shrink_labels
from datalab.adapters.segmenter_schedule import Look
from datalab.adapters.segmenter_temperature import temperature_of
from datalab.errors import InputError
from datalab.stages import train
from datalab.workspace import Workspace
from tests.stages.blob_workspace import TRAIN, enlarge, run_dataset, run_train

SHORT = replace(TRAIN, steps=3, validate_every=2)


def test_the_model_knows_its_classes_and_the_report_its_curve(trained: Workspace) -> None:
    segmenter = load_segmenter(trained.model)
    assert segmenter.class_names == ("background", "disc", "square")
    assert segmenter.longest_side == 64
    report = read_json(trained.reports / "train.json")
    assert [look["step"] for look in report["curve"]] == [20, 40]
    assert report["best_step"] == 40
    assert report["curve"][1]["loss"] < report["curve"][0]["loss"]
    dataset = read_dataset(trained.dataset)
    assert report["images_train"] == len(dataset.split("train"))
    # of one there is a sliver beside a square
    assert (report["thin_classes"], report["warnings"]) == ({"disc": {"images": 11, "lost": 1}}, [])


def test_an_image_in_which_nothing_is_left_of_a_thin_class_shows_it_too() -> None:
    """Of two classes within one cell one is left."""
    large, small = np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.uint8)
    large[:32, :32] = 2
    small[0, :2] = 1, 2
    shrunk = [shrink_labels(positions, (8, 8)) for positions in (large, large, small)]
    nothing = np.zeros((16, 16, 3), np.uint8), np.zeros((1, 2, 2), np.float16)
    found = train.thin_classes(
        [Sample(*nothing, labels, (64, 64), thin) for labels, thin in shrunk], ["background", "rim", "cup"]
    )
    assert found == {"rim": {"images": 1, "lost": 1}, "cup": {"images": 3, "lost": 1}}


def test_the_best_late_look_is_reported() -> None:
    looks = [Look(20, 0.9, 0.9), Look(40, 0.5, 0.8), Look(60, 0.4, 0.6)]
    report = train._report(looks, 60, 9, 3)
    assert (report["best_step"], report["best_validation_miou"]) == (40, 0.8)


@pytest.mark.slow
def test_a_class_too_thin_for_the_working_size_is_told(blobs: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    """Photographs of 960 x 720 in which of each disc a line of three pixels is left: 30 of them are a label pixel."""
    run_dataset(blobs)
    enlarge(blobs.images, blobs.dataset / "masks", (720, 960))
    dataset = read_dataset(blobs.dataset)
    discs = 0
    for image_id in dataset.split("train")["image_id"]:
        labels = read_label_map(dataset.mask(image_id)).copy()
        is_disc = labels == 1
        labels[is_disc] = 0
        labels[[30 * 11 + 2, 30 * 11 + 3, 30 * 11 + 4], :] = 1 if is_disc.any() else 0
        discs += int(is_disc.any())
        write_label_map(dataset.mask(image_id), labels)
    assert discs > 1
    report = read_json(run_train(blobs, SHORT))
    assert report["thin_classes"]["disc"] == {"images": discs, "lost": discs}
    (told,) = report["warnings"]
    assert told.startswith(f"'disc' falls between the label pixels of {discs} of {discs} training images at train.long")
    assert told in caplog.text


@pytest.mark.slow
def test_photographs_are_shrunk_before_they_are_on_the_sheet(blobs: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dataset(blobs)
    enlarge(blobs.images, blobs.dataset / "masks", (900, 1200))
    shown: list[tuple[int, ...]] = []

    def plot(_: Path, images: list[tuple[str, Pixels, LabelMap]], __: object) -> None:
        shown.extend(part.shape for _, *parts in images for part in parts)

    monkeypatch.setattr(train, "plot_labels", plot)
    run_train(blobs, replace(SHORT, sheet=2))
    assert shown == [(384, 512, 3), (384, 512)] * 2


@pytest.mark.parametrize(("model", "held"), [("embedding_decoder", True), ("lraspp_mobilenet_v3_large", False)])
def test_embeddings_are_held_for_a_model_that_looks_at_them(blobs: Workspace, model: str, held: bool) -> None:
    run_dataset(blobs)
    folder, params = read_dataset(blobs.dataset), replace(SHORT, model=model)
    (sample, *_) = train.read_samples(folder, folder.split("train"), blobs.images, blobs.embeddings, params)
    assert sample.embedding.shape == (6, 6, 8)
    assert bool(sample.embedding.any()) == any(sample.embedding.strides) == held


def test_reading_the_images_is_told(blobs: Workspace, capfd: pytest.CaptureFixture[str]) -> None:
    run_dataset(blobs)
    folder = read_dataset(blobs.dataset)
    samples = train.read_samples(folder, folder.index, blobs.images, blobs.embeddings, SHORT)
    assert len(samples) == len(folder.index)
    assert f"read 0/{len(samples)}\n" in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "validation"])
def test_embeddings_of_two_models_are_one_line(blobs: Workspace, split: str) -> None:
    run_dataset(blobs)
    odd = read_dataset(blobs.dataset).split(split)["image_id"].iloc[-1]
    np.save(blobs.embeddings / f"{odd}.npy", np.zeros((4, 16, 16), dtype=np.float16))
    with pytest.raises(InputError, match="are of different models; run dvc repro embed"):
        run_train(blobs, SHORT)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(blobs: Workspace) -> None:
    run_dataset(blobs)
    made = []
    for seed in (0, 0, 1):
        report = run_train(blobs, replace(SHORT, seed=seed))
        made.append((blobs.model.read_bytes(), report.read_bytes()))
    assert made[0] == made[1]
    assert made[0] != made[2]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"longest_side": 100}, "train.longest_side must be a multiple of 8"),
        ({"crop": 4}, "train.crop must be a multiple of 8"),
        ({"width": 20}, "train.width must be a multiple of 16"),
        ({"model": "vnet"}, "train.model is 'vnet'; known: embedding_decoder, lraspp_mobilenet_v3_large, "),
        ({"loss": "hinge"}, "train.loss is 'hinge'; known: cross_entropy, focal, dice"),
        ({"sampling": "all"}, "train.sampling is 'all'; known: shuffled, balanced"),
        ({"ema": 1.0}, "train.ema must be below 1"),
    ],
)
def test_wrong_numbers_are_one_line(blobs: Workspace, wrong: dict[str, int | float | str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run_train(blobs, replace(SHORT, **wrong))  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_kill_after_the_training_costs_no_training(blobs: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dataset(blobs)
    states = blobs.root / ".datalab" / "training"

    def killed(*_: object) -> float:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(train, "temperature_of", killed)
        run_train(blobs)
    assert len(list(states.iterdir())) == 1
    asked: list[int] = []
    with monkeypatch.context() as patched:
        patched.setattr(segmenter_training, "train_step", lambda *_: asked.append(1))
        run_train(blobs)
    assert asked == []
    assert blobs.model.exists()
    assert not list(states.iterdir())


@pytest.mark.slow
def test_a_missing_embedding_is_one_line_and_leaves_no_model(blobs: Workspace) -> None:
    run_dataset(blobs)
    for path in blobs.embeddings.glob("*.npy"):
        path.unlink()
    with pytest.raises(InputError, match="run dvc repro embed"):
        run_train(blobs, SHORT)
    assert not blobs.model.exists()


def test_the_temperature_is_of_the_committee_that_score_asks(trained: Workspace) -> None:
    """With the mirrored view the mean is as sure as its views agree; one alone is surer, and wants more heat."""
    segmenter, folder = load_segmenter(trained.model), read_dataset(trained.dataset)
    validation = [
        read_sample(
            trained.images / str(row.file),
            trained.embeddings / f"{row.image_id}.npy",
            segmenter.longest_side,
            folder.mask(str(row.image_id)),
            folder.class_ids,
        )
        for row in folder.split("validation").itertuples()
    ]
    once, twice = (temperature_of(segmenter.network, validation, flip) for flip in (False, True))
    assert twice < once
    assert segmenter.temperature == pytest.approx(twice)


@pytest.mark.slow
def test_the_temperature_is_fitted_on_validation_images(blobs: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dataset(blobs)
    fitted: list[int] = []

    def fit(_: object, samples: list[object], __: bool) -> float:
        fitted.append(len(samples))
        return 1.0

    monkeypatch.setattr(train, "temperature_of", fit)
    report = read_json(run_train(blobs, SHORT))
    assert fitted == [report["images_validation"]] != [report["images_train"]]
