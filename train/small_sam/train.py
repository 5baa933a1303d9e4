"""Train the small SAM on composites and write its weights in half precision.

python -m small_sam.train --out run --steps 6000        (in the folder train/)
"""

import copy
import csv
import math
from pathlib import Path

import click
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from segment_anything.modeling import Sam
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from datalab.adapters.sam_small import build_small_sam
from small_sam.composites import SIDE, compose, load_photographs
from small_sam.loss import in_decoder_order, mask_loss, prompted_masks

PROMPTS = 6
WARM_UP = 200
EMA = 0.998
Batch = tuple[torch.Tensor, ...]


class Composites(Dataset[Batch]):
    """Picture number n is made from seed (seed, n): the same for every run and order."""

    def __init__(self, count: int, seed: int) -> None:
        """`count` pictures."""
        self.count, self.seed, self.photographs = count, seed, load_photographs()

    def __len__(self) -> int:
        """How many pictures there are."""
        return self.count

    def __getitem__(self, number: int) -> Batch:
        """Picture (3, 256, 256) uint8, masks (P, 256, 256), points (P, 2), boxes (P, 4), which prompts are boxes."""
        rng = np.random.default_rng([self.seed, number])
        picture, masks = compose(self.photographs, rng)
        while not masks:
            picture, masks = compose(self.photographs, rng)
        chosen = [masks[place] for place in rng.integers(0, len(masks), PROMPTS)]
        points = np.stack([random_point(mask, rng) for mask in chosen])
        boxes = np.stack([shaken_box(mask, rng) for mask in chosen])
        by_box = rng.random(PROMPTS) < 0.4
        return (
            torch.from_numpy(picture.transpose(2, 0, 1).copy()),
            torch.from_numpy(np.stack(chosen)),
            torch.from_numpy(points),
            torch.from_numpy(boxes),
            torch.from_numpy(by_box),
        )


def random_point(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A pixel (x, y) inside, float32."""
    y, x = np.nonzero(mask)
    place = int(rng.integers(len(x)))
    return np.array([x[place] + 0.5, y[place] + 0.5], dtype=np.float32)


def shaken_box(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The tight box (x0, y0, x1, y1), each side moved by up to a tenth of its length, float32."""
    y, x = np.nonzero(mask)
    box = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1], dtype=np.float32)
    size = np.array([box[2] - box[0], box[3] - box[1]] * 2)
    return np.clip(box + rng.uniform(-0.1, 0.1, 4) * size, 0, SIDE).astype(np.float32)


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up, then cosine to zero."""
    if step < WARM_UP:
        return peak * (step + 1) / WARM_UP
    return peak * 0.5 * (1 + math.cos(math.pi * (step - WARM_UP) / max(1, steps - WARM_UP)))


def train_step(sam: Sam, optimiser: torch.optim.Optimizer, batch: Batch) -> tuple[float, float]:
    """One update; returns the loss and the mean IoU of the best of three."""
    pictures, masks, points, boxes, by_box = batch
    pixels = (pictures.float() - sam.pixel_mean) / sam.pixel_std
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, quality = prompted_masks(sam, sam.image_encoder(pixels), points, boxes, by_box)
    targets, boxed = in_decoder_order(masks, by_box)
    loss, iou = mask_loss(logits.float(), quality.float(), targets, boxed)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(sam.parameters(), 1.0)
    optimiser.step()
    return float(loss), float(iou)


@torch.no_grad()
def follow(average: Sam, sam: Sam, step: int) -> None:
    """Move the averaged weights towards the trained ones."""
    keep = min(EMA, (step + 1) / (step + 10))
    for slow, fast in zip(average.state_dict().values(), sam.state_dict().values(), strict=True):
        if slow.is_floating_point():
            slow.lerp_(fast, 1 - keep)


def save_weights(sam: Sam, path: Path) -> None:
    """Half precision safetensors, replaced as a whole."""
    halves = {name: value.half().contiguous() for name, value in sam.state_dict().items()}
    temporary = path.with_suffix(".tmp")
    save_file(halves, temporary)
    temporary.replace(path)


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for weights and curve.")
@click.option("--steps", default=6000, show_default=True)
@click.option("--batch", default=8, show_default=True, help="Pictures per step.")
@click.option("--peak", default=8e-4, show_default=True, help="Largest learning rate.")
@click.option("--seed", default=7, show_default=True)
@click.option("--start", type=click.Path(path_type=Path), help="Weights to start from.")
def main(out: Path, steps: int, batch: int, peak: float, seed: int, start: Path | None) -> None:
    """Example: python -m small_sam.train --out run --steps 6000"""
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    sam = build_small_sam().train()
    if start is not None:
        sam.load_state_dict({name: value.float() for name, value in load_file(start).items()}, strict=False)
    average = copy.deepcopy(sam)
    optimiser = torch.optim.AdamW(sam.parameters(), lr=peak, weight_decay=0.05, betas=(0.9, 0.98))
    loader = DataLoader(Composites(steps * batch, seed), batch_size=batch, num_workers=1, prefetch_factor=8)
    with (out / "curve.csv").open("w", newline="", buffering=1) as file:
        curve = csv.writer(file)
        curve.writerow(["step", "loss", "iou"])
        recent: list[tuple[float, float]] = []
        for step, pictures in enumerate(bar := tqdm(loader, "train", total=steps)):
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(step, steps, peak)
            recent.append(train_step(sam, optimiser, pictures))
            follow(average, sam, step)
            if (step + 1) % 50 == 0 or step + 1 == steps:
                loss, iou = np.mean(recent, axis=0)
                recent.clear()
                curve.writerow([step + 1, f"{loss:.4f}", f"{iou:.4f}"])
                bar.set_postfix(loss=f"{loss:.3f}", iou=f"{iou:.3f}")
            if (step + 1) % 250 == 0 or step + 1 == steps:
                save_weights(average, out / "small_sam.safetensors")


if __name__ == "__main__":
    main()
