from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from datalab.adapters.segmenter_decoder import EmbeddingDecoder
from datalab.adapters.segmenter_models import new_network
from datalab.adapters.segmenter_network import NetworkSize
from datalab.adapters.segmenter_samples import Sample
from datalab.adapters.segmenter_schedule import (
    Average,
    Best,
    Look,
    Optimiser,
    Sampler,
    check_sampling,
    class_balanced,
    copy_weights,
    rate,
    set_normalisation,
)
from datalab.errors import InputError
from tests.adapters.blobs import SCHEDULE

SIZE = NetworkSize(channels=6, classes=3, width=16, members=3)


def sample_of(*classes: int) -> Sample:
    nothing = np.zeros((8, 8, 3), dtype=np.uint8)
    labels = np.array([classes] * 2, dtype=np.uint8)
    return Sample(nothing, np.zeros((6, 1, 1), dtype=np.float16), labels, (8, 8))


@pytest.mark.parametrize("images", [1, 3, 4, 10])
def test_shuffled_passes_show_every_image_once_before_any_twice(images: int) -> None:
    sampler = Sampler([sample_of(0)] * images, replace(SCHEDULE, batch_size=4), seed=1)
    seen = [place for step in range(1, 1 + images) for place in sampler.places(step)]
    assert Counter(seen) == dict.fromkeys(range(images), 4)
    assert sorted(seen[:images]) == list(range(images))
    # a step is the same whatever was asked before
    assert Sampler([sample_of(0)] * images, replace(SCHEDULE, batch_size=4), 1).places(images) == seen[-4:]


def test_a_balanced_draw_looks_for_every_class_alike() -> None:
    samples = [sample_of(0)] * 8 + [sample_of(0, 1), sample_of(0, 2, 255)]
    chances = class_balanced(samples)
    # background is in ten images, each of the classes in one: (1 / 10) / 3 and (1 / 10 + 1) / 3
    np.testing.assert_allclose(chances, [1 / 30] * 8 + [11 / 30] * 2)
    sampler = Sampler(samples, replace(SCHEDULE, sampling="balanced", batch_size=10), seed=0)
    drawn = np.bincount([place for step in range(200) for place in sampler.places(step)], minlength=10) / 2000
    np.testing.assert_allclose(drawn, chances, atol=0.03)


def test_images_without_a_judged_pixel_are_drawn_alike() -> None:
    np.testing.assert_allclose(class_balanced([sample_of(255), sample_of(255)]), [0.5, 0.5])


def test_the_rate_warms_up_and_falls_to_nothing() -> None:
    rates = [rate(step, 100) for step in range(1, 101)]
    assert rates[:5] == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[-1] == pytest.approx(0)
    assert rate(1, 1) == 1.0


def test_a_backbone_that_knows_something_waits_and_then_learns_slowly() -> None:
    network = new_network(replace(SIZE, model="lraspp_mobilenet_v3_large"), 0, [])
    slow = replace(SCHEDULE, steps=100, learning_rate=1.0, backbone_rate=0.1, frozen_share=0.2)
    optimiser = Optimiser(network, slow, is_pretrained=True)
    sizes = [sum(parameter.numel() for parameter in group["params"]) for group in optimiser.adam.param_groups]
    assert sizes[1] == sum(parameter.numel() for parameter in network.backbone_parameters()) > sizes[0] > 0
    for step, expected in ((20, [rate(20, 100), 0.0]), (21, [rate(21, 100), 0.1 * rate(21, 100)])):
        optimiser.prepare(step)
        assert [group["lr"] for group in optimiser.adam.param_groups] == pytest.approx(expected)


@pytest.mark.parametrize(("model", "knows"), [("lraspp_mobilenet_v3_large", False), ("embedding_decoder", True)])
def test_what_starts_anew_learns_alike(model: str, knows: bool) -> None:
    network = new_network(replace(SIZE, model=model), 0, [np.ones((6, 2, 2), dtype=np.float16)])
    assert len(Optimiser(network, SCHEDULE, knows).adam.param_groups) == 1


def test_averaged_weights_follow_slowly() -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(layer.weight, 0.0)
    average = Average(layer, keep=0.9)
    torch.nn.init.constant_(layer.weight, 1.0)
    average.follow(layer, step=1)
    assert float(average.weights["weight"]) == pytest.approx(0.9)  # quick to forget at first: keeps 1 / 10
    average.follow(layer, step=1000)
    assert float(average.weights["weight"]) == pytest.approx(0.91)
    assert average.of(layer) is average.weights
    assert float(Average(layer, keep=0.0).of(layer)["weight"]) == 1.0


def looked(mious: Sequence[float | None], patience: int) -> tuple[list[bool], float]:
    """Whether each look, after steps 1, 2, ... of 10, was enough, and the step whose weights are kept then."""
    network = EmbeddingDecoder(SIZE)
    best, schedule = Best(copy_weights(network)), replace(SCHEDULE, steps=10, patience=patience)
    enough = []
    for step, miou in enumerate(mious, start=1):
        torch.nn.init.constant_(network.mean, step)
        enough.append(best.is_enough(Look(step, 1.0, miou), network.state_dict(), schedule))
    return enough, float(best.weights["mean"].mean())


def test_the_best_late_weights_come_back_and_patience_runs_out() -> None:
    enough, kept = looked([0.0] * 5 + [0.2, 0.5, 0.5, 0.4, 0.3], patience=2)
    assert enough == [False] * 9 + [True]
    assert kept == 8


def test_a_look_at_nearly_the_full_rate_does_not_compete_and_costs_no_patience() -> None:
    assert looked([0.9, 0.8, 0.1, 0.1, 0.1], patience=2) == ([False] * 5, 5)
    assert looked([0.9, 0.8, 0.1, 0.1, 0.1, 0.3, 0.2], patience=2) == ([False] * 7, 6)


def test_without_a_judged_validation_pixel_the_newest_weights_are_kept() -> None:
    assert looked([None] * 10, patience=1) == ([False] * 10, 10)


def test_an_unknown_sampling_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"train.sampling is .all.; known: shuffled, balanced"):
        check_sampling("all")


def test_batch_normalisation_answers_with_the_mean_of_the_first_steps_and_then_the_newest() -> None:
    layer = torch.nn.BatchNorm2d(1, momentum=0.01)
    network = torch.nn.Sequential(layer)
    for step, value in enumerate([1.0, 2.0, 6.0], start=1):
        set_normalisation(network, step)
        network(torch.full((2, 1, 4, 4), value))
    assert layer.running_mean is not None
    assert layer.running_mean.item() == pytest.approx(3.0)
    set_normalisation(network, 50)
    network(torch.full((2, 1, 4, 4), 13.0))
    assert layer.running_mean.item() == pytest.approx(4.0)


def test_after_one_step_a_network_answers_as_it_did_in_training() -> None:
    network = new_network(replace(SIZE, model="lraspp_mobilenet_v3_large"), 0, [])
    images = torch.rand(8, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    set_normalisation(network, 1)
    with torch.no_grad():
        in_training = network.train()(images, images)
        asked = network.eval()(images, images)
    assert (asked - in_training).abs().mean() < 0.15 * in_training.std()


def test_the_rate_is_half_of_the_full_one_in_the_middle_of_the_cosine() -> None:
    assert rate(21, 40) == pytest.approx(0.5)
    assert (rate(1, 40), rate(2, 40)) == (0.5, 1.0)
    assert rate(40, 40) == pytest.approx(0)
