from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from datalab.adapters.segmenter import Segmenter, _most_likely, check_encoder, load_segmenter, predict, save_segmenter
from datalab.adapters.segmenter_models import new_network
from datalab.adapters.segmenter_network import NetworkSize
from datalab.adapters.segmenter_samples import Sample
from datalab.errors import InputError
from tests.adapters.blobs import blob_samples

SIZE = NetworkSize(channels=6, classes=3, width=16, members=3)


def segmenter(sample: Sample) -> Segmenter:
    network = new_network(SIZE, 0, [sample.embedding])
    return Segmenter(network.eval(), (0, 7, 9), ("background", "disc", "big square"), 64)


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    return blob_samples(tmp_path, [1])[0]


def test_a_saved_segmenter_comes_back_whole_and_as_the_same_bytes(tmp_path: Path, sample: Sample) -> None:
    made, path = segmenter(sample), tmp_path / "models" / "m.safetensors"
    save_segmenter(path, made)
    first = path.read_bytes()
    loaded = load_segmenter(path)
    save_segmenter(path, loaded)
    assert path.read_bytes() == first
    assert (loaded.class_ids, loaded.class_names, loaded.longest_side) == (made.class_ids, made.class_names, 64)
    np.testing.assert_array_equal(predict(loaded, sample, True).members, predict(made, sample, True).members)


def test_a_prediction_has_the_size_of_the_image_and_ids_of_classes(sample: Sample) -> None:
    once, twice = (predict(segmenter(sample), sample, flip) for flip in (False, True))
    assert once.members.shape == (3, 3, 24, 32)
    assert twice.members.shape == (6, 3, 24, 32)
    np.testing.assert_allclose(twice.members.sum(axis=1), 1, rtol=1e-5)
    assert twice.label_map.shape == (48, 64)
    assert twice.label_map.dtype == np.uint8
    assert set(np.unique(twice.label_map)) <= {0, 7, 9}


@pytest.mark.parametrize("size", [(48, 64), (7, 5), (24, 32)])
def test_the_label_map_is_that_of_all_classes_grown_at_once(size: tuple[int, int]) -> None:
    chances = torch.rand(5, 24, 32, generator=torch.Generator().manual_seed(0)).softmax(dim=0)
    chances[:, :4] = 0.2  # where all are alike the first one is taken
    whole = functional.interpolate(chances[None], size=size, mode="bilinear", align_corners=False)[0].argmax(dim=0)
    np.testing.assert_array_equal(_most_likely(chances, size), whole.numpy())


def test_the_mirrored_image_gives_the_mirrored_prediction(sample: Sample) -> None:
    mirrored = Sample(sample.image[:, ::-1], sample.embedding[:, :, ::-1], None, sample.size)
    one, other = (predict(segmenter(sample), each, flip=True).members.mean(axis=0) for each in (sample, mirrored))
    np.testing.assert_allclose(one, other[:, :, ::-1], atol=1e-5)


def test_another_sam_is_told_apart(sample: Sample) -> None:
    other = Sample(sample.image, np.zeros((5, 6, 8), dtype=np.float16), None, sample.size)
    with pytest.raises(InputError, match="wants embeddings of 6 channels, got 5"):
        predict(segmenter(sample), other, flip=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("learned", "given", "model", "fits"),
    [
        ("vit_b", "vit_l", "embedding_decoder", False),
        ("vit_b", "vit_b", "embedding_decoder", True),
        ("", "vit_l", "embedding_decoder", True),
        ("vit_b", "", "embedding_decoder", True),
        ("vit_b", "vit_l", "unet_mobilenet_v2", True),
    ],
)
def test_the_sam_that_it_learned_from_is_asked_for(learned: str, given: str, model: str, fits: bool) -> None:
    network = new_network(replace(SIZE, model=model), 0, [np.ones((6, 2, 2), dtype=np.float16)])
    made = Segmenter(network, (0, 7, 9), ("background", "disc", "big square"), 64, encoder=learned)
    if fits:
        check_encoder(made, given)
    else:
        with pytest.raises(InputError, match="trained on embeddings of vit_b, these are of vit_l; the SAM check"):
            check_encoder(made, given)


def test_a_network_depends_on_the_seed_and_leaves_torch_alone(sample: Sample) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, same, other = (new_network(SIZE, seed, [sample.embedding]) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    first, again, others = (list(network.parameters()) for network in (one, same, other))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[-2], others[-2])


@pytest.mark.parametrize(
    "meaning",
    [
        "",
        "[]",
        "{}",
        '{"network": {"channels": 6}}',
        '{"network": {"channels": 6, "classes": 3, "width": 16, "members": 3, "model": "vnet"}}',
        '{"network": {"channels": 6, "classes": 3, "width": 16, "members": 3}}',
    ],
    ids=["no JSON", "no mapping", "empty", "half a size", "another model", "no weights"],
)
def test_a_file_that_says_of_itself_what_is_not_so_is_one_line(tmp_path: Path, meaning: str) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"a": torch.zeros(1)}, path, {"datalab-segmenter-1": meaning})
    with pytest.raises(InputError, match=r"m\.safetensors is no segmenter \(.+\); run dvc repro train$") as caught:
        load_segmenter(path)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_segmenter_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist; run dvc repro train"):
        load_segmenter(tmp_path / "none.safetensors")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"not weights")
    with pytest.raises(InputError, match="is no segmenter"):
        load_segmenter(broken)
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="is no datalab-segmenter-1 file"):
        load_segmenter(tmp_path / "other.safetensors")
