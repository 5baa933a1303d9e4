"""The file with an adapted mask decoder: written by a stage, taken by whoever proposes."""

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from segment_anything.modeling import Sam

from datalab.adapters.files import write_bytes
from datalab.errors import InputError

MADE_FOR = "sam"


def write_decoder(path: Path, weights: dict[str, torch.Tensor], version: str) -> None:
    """`weights` of a mask decoder, or none: the official one is to be used. `version`: of the SAM they belong to."""
    write_bytes(path, save(weights, metadata={MADE_FOR: version}))


def take_decoder(sam: Sam, version: str, path: Path) -> str:
    """Put the weights of the file into SAM's decoder; returns its version, with the file's digest where it has changed.

    Nothing is taken where there is no file, it holds no weights, or it was made for another SAM. InputError for a
    damaged file.
    """
    if not path.exists():
        return version
    try:
        with safe_open(path, framework="pt") as file:
            made_for = (file.metadata() or {}).get(MADE_FOR)
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
        if not weights or made_for != version:
            return version
        sam.mask_decoder.load_state_dict(weights)
    except (OSError, SafetensorError, RuntimeError) as exc:
        raise InputError(f"{path} is no decoder for {version} ({exc}); run dvc repro adapt") from exc
    return f"{version}-adapted-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"
