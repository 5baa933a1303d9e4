"""Train the small SAM on composites and write its weights in half precision.

python -m small_sam.train --out run --steps 7000        (in the folder train/; again, to go on after a stop)
"""

import copy
import io
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click
import numpy as np
import torch
from safetensors.torch import load_file, save
from segment_anything.modeling import Sam
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from datalab.adapters.files import write_bytes, write_text
from datalab.adapters.sam_small import build_small_sam
from datalab.adapters.sam_training import BOX, CLICK, mask_loss, prompted_masks
from small_sam.composites import compose
from small_sam.surfaces import load_photographs
from small_sam.views import View, ask, look

VIEWS, PROMPTS = 2, 6
"""Of each picture, and of each view."""
WARM_UP = 500
EMA = 0.999
LOG_EVERY, SAVE_EVERY = 100, 500
Batch = dict[str, torch.Tensor]
MEANS = ("loss", "box", "click")
Means = tuple[float, float, float]
"""Over the steps since the last ones: the loss, and the IoU of the best of three from a box and from one click."""


class Composites(Dataset[Batch]):
    """Picture number n is made from seed (seed, n): the same for every run and order."""

    def __init__(self, first: int, last: int, seed: int) -> None:
        """Pictures `first` up to, not with, `last`."""
        self.first, self.last, self.seed, self.photographs = first, last, seed, load_photographs()

    def __len__(self) -> int:
        """How many pictures there are."""
        return self.last - self.first

    def __getitem__(self, number: int) -> Batch:
        """VIEWS `pictures` (VIEWS, 3, 256, 256) uint8 of one, their `sizes` (height, width), and what `Prompts` has."""
        rng = np.random.default_rng([self.seed, self.first + number])
        views: list[View] = []
        while not views:
            picture, masks = compose(self.photographs, rng)
            views = [view for view in (look(picture, masks, rng) for _ in range(VIEWS) if masks) if view.masks]
        views = (views * VIEWS)[:VIEWS]
        prompts = [asdict(ask(view, PROMPTS, rng)) for view in views]
        seen = {"pictures": np.stack([view.picture.transpose(2, 0, 1) for view in views])}
        sizes = {"sizes": np.array([(view.height, view.width) for view in views])}
        asked = {name: np.stack([one[name] for one in prompts]) for name in prompts[0]}
        return {name: torch.from_numpy(value) for name, value in (seen | sizes | asked).items()}


def joined(pictures: list[Batch]) -> Batch:
    """The views of several pictures one behind the other."""
    return {name: torch.cat([one[name] for one in pictures]) for name in pictures[0]}


@dataclass
class Run:
    """All that changes while training, which is all that has to be kept to go on later."""

    sam: Sam
    average: Sam
    optimiser: torch.optim.Optimizer
    step: int = 0
    curve: list[tuple[int, Means]] = field(default_factory=list)

    def save(self, folder: Path) -> None:
        """The averaged weights in half precision, and the state for going on; each replaced as a whole."""
        halves = {name: value.half().contiguous() for name, value in self.average.state_dict().items()}
        write_bytes(folder / "small_sam.safetensors", save(halves))
        models = {"sam": self.sam.state_dict(), "average": self.average.state_dict()}
        kept = io.BytesIO()
        torch.save({**models, "optimiser": self.optimiser.state_dict(), "step": self.step, "curve": self.curve}, kept)
        write_bytes(folder / "state.pt", kept.getvalue())

    def load(self, folder: Path) -> None:
        """Go on from what `save` last wrote into this folder, if it did."""
        if (folder / "state.pt").exists():
            state = torch.load(folder / "state.pt", weights_only=True)
            self.sam.load_state_dict(state["sam"])
            self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.step, self.curve = state["step"], state["curve"]

    def write_curve(self, folder: Path) -> None:
        """The curve as a CSV file; whole, since a run that was killed has drawn more of it than it kept of itself."""
        rows = [[str(step), *(f"{value:.4f}" for value in means)] for step, means in self.curve]
        lines = [",".join(row) for row in [["step", *MEANS], *rows]]
        write_text(folder / "curve.csv", "\n".join(lines) + "\n")


def new_run(seed: int, peak: float, start: Path | None) -> Run:
    """Random weights, or those of an earlier run."""
    torch.manual_seed(seed)
    sam = build_small_sam().train()
    if start is not None:
        sam.load_state_dict({name: value.float() for name, value in load_file(start).items()})
    optimiser = torch.optim.AdamW(sam.parameters(), lr=peak, weight_decay=0.05, betas=(0.9, 0.98), fused=True)
    return Run(sam, copy.deepcopy(sam), optimiser)


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up, then cosine to zero."""
    if step < WARM_UP:
        return peak * (step + 1) / WARM_UP
    return peak * 0.5 * (1 + math.cos(math.pi * (step - WARM_UP) / max(1, steps - WARM_UP)))


def normalised(sam: Sam, pictures: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
    """(B, 3, 256, 256) as `Sam.preprocess` gives it: zeros right of and below the (height, width) of each picture."""
    rows = torch.arange(pictures.shape[2])[None, :, None] < sizes[:, 0, None, None]
    columns = torch.arange(pictures.shape[3])[None, None, :] < sizes[:, 1, None, None]
    pixels: torch.Tensor = (pictures.float() - sam.pixel_mean) / sam.pixel_std
    return pixels * (rows & columns)[:, None]


def train_step(run: Run, batch: Batch) -> Means:
    """One update; returns the loss and the mean IoU of the best of three, from a box and from one click."""
    pixels = normalised(run.sam, batch["pictures"], batch["sizes"])
    asked = [batch[name] for name in ("boxes", "points", "inside", "kinds")]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, quality, rows = prompted_masks(run.sam, run.sam.image_encoder(pixels), *asked)
    kinds = batch["kinds"].flatten()[rows]
    loss, iou = mask_loss(logits, quality, batch["masks"].flatten(0, 1)[rows], kinds)
    run.optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(run.sam.parameters(), 1.0)
    run.optimiser.step()
    _follow(run)
    run.step += 1
    return float(loss.detach()), float(iou[kinds == BOX].mean()), float(iou[kinds == CLICK].mean())


@torch.no_grad()
def _follow(run: Run) -> None:
    """Move the averaged weights towards the trained ones."""
    keep = min(EMA, (run.step + 1) / (run.step + 10))
    pairs = zip(run.average.state_dict().values(), run.sam.state_dict().values(), strict=True)
    slow, fast = zip(*((old, new) for old, new in pairs if old.is_floating_point()), strict=True)
    torch._foreach_lerp_(list(slow), list(fast), 1 - keep)


def train(run: Run, batches: Iterator[Batch], steps: int, peak: float) -> Iterator[Means]:
    """Update on every batch; every LOG_EVERY steps gives the means since, and adds them to the curve."""
    recent: list[Means] = []
    for batch in batches:
        for group in run.optimiser.param_groups:
            group["lr"] = learning_rate(run.step, steps, peak)
        recent.append(train_step(run, batch))
        if not math.isfinite(recent[-1][0]):
            raise click.ClickException(f"the loss of step {run.step} is {recent[-1][0]}; a lower --peak may help")
        if run.step % LOG_EVERY == 0 or run.step == steps:
            loss, box, click_ = (float(value) for value in np.nanmean(recent, axis=0))
            recent.clear()
            run.curve.append((run.step, (loss, box, click_)))
            yield loss, box, click_


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for weights, state and curve.")
@click.option("--steps", default=7000, show_default=True)
@click.option("--batch", default=8, show_default=True, help=f"Pictures per step, of which {VIEWS} views each are seen.")
@click.option("--peak", default=1e-3, show_default=True, help="Largest learning rate.")
@click.option("--seed", default=7, show_default=True)
@click.option("--start", type=click.Path(path_type=Path), help="Weights to start from.")
def main(out: Path, steps: int, batch: int, peak: float, seed: int, start: Path | None) -> None:
    """Example: python -m small_sam.train --out run --steps 7000."""
    out.mkdir(parents=True, exist_ok=True)
    run = new_run(seed, peak, start)
    run.load(out)
    if run.step >= steps:
        raise click.ClickException(f"{out} has {run.step} steps already; give more by --steps, or another --out")
    pictures = Composites(run.step * batch, steps * batch, seed)
    loader = DataLoader(pictures, batch_size=batch, num_workers=1, prefetch_factor=8, collate_fn=joined)
    with tqdm(desc="train", total=steps, initial=run.step, disable=None) as bar:
        for means in train(run, iter(loader), steps, peak):
            run.write_curve(out)
            bar.update(run.step - bar.n)
            bar.set_postfix({name: f"{value:.3f}" for name, value in zip(MEANS, means, strict=True)})
            if run.step % SAVE_EVERY == 0 or run.step == steps:
                run.save(out)


if __name__ == "__main__":
    main()
