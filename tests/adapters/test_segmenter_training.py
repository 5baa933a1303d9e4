from dataclasses import replace
from functools import partialmethod
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import mobilenet_v3_large

from datalab.adapters import segmenter_training
from datalab.adapters.segmenter import Segmenter, predict
from datalab.adapters.segmenter_augment import Pool, draw_batch
from datalab.adapters.segmenter_models import new_network
from datalab.adapters.segmenter_network import NetworkSize
from datalab.adapters.segmenter_samples import Sample
from datalab.adapters.segmenter_schedule import cut_generators
from datalab.adapters.segmenter_training import Recipe, Step, train_segmenter, train_step
from datalab.errors import InputError, StateError
from datalab.learning.metrics import confusion_matrix, iou_per_class
from tests.adapters.blobs import AUGMENTATION, SCHEDULE, blob_image, blob_samples

SIZE = NetworkSize(channels=6, classes=3, width=16, members=3)
RECIPE = Recipe(SIZE, SCHEDULE, AUGMENTATION, seed=0)


@pytest.mark.slow
def test_an_easy_world_is_learned(tmp_path: Path) -> None:
    train, validation, test = (blob_samples(tmp_path, seeds) for seeds in (range(16), range(16, 20), range(20, 28)))
    network, looks = train_segmenter(train, validation, RECIPE)
    assert looks[-1].loss < looks[0].loss
    segmenter = Segmenter(network, (0, 1, 2), ("background", "disc", "square"), 64)
    pooled = sum(
        confusion_matrix(blob_image(seed, 48, 64)[1], predict(segmenter, sample, flip=True).label_map, 3)
        for seed, sample in zip(range(20, 28), test, strict=True)
    )
    assert (iou_per_class(np.asarray(pooled)) > 0.8).all()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    samples, short = blob_samples(tmp_path, range(4)), replace(SCHEDULE, steps=4, validate_every=2)
    torch.manual_seed(1)
    brief = replace(RECIPE, schedule=short)
    one, _ = train_segmenter(samples, samples[:2], brief)
    torch.manual_seed(2)
    same, _ = train_segmenter(samples, samples[:2], brief)
    other, _ = train_segmenter(samples, samples[:2], replace(brief, seed=1))
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), same.state_dict().values(), strict=True))
    assert not torch.equal(next(one.parameters()), next(other.parameters()))
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("classes", [1, 2, 21])
def test_any_number_of_classes_trains(tmp_path: Path, classes: int) -> None:
    samples, short = blob_samples(tmp_path, [0, 4]), replace(SCHEDULE, steps=2)
    size = replace(SIZE, classes=classes)
    network, looks = train_segmenter(samples, [], Recipe(size, short, AUGMENTATION, seed=0))
    assert looks[-1].validation_miou is None
    assert np.isfinite(looks[-1].loss)
    assert network.size.classes == classes


def test_a_loss_that_is_not_finite_stops_and_names_step_and_images(tmp_path: Path) -> None:
    samples = blob_samples(tmp_path, range(4))
    wild = replace(RECIPE, schedule=replace(SCHEDULE, learning_rate=1e30))
    with pytest.raises(StateError, match=r"stopped at step \d+: the loss is .* on the images b\d, b\d, b\d, b\d; look"):
        train_segmenter(samples, [], wild)


def test_a_loss_that_explodes_stops_though_it_is_finite(tmp_path: Path) -> None:
    samples = blob_samples(tmp_path, range(4))
    wild = replace(RECIPE, schedule=replace(SCHEDULE, learning_rate=100.0))
    with pytest.raises(
        StateError, match=r"stopped at step \d+: the loss is \d+, over 1000 times .* b\d; lower train.lea"
    ):
        train_segmenter(samples, [], wild)


def test_a_gradient_is_cut_to_its_longest(tmp_path: Path) -> None:
    samples = blob_samples(tmp_path, range(4))
    network = new_network(SIZE, 0, [sample.embedding for sample in samples])
    batch = draw_batch(Pool(samples), range(4), AUGMENTATION, cut_generators(0, 1, 4))
    # large weights have large gradients
    before = 3 * nn.utils.parameters_to_vector(network.parameters()).detach()
    nn.utils.vector_to_parameters(before.clone(), network.parameters())
    needed = Step(torch.ones(3), torch.ones(4, 3), "cross_entropy")
    train_step(network, torch.optim.SGD(network.parameters(), lr=1.0), batch, needed, 1)
    after = nn.utils.parameters_to_vector(network.parameters()).detach()
    assert float((after - before).norm()) == pytest.approx(5, rel=1e-3)


def test_nothing_to_train_on_is_one_line() -> None:
    with pytest.raises(InputError, match="no training image"):
        train_segmenter([], [], RECIPE)


def test_looks_that_do_not_compete_see_a_few_validation_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples, seen = blob_samples(tmp_path, range(2)), []

    def validate(_: object, validation: list[Sample]) -> float:
        seen.append(len(validation))
        return 0.5

    monkeypatch.setattr(segmenter_training, "_validate", validate)
    train_segmenter(samples, samples * 20, replace(RECIPE, schedule=replace(SCHEDULE, steps=4, validate_every=1)))
    assert seen == [32, 32, 40, 40]


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [1.0, 0.3])
def test_a_frozen_backbone_stays_as_it_is_its_normalisation_too(tmp_path: Path, frozen: float) -> None:
    known = {name: torch.full_like(value, 0.125) for name, value in mobilenet_v3_large().state_dict().items()}
    recipe = Recipe(
        NetworkSize(channels=6, classes=3, width=16, members=1, model="lraspp_mobilenet_v3_large"),
        replace(SCHEDULE, steps=3, batch_size=2, frozen_share=frozen),
        AUGMENTATION,
        seed=1,
    )
    network, _ = train_segmenter(blob_samples(tmp_path, range(2)), [], recipe, known)
    backbone = network.get_submodule("backbone").state_dict()
    untouched = [torch.equal(value, known[f"features.{name}"]) for name, value in backbone.items()]
    means = [untouched[place] for place, name in enumerate(backbone) if name.endswith("running_mean")]
    assert all(untouched) == all(means) == (frozen == 1.0)


@pytest.mark.slow
def test_a_compiled_network_learns_what_it_learns_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, in the middle of a run; by torch's own kernels, since others take a C++ compiler minutes."""
    samples, recipe = blob_samples(tmp_path, range(6)), replace(RECIPE, schedule=replace(SCHEDULE, steps=16))
    plain, looks = train_segmenter(samples, samples[:2], recipe)
    graphs = []

    def backend(graph: torch.fx.GraphModule, _: object) -> torch.fx.GraphModule:
        graphs.append(graph)
        return graph

    monkeypatch.setattr(segmenter_training, "compiles_at", lambda *_: 12)
    monkeypatch.setattr(torch.nn.Module, "compile", partialmethod(torch.nn.Module.compile, backend=backend))
    compiled, found = train_segmenter(samples, samples[:2], recipe)
    assert len(graphs) >= 1
    assert [look.loss for look in found] == pytest.approx([look.loss for look in looks], rel=1e-4)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(compiled.state_dict()[name], value, rtol=1e-3, atol=1e-4)
