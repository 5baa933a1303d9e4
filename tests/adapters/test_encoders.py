"""The weights of the U-Nets' encoders, with a cache laid out as Hugging Face's client lays it out."""

from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from datalab.adapters.backbones import starting_weights
from datalab.adapters.checkpoints import sha256_of
from datalab.adapters.encoders import encoder_path, known_encoders, published, pull_encoder, read_encoder
from datalab.adapters.segmenter_models import new_network
from datalab.adapters.segmenter_network import NetworkSize
from datalab.adapters.segmenter_unet import UNet
from datalab.errors import InputError, ServiceError

SIZE = NetworkSize(channels=6, classes=3, width=16, members=2, model="unet_mobilenet_v2")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def put_weights(hub: Path, encoder: str) -> dict[str, torch.Tensor]:
    """Random weights of the encoder where its published ones would lie."""
    network = new_network(SIZE, 5, [])
    assert isinstance(network, UNet)
    weights = {name: value.clone() for name, value in network.net.encoder.state_dict().items()}
    repository, revision = published(encoder)
    folder = hub / f"models--{repository.replace('/', '--')}" / "snapshots" / revision
    folder.mkdir(parents=True)
    save_file(weights, folder / "model.safetensors")
    return weights


@pytest.mark.slow
def test_weights_that_are_there_are_taken(hub: Path) -> None:
    weights, said = starting_weights("unet_mobilenet_v2", True)
    assert weights is None
    assert said.endswith(
        "weights of mobilenet_v2 are not on this machine; to have them run: datalab models pull mobilenet_v2"
    )
    put = put_weights(hub, "mobilenet_v2")
    weights, said = starting_weights("unet_mobilenet_v2", True)
    assert said == "from ImageNet: mobilenet_v2"
    assert weights is not None
    warm = new_network(SIZE, 0, [], weights)
    assert isinstance(warm, UNet)
    first = next(iter(put))
    assert torch.equal(warm.net.encoder.state_dict()[first], put[first])
    assert sum(1 for _ in warm.backbone_parameters()) > 50


def test_a_damaged_file_is_refused(hub: Path) -> None:
    put_weights(hub, "mobilenet_v2")
    path = encoder_path("mobilenet_v2")
    assert path is not None
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match="is damaged; to have it anew run: datalab models pull"):
        read_encoder("mobilenet_v2")


def test_what_is_damaged_or_altered_is_fetched_again_and_what_is_whole_is_not(
    hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache's layout: a link named for the file, to a blob named by its SHA-256."""
    put_weights(hub, "mobilenet_v2")
    path = encoder_path("mobilenet_v2")
    assert path is not None
    blob = hub / sha256_of(path)
    path.rename(blob)
    path.symlink_to(blob)
    asked: list[bool] = []

    def fetch(repository: str, name: str, revision: str, force_download: bool) -> str:
        asked.append(force_download)
        return str(path)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    pull_encoder("mobilenet_v2")
    assert read_encoder("mobilenet_v2") is not None
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.write_bytes(content)
    with pytest.raises(InputError, match="is damaged"):
        read_encoder("mobilenet_v2")
    pull_encoder("mobilenet_v2")
    blob.write_bytes(content[:100])
    pull_encoder("mobilenet_v2")
    assert asked == [False, True, True]


def test_the_published_revision_is_asked_for(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, str]] = []

    def fetch(repository: str, name: str, revision: str, force_download: bool) -> str:
        asked.append((repository, name, revision))
        return "weights"

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    assert pull_encoder("resnet34") == Path("weights")
    assert asked == [("smp-hub/resnet34.imagenet", "model.safetensors", published("resnet34")[1])]


def test_no_connection_is_one_line(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        ServiceError, match=r"cannot be downloaded: .*; try again where the hub can be reached"
    ) as caught:
        pull_encoder("resnet34")
    assert "\n" not in str(caught.value)
    assert encoder_path("resnet34") is None


def test_every_encoder_is_published() -> None:
    assert known_encoders() == ["efficientnet-b0", "mobilenet_v2", "resnet34"]
    for encoder in known_encoders():
        repository, revision = published(encoder)
        assert repository == f"smp-hub/{encoder}.imagenet"
        assert len(revision) == 40
