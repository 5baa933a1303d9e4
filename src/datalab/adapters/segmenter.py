"""The trained segmenter: load and save it, and predict label maps with a committee's probabilities."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional

from datalab.adapters.files import write_bytes
from datalab.adapters.segmenter_instances import Instance, InstanceSegmenter
from datalab.adapters.segmenter_models import build_network
from datalab.adapters.segmenter_network import NetworkSize, SegmenterNetwork
from datalab.adapters.segmenter_samples import Sample
from datalab.adapters.torch_threads import single_thread
from datalab.errors import InputError
from datalab.learning.objects import MapObject
from datalab.masks import mask_to_crop

FORMAT = "datalab-segmenter-1"


@dataclass(frozen=True)
class Segmenter:
    """A network with the meaning of its outputs."""

    network: SegmenterNetwork
    class_ids: tuple[int, ...]
    """Pixel value of each output channel, 0 (background) first."""
    class_names: tuple[str, ...]
    longest_side: int
    """Working size in pixels."""
    temperature: float = 1.0
    """Divides the logits, so that the committee is as sure as it is right; fitted on the validation images."""
    encoder: str = ""
    """Version of the SAM whose embeddings it learned from; "" where that is not known."""


@dataclass(frozen=True)
class Prediction:
    """What the committee says about one image."""

    members: npt.NDArray[np.float32]
    """(M, K, h/2, w/2) probabilities, h and w the working size; one member per head and flip."""
    label_map: npt.NDArray[np.uint8]
    """(height, width) class ids at the image's own size."""
    instances: tuple[Instance, ...] | None = None
    """What a model found one by one; None where objects are pieces of the label map."""

    @property
    def objects(self) -> Iterator[MapObject] | None:
        """The instances at the image's own size, one at a time: a hundred masks of a photograph fill gigabytes."""
        if self.instances is None:
            return None
        return (_at_size(one, self.label_map.shape) for one in self.instances)


def check_encoder(segmenter: Segmenter, encoder: str) -> None:
    """InputError where the model learned from embeddings of another SAM than `encoder`; an unknown one is ""."""
    learned = segmenter.encoder if segmenter.network.uses_embedding else ""
    if learned and encoder and learned != encoder:
        raise InputError(
            f"the model was trained on embeddings of {learned}, these are of {encoder}; "
            "the SAM checkpoint was changed: run dvc repro train"
        )


def predict(segmenter: Segmenter, sample: Sample, flip: bool) -> Prediction:
    """Predict one image; with `flip` the mirrored image is asked too, which doubles members and time."""
    members, instances = _answer(segmenter, sample, flip)
    ids = np.asarray(segmenter.class_ids, dtype=np.uint8)
    with single_thread(), torch.inference_mode():
        positions = _most_likely(members.mean(dim=0), sample.size)
    return Prediction(members.cpu().numpy(), ids[positions], instances)


def members_of(segmenter: Segmenter, sample: Sample, flip: bool) -> npt.NDArray[np.float32]:
    """`Prediction.members` alone: at the size of a photograph the label map takes a hundred times as long."""
    return _answer(segmenter, sample, flip)[0].cpu().numpy()


def _answer(segmenter: Segmenter, sample: Sample, flip: bool) -> tuple[Tensor, tuple[Instance, ...] | None]:
    image = torch.from_numpy(sample.image.astype(np.float32) / 255).permute(2, 0, 1)[None]
    embedding = torch.from_numpy(sample.embedding.astype(np.float32))[None]
    if segmenter.network.uses_embedding and embedding.shape[1] != segmenter.network.size.channels:
        raise InputError(
            f"the model wants embeddings of {segmenter.network.size.channels} channels, got {embedding.shape[1]}; "
            "the SAM checkpoint was changed: run dvc repro train"
        )
    device = next(segmenter.network.parameters()).device
    image, embedding = image.to(device), embedding.to(device)
    instances = None
    with single_thread(), torch.inference_mode():
        if isinstance(segmenter.network, InstanceSegmenter):
            instances = tuple(segmenter.network.instances(image[0]))
            members = segmenter.network.logits(instances, image.shape[-2:]).softmax(dim=1)
        else:
            members = segmenter.network(image, embedding)[0].softmax(dim=1)
        if flip:
            mirrored = segmenter.network(image.flip(-1), embedding.flip(-1))[0].softmax(dim=1)
            members = torch.cat([members, mirrored.flip(-1)])
    return members, instances


def _most_likely(chances: Tensor, size: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """(H, W) channel with the largest of (K, h, w) chances, grown class by class: all at once would take K times it."""
    best = _grown(chances[0], size)
    positions = torch.zeros(size, dtype=torch.uint8, device=chances.device)
    for position in range(1, len(chances)):
        grown = _grown(chances[position], size)
        positions[grown > best] = position
        best = torch.maximum(best, grown)
    return positions.cpu().numpy()


def _grown(plane: Tensor, size: tuple[int, ...]) -> Tensor:
    return functional.interpolate(plane[None, None], size=size, mode="bilinear", align_corners=False)[0, 0]


def _at_size(found: Instance, size: tuple[int, ...]) -> MapObject:
    top, left, crop = mask_to_crop((_grown(found.mask, size) > 0.5).cpu().numpy())
    return MapObject(found.position, top, left, crop, size, found.score)


def save_segmenter(path: Path, segmenter: Segmenter) -> None:
    """Write weights and meaning as safetensors, whole or not at all; the same segmenter gives the same bytes."""
    meaning = {
        "encoder": segmenter.encoder,
        "classes": dict(zip(segmenter.class_names, segmenter.class_ids, strict=True)),
        "longest_side": segmenter.longest_side,
        "network": asdict(segmenter.network.size),
        "temperature": segmenter.temperature,
    }
    tensors = {name: tensor.contiguous() for name, tensor in segmenter.network.state_dict().items()}
    # one key only: safetensors writes several in an order that changes from run to run
    write_bytes(path, save(tensors, metadata={FORMAT: json.dumps(meaning)}))


def load_segmenter(path: Path) -> Segmenter:
    """Read what `save_segmenter` wrote; InputError where the file is missing, broken or of another kind, as are weights
    that do not fit the network it speaks of.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
    except FileNotFoundError as exc:
        raise InputError(f"{path} does not exist; run dvc repro train") from exc
    except (OSError, SafetensorError) as exc:
        raise InputError(f"{path} is no segmenter ({exc}); run dvc repro train") from exc
    if FORMAT not in metadata:
        raise InputError(f"{path} is no {FORMAT} file; run dvc repro train")
    try:
        return _segmenter(json.loads(metadata[FORMAT]), weights)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, InputError) as exc:
        reason = " ".join(str(exc).split())[:120]
        raise InputError(f"{path} is no segmenter ({type(exc).__name__}: {reason}); run dvc repro train") from exc


def _segmenter(meaning: dict[str, Any], weights: Mapping[str, Tensor]) -> Segmenter:
    network = build_network(NetworkSize(**meaning["network"]))
    network.load_state_dict(weights)
    classes: dict[str, int] = meaning["classes"]
    names, ids = tuple(classes), tuple(classes.values())
    # models written before these were kept have none
    heat, encoder = meaning.get("temperature", 1.0), meaning.get("encoder", "")
    return Segmenter(network.eval(), ids, names, meaning["longest_side"], heat, encoder)
