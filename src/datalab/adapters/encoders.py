"""ImageNet weights of the U-Nets' encoders, from where segmentation-models-pytorch publishes them.

They lie in the Hugging Face cache ($HF_HOME), each at the revision that the library names; safetensors, no pickle.
"""

from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from datalab.adapters.checkpoints import sha256_of
from datalab.adapters.segmenter_unet import ENCODERS
from datalab.errors import InputError, ServiceError

FILE = "model.safetensors"
SHA256_DIGITS = 64


def published(encoder: str) -> tuple[str, str]:
    """Repository and revision of the weights of one of ENCODERS' values."""
    from segmentation_models_pytorch.encoders import encoders  # noqa: PLC0415  (takes seconds)

    settings = encoders[encoder]["pretrained_settings"]["imagenet"]
    return str(settings["repo_id"]), str(settings["revision"])


def encoder_path(encoder: str) -> Path | None:
    """Where the weights lie; None where they are not on this machine."""
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415

    repository, revision = published(encoder)
    found = try_to_load_from_cache(repository, FILE, revision=revision)
    return Path(found) if isinstance(found, str) else None


def read_encoder(encoder: str) -> dict[str, Tensor] | None:
    """The weights by name, None where they are not on this machine; InputError for a damaged file."""
    path = encoder_path(encoder)
    if path is None:
        return None
    if not _is_whole(path):
        raise InputError(f"{path} is damaged; to have it anew run: datalab models pull {encoder}")
    weights: dict[str, Tensor] = load_file(path)
    return weights


def _is_whole(path: Path) -> bool:
    """Whether the file can be read and is the published one: the cache keeps large files under their SHA-256."""
    name = path.resolve().name
    try:
        with safe_open(path, framework="pt"):
            return len(name) != SHA256_DIGITS or sha256_of(path) == name
    except (OSError, SafetensorError):
        return False


def pull_encoder(encoder: str) -> Path:
    """Fetch the weights unless they are there and whole; the path. ServiceError where they cannot be reached."""
    from huggingface_hub import hf_hub_download  # noqa: PLC0415

    repository, revision = published(encoder)
    try:
        here = encoder_path(encoder)
        again = here is not None and not _is_whole(here)
        return Path(hf_hub_download(repository, FILE, revision=revision, force_download=again))
    except Exception as exc:  # the hub's client raises the errors of several HTTP libraries
        reason = " ".join(str(exc).split())[:160]
        raise ServiceError(
            f"{repository} cannot be downloaded: {reason}; try again where the hub can be reached"
        ) from exc


def known_encoders() -> list[str]:
    """Names for `datalab models pull`."""
    return list(ENCODERS.values())
