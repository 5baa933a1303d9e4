import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from datalab.adapters.segmenter import Segmenter, load_segmenter, predict, save_segmenter
from datalab.adapters.segmenter_augment import Augmentation
from datalab.adapters.segmenter_decoder import EmbeddingDecoder
from datalab.adapters.segmenter_folds import out_of_fold
from datalab.adapters.segmenter_instances import MASK_RCNN
from datalab.adapters.segmenter_models import MODELS, build_network, new_network
from datalab.adapters.segmenter_network import NetworkSize
from datalab.adapters.segmenter_samples import Sample
from datalab.adapters.segmenter_torchvision import BACKBONES
from datalab.adapters.segmenter_training import Recipe, train_segmenter
from datalab.errors import InputError
from tests.adapters.blobs import PLAIN, SCHEDULE, blob_samples

SIZE = NetworkSize(channels=6, classes=3, width=16, members=2)
SMALL = Augmentation(crop=32, object_share=1.0, policy=PLAIN)
BRIEF = replace(SCHEDULE, steps=2, batch_size=2, learning_rate=0.001, weight_decay=0.0, validate_every=2, patience=1)
RECIPE = Recipe(SIZE, BRIEF, SMALL, seed=0)
LIGHT = "lraspp_mobilenet_v3_large"


@pytest.mark.parametrize(
    "model", [pytest.param(name, marks=pytest.mark.slow if "resnet" in name else ()) for name in MODELS]
)
def test_each_model_learns_a_little_and_comes_back_from_disk(tmp_path: Path, model: str) -> None:
    samples = blob_samples(tmp_path, [1, 2])
    size = replace(SIZE, model=model)
    network, looks = train_segmenter(samples, samples[:1], replace(RECIPE, size=size))
    before = new_network(size, 0, [sample.embedding for sample in samples]).state_dict()
    changed = [not torch.equal(before[name], value) for name, value in network.named_parameters()]
    # of an encoder for classification some layers are not asked, and few pixels reach the deepest ones
    assert sum(changed) >= len(changed) * (0.9 if model.startswith("unet") else 1)
    assert np.isfinite(looks[-1].loss)
    made = Segmenter(network, (0, 7, 9), ("background", "disc", "square"), 64)
    save_segmenter(tmp_path / "m.safetensors", made)
    loaded = load_segmenter(tmp_path / "m.safetensors")
    assert loaded.network.size == size
    found, again = (predict(one, samples[0], flip=True) for one in (made, loaded))
    assert found.members.shape == (2 if model == MASK_RCNN else 4, 3, 24, 32)
    np.testing.assert_allclose(found.members.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(found.members, again.members)
    assert found.label_map.shape == (48, 64)


@pytest.mark.slow
def test_the_lightest_model_of_torchvision_learns_an_easy_world(tmp_path: Path) -> None:
    samples = blob_samples(tmp_path, range(1, 4))
    longer = replace(SCHEDULE, steps=30, batch_size=3, learning_rate=0.003, validate_every=10)
    _, looks = train_segmenter(samples, [], Recipe(replace(SIZE, model=LIGHT), longer, SMALL, seed=0))
    assert looks[-1].loss < 0.7 * looks[0].loss


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_with_dropout_too(tmp_path: Path) -> None:
    samples, size = blob_samples(tmp_path, [1, 2]), replace(SIZE, model="deeplabv3_mobilenet_v3_large")
    made = []
    for state, seed in ((1, 0), (2, 0), (1, 3)):
        torch.manual_seed(state)
        network, _ = train_segmenter(samples, [], Recipe(size, BRIEF, SMALL, seed))
        made.append(network.state_dict())
    assert all(torch.equal(made[0][name], value) for name, value in made[1].items())
    assert any(not torch.equal(made[0][name], value) for name, value in made[2].items())


def test_embeddings_are_scaled_by_their_mean_and_deviation_and_not_held_twice() -> None:
    rng = np.random.default_rng(0)
    sizes = [(16, 16), (12, 16), (16, 9)] * 20
    spread = np.array([0.01, 0.5, 4.0, 0.0, 1.0, 1.0])[:, None, None]
    embeddings = [(3 + spread * rng.normal(size=(6, *size))).astype(np.float16) for size in sizes]
    tracemalloc.start()
    network = EmbeddingDecoder(SIZE)
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    network.scale_by(embeddings)
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    values = np.concatenate([one.reshape(6, -1) for one in embeddings], axis=1).astype(np.float64)
    np.testing.assert_allclose(network.mean.numpy().ravel(), values.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(network.deviation.numpy().ravel(), np.maximum(np.std(values, axis=1), 1e-3), rtol=1e-6)
    assert peak < sum(one.nbytes for one in embeddings)


def test_heads_on_one_body_differ(tmp_path: Path) -> None:
    network = new_network(replace(SIZE, model=LIGHT), 0, []).eval()
    logits = network(torch.rand(1, 3, 32, 32), torch.zeros(1, 6, 4, 4))
    assert logits.shape == (1, 2, 3, 16, 16)
    assert not torch.allclose(logits[:, 0], logits[:, 1])


@pytest.mark.slow
def test_out_of_fold_uses_the_named_model(tmp_path: Path) -> None:
    samples = blob_samples(tmp_path, [1, 2, 3, 5])
    recipe = Recipe(replace(SIZE, model=LIGHT), replace(BRIEF, steps=1), SMALL, seed=0)
    found = dict(out_of_fold(samples, [0, 1, 0, 1], recipe))
    assert sorted(found) == [0, 1, 2, 3]
    assert found[0].shape == (3, 24, 32)


def test_another_sam_is_no_matter_to_a_model_without_embeddings(tmp_path: Path) -> None:
    sample = blob_samples(tmp_path, [1])[0]
    other = Sample(sample.image, np.zeros((5, 6, 8), dtype=np.float16), None, sample.size)
    made = Segmenter(new_network(replace(SIZE, model=LIGHT), 0, []).eval(), (0, 1, 2), ("a", "b", "c"), 64)
    np.testing.assert_array_equal(predict(made, sample, True).members, predict(made, other, True).members)


@pytest.mark.slow
@pytest.mark.parametrize("model", BACKBONES)
def test_a_batch_of_one_is_one_line(tmp_path: Path, model: str) -> None:
    alone = replace(BRIEF, batch_size=1)
    with pytest.raises(InputError, match=f"train.model {model} needs train.batch_size 2 or more in each process"):
        train_segmenter(blob_samples(tmp_path, [1]), [], Recipe(replace(SIZE, model=model), alone, SMALL, seed=0))


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError) as caught:
        build_network(replace(SIZE, model="vnet"))
    assert str(caught.value) == f"train.model is 'vnet'; known: {', '.join(MODELS)}"
