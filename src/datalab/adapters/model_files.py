"""All weights that can be fetched, by name: SAM's checkpoints, backbones, and encoders of U-Nets."""

from collections.abc import Callable, Iterator
from pathlib import Path

from datalab.adapters import backbones, checkpoints, encoders

STARTS = "the models on {} start from it: dvc repro --force --single-item train label_errors && dvc repro"

OFFICIAL_ADVICE = (
    "to use it set in params.yaml sam: {{checkpoint: {}}} (and run `make up`, for clicks), and in proposals "
    "points_per_side: 32, min_predicted_iou: 0.88 and min_stability: 0.95, its authors' values"
)


def pull_model(name: str, show: Callable[[int, int], None]) -> tuple[Path, str]:
    """Fetch what has this name unless it is there; its path, and what to do with it.

    `show`: bytes done and in all, of a checkpoint. InputError listing the known names.
    """
    if name in backbones.FILES:
        return backbones.pull_backbone(name, backbones.SOURCE), STARTS.format(name)
    if name in encoders.known_encoders():
        return encoders.pull_encoder(name), STARTS.format(name)
    official = checkpoints.official_of(name, [*backbones.FILES, *encoders.known_encoders()])
    path = checkpoints.pull(official, checkpoints.cache_folder(), show, checkpoints.SOURCE)
    return path, OFFICIAL_ADVICE.format(name)


def models_here() -> Iterator[tuple[str, str]]:
    """(name, path or that it is not here) of all."""
    for name, official in checkpoints.OFFICIAL.items():
        path = checkpoints.cache_folder() / official.file
        there = path.is_file() and path.stat().st_size == official.bytes
        yield name, str(path) if there else f"not here ({official.bytes / 1e6:,.0f} MB)"
    for name in backbones.FILES:
        path = backbones.backbone_path(name)
        yield name, str(path) if path.is_file() else "not here"
    for name in encoders.known_encoders():
        yield name, str(encoders.encoder_path(name) or "not here")
