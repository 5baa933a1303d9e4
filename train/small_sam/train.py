"""Train the small SAM on composites and write its weights in half precision.

python -m small_sam.train --out run --steps 6000        (in the folder train/; again, to go on after a stop)
"""

import copy
import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from segment_anything.modeling import Sam
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from datalab.adapters.sam_small import build_small_sam
from small_sam.composites import SIDE, Mask, Rng, compose, load_photographs
from small_sam.loss import in_decoder_order, mask_loss, prompted_masks

PROMPTS = 6
WARM_UP = 200
EMA = 0.998
LOG_EVERY, SAVE_EVERY = 50, 250
Batch = tuple[torch.Tensor, ...]


class Composites(Dataset[Batch]):
    """Picture number n is made from seed (seed, n): the same for every run and order."""

    def __init__(self, first: int, last: int, seed: int) -> None:
        """Pictures `first` up to, not with, `last`."""
        self.first, self.last, self.seed, self.photographs = first, last, seed, load_photographs()

    def __len__(self) -> int:
        """How many pictures there are."""
        return self.last - self.first

    def __getitem__(self, number: int) -> Batch:
        """Picture (3, 256, 256) uint8, masks (P, 256, 256), points (P, 2), boxes (P, 4), which prompts are boxes."""
        rng = np.random.default_rng([self.seed, self.first + number])
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


def random_point(mask: Mask, rng: Rng) -> npt.NDArray[np.float32]:
    """A pixel (x, y) inside, float32."""
    y, x = np.nonzero(mask)
    place = int(rng.integers(len(x)))
    return np.array([x[place] + 0.5, y[place] + 0.5], dtype=np.float32)


def shaken_box(mask: Mask, rng: Rng) -> npt.NDArray[np.float32]:
    """The tight box (x0, y0, x1, y1), each side moved by up to a tenth of its length, float32."""
    y, x = np.nonzero(mask)
    box = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1], dtype=np.float32)
    size = np.array([box[2] - box[0], box[3] - box[1]] * 2)
    return np.clip(box + rng.uniform(-0.1, 0.1, 4) * size, 0, SIDE).astype(np.float32)


@dataclass
class Run:
    """All that changes while training, which is all that has to be kept to go on later."""

    sam: Sam
    average: Sam
    optimiser: torch.optim.Optimizer
    step: int = 0

    def save(self, folder: Path) -> None:
        """The averaged weights in half precision, and the state for going on; each replaced as a whole."""
        halves = {name: value.half().contiguous() for name, value in self.average.state_dict().items()}
        save_file(halves, folder / "weights.tmp")
        (folder / "weights.tmp").replace(folder / "small_sam.safetensors")
        models = {"sam": self.sam.state_dict(), "average": self.average.state_dict()}
        torch.save({**models, "optimiser": self.optimiser.state_dict(), "step": self.step}, folder / "state.tmp")
        (folder / "state.tmp").replace(folder / "state.pt")

    def load(self, folder: Path) -> None:
        """Go on from what `save` last wrote into this folder, if it did."""
        if (folder / "state.pt").exists():
            state = torch.load(folder / "state.pt", weights_only=True)
            self.sam.load_state_dict(state["sam"])
            self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.step = state["step"]


def new_run(seed: int, peak: float, start: Path | None) -> Run:
    """Random weights, or those of an earlier run."""
    torch.manual_seed(seed)
    sam = build_small_sam().train()
    if start is not None:
        sam.load_state_dict({name: value.float() for name, value in load_file(start).items()})
    optimiser = torch.optim.AdamW(sam.parameters(), lr=peak, weight_decay=0.05, betas=(0.9, 0.98))
    return Run(sam, copy.deepcopy(sam), optimiser)


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up, then cosine to zero."""
    if step < WARM_UP:
        return peak * (step + 1) / WARM_UP
    return peak * 0.5 * (1 + math.cos(math.pi * (step - WARM_UP) / max(1, steps - WARM_UP)))


def train_step(run: Run, batch: Batch) -> tuple[float, float]:
    """One update; returns the loss and the mean IoU of the best of three."""
    pictures, masks, points, boxes, by_box = batch
    pixels = (pictures.float() - run.sam.pixel_mean) / run.sam.pixel_std
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, quality = prompted_masks(run.sam, run.sam.image_encoder(pixels), points, boxes, by_box)
    targets, boxed = in_decoder_order(masks, by_box)
    loss, iou = mask_loss(logits.float(), quality.float(), targets, boxed)
    run.optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(run.sam.parameters(), 1.0)
    run.optimiser.step()
    _follow(run)
    run.step += 1
    return float(loss.detach()), float(iou)


@torch.no_grad()
def _follow(run: Run) -> None:
    """Move the averaged weights towards the trained ones."""
    keep = min(EMA, (run.step + 1) / (run.step + 10))
    for slow, fast in zip(run.average.state_dict().values(), run.sam.state_dict().values(), strict=True):
        if slow.is_floating_point():
            slow.lerp_(fast, 1 - keep)


def train(run: Run, batches: Iterator[Batch], steps: int, peak: float) -> Iterator[tuple[float, float]]:
    """Update on every batch; every LOG_EVERY steps gives the mean loss and IoU since."""
    recent: list[tuple[float, float]] = []
    for batch in batches:
        for group in run.optimiser.param_groups:
            group["lr"] = learning_rate(run.step, steps, peak)
        recent.append(train_step(run, batch))
        if run.step % LOG_EVERY == 0 or run.step == steps:
            loss, iou = np.mean(recent, axis=0)
            recent.clear()
            yield float(loss), float(iou)


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for weights, state and curve.")
@click.option("--steps", default=6000, show_default=True)
@click.option("--batch", default=8, show_default=True, help="Pictures per step.")
@click.option("--peak", default=8e-4, show_default=True, help="Largest learning rate.")
@click.option("--seed", default=7, show_default=True)
@click.option("--start", type=click.Path(path_type=Path), help="Weights to start from.")
def main(out: Path, steps: int, batch: int, peak: float, seed: int, start: Path | None) -> None:
    """Example: python -m small_sam.train --out run --steps 6000."""
    out.mkdir(parents=True, exist_ok=True)
    run = new_run(seed, peak, start)
    run.load(out)
    pictures = Composites(run.step * batch, steps * batch, seed)
    loader = DataLoader(pictures, batch_size=batch, num_workers=1, prefetch_factor=8)
    fresh = run.step == 0
    with (
        (out / "curve.csv").open("w" if fresh else "a", newline="", buffering=1) as file,
        tqdm(desc="train", total=steps, initial=run.step) as bar,
    ):
        curve = csv.writer(file)
        if fresh:
            curve.writerow(["step", "loss", "iou"])
        for loss, iou in train(run, iter(loader), steps, peak):
            curve.writerow([run.step, f"{loss:.4f}", f"{iou:.4f}"])
            bar.update(run.step - bar.n)
            bar.set_postfix(loss=f"{loss:.3f}", iou=f"{iou:.3f}")
            if run.step % SAVE_EVERY == 0 or run.step == steps:
                run.save(out)


if __name__ == "__main__":
    main()
