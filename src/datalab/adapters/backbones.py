"""Weights of classification networks, learned on ImageNet, that a segmenter may start from.

They lie where torch keeps such files ($TORCH_HOME/hub/checkpoints), so that what another program fetched is found. The
name of a file ends with the first 8 hex digits of its SHA-256, which is what torchvision checks too.
"""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor

from datalab.adapters.checkpoints import disk_errors, sha256_of
from datalab.adapters.encoders import read_encoder
from datalab.adapters.segmenter_instances import MASK_RCNN
from datalab.adapters.segmenter_torchvision import BACKBONES
from datalab.adapters.segmenter_unet import ENCODERS
from datalab.errors import InputError, ServiceError

SOURCE = "https://download.pytorch.org/models"
FILES = {"mobilenet_v3_large": "mobilenet_v3_large-8738ca79.pth", "resnet50": "resnet50-0676ba61.pth"}
"""What torchvision calls IMAGENET1K_V1, the weights its own segmentation models start from."""
ON_BACKBONE = {**BACKBONES, MASK_RCNN: "resnet50"}
"""Models that start from one of FILES."""
TIMEOUT_S = 60.0
"""To connect, and between two pieces."""


def backbone_path(name: str) -> Path:
    """Where the weights lie, or would lie."""
    return Path(torch.hub.get_dir()) / "checkpoints" / FILES[name]


def read_backbone(name: str) -> dict[str, Tensor] | None:
    """The weights by name, None where they are not on this machine; InputError for a damaged file."""
    path = backbone_path(name)
    if not path.is_file():
        return None
    if not sha256_of(path).startswith(_prefix(name)):
        raise InputError(f"{path} is damaged; delete it, and to have it anew run: datalab models pull {name}")
    weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return weights


def starting_weights(model: str, wanted: bool) -> tuple[dict[str, Tensor] | None, str]:
    """What a model of segmenter_models.MODELS starts from, and a line for people about it.

    None where it starts from random weights: it has no such backbone, none is `wanted`, or none is on this machine.
    """
    if model not in ON_BACKBONE and model not in ENCODERS:
        return None, "SAM's image encoder, as it is"
    if not wanted:
        return None, "from scratch: train.pretrained is false"
    name = ON_BACKBONE.get(model) or ENCODERS[model]
    weights = read_backbone(name) if model in ON_BACKBONE else read_encoder(name)
    if weights is None:
        return (
            None,
            f"from scratch: weights of {name} are not on this machine; to have them run: datalab models pull {name}",
        )
    return weights, f"from ImageNet: {FILES.get(name, name)}"


def pull_backbone(name: str, source: str = SOURCE) -> Path:
    """Fetch the weights unless they are there; the path.

    ServiceError where the source cannot be reached, InputError where it sends other bytes or the folder cannot be
    written; neither leaves a file. Where stderr is a terminal there is a bar.
    """
    path, url = backbone_path(name), f"{source}/{FILES[name]}"
    if path.is_file():
        return path
    with disk_errors(path.parent, "set TORCH_HOME to a folder that can"):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _patience(TIMEOUT_S):
            torch.hub.download_url_to_file(url, str(path), hash_prefix=_prefix(name), progress=sys.stderr.isatty())
    # no connection, one that breaks off, a full disk, what is no HTTP, a length or an address that is none
    except (OSError, HTTPException, ValueError) as exc:
        raise ServiceError(f"{url} cannot be downloaded ({_short(exc)}); put the file at {path} yourself") from exc
    except RuntimeError as exc:
        raise InputError(f"{url} broke off or is not what torchvision published; try again later") from exc
    return path


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """How long a connection may be silent in the block: torch gives no limit when it opens one."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _short(error: Exception) -> str:
    """In one line, though a server's own words may be in it."""
    reason = error.reason if isinstance(error, URLError) else getattr(error, "strerror", None)
    return " ".join(str(reason or error).split())[:160]


def _prefix(name: str) -> str:
    return FILES[name].removesuffix(".pth").rpartition("-")[2]
