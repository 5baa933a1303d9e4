"""The training loop of torchvision's references, without any trick: what a team would start from.

U-Nets are those of segmentation-models-pytorch.

SGD with momentum 0.9, learning rate 0.01 falling by a power of 0.9, weight decay 1e-4, images scaled by half to twice,
mirrored, cropped and normalised, cross-entropy (half of it for the auxiliary head); fp32, NCHW. There the short edge is
520 pixels and the cut 480; here both are as much smaller as the images are.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from segmentation_models_pytorch import Unet
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models, tv_tensors
from torchvision.transforms import v2

from datalab.adapters.segmenter_samples import Sample
from datalab.adapters.segmenter_unet import DEEPEST, ENCODERS
from datalab.masks import IGNORE_ID

BATCH = 8
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class PlainUNet(nn.Module):
    """The library's U-Net behind torchvision's interface."""

    def __init__(self, encoder: str, classes: int) -> None:
        """Random weights."""
        super().__init__()
        self.net = Unet(encoder, encoder_weights=None, classes=classes)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """{"out": logits}; the encoder wants whole multiples of its last level's pixels."""
        height, width = images.shape[-2:]
        fitting = functional.pad(images, (0, -width % DEEPEST, 0, -height % DEEPEST))
        return {"out": self.net(fitting)[..., :height, :width]}


def build_plain(model: str, classes: int) -> nn.Module:
    """The network with random weights from torch's global generator."""
    if model in ENCODERS:
        return PlainUNet(ENCODERS[model], classes)
    auxiliary = {} if model.startswith("lraspp") else {"aux_loss": True}
    build: Any = models.get_model_builder(model)
    network: nn.Module = build(weights=None, weights_backbone=None, num_classes=classes, **auxiliary)
    return network


class Reference:
    """A model by name, and the loop."""

    def __init__(self, model: str, classes: int, side: int, seed: int) -> None:
        """`side`: longest side of the images, which are four to three as a rule."""
        torch.manual_seed(seed)
        self.network = build_plain(model, classes)
        short = side * 3 // 4
        crop = round(short * 480 / 520 / 8) * 8
        self.vary = v2.Compose(
            [
                v2.RandomResize(short // 2, short * 2),
                v2.RandomHorizontalFlip(0.5),
                v2.RandomCrop(crop, pad_if_needed=True, fill={tv_tensors.Mask: IGNORE_ID, "others": 0}),
                v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True),
                v2.Normalize(MEAN, DEVIATION),
            ]
        )

    def train(
        self, samples: Sequence[Sample], truths: Sequence[npt.NDArray[np.uint8]], steps: int, seed: int
    ) -> Iterator[int]:
        """One step at a time; yields how many are done."""
        optimiser = torch.optim.SGD(self.network.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
        falling = torch.optim.lr_scheduler.PolynomialLR(optimiser, total_iters=steps, power=0.9)
        rng = np.random.default_rng(seed)
        order: list[int] = []
        self.network.train()
        for step in range(steps):
            if len(order) < BATCH:
                order = rng.permutation(len(samples)).tolist()
            chosen, order = order[:BATCH], order[BATCH:]
            images, targets = self._batch([(samples[place].image, truths[place]) for place in chosen])
            found = self.network(images)
            loss = functional.cross_entropy(found["out"], targets, ignore_index=IGNORE_ID)
            if "aux" in found:
                loss = loss + 0.5 * functional.cross_entropy(found["aux"], targets, ignore_index=IGNORE_ID)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            falling.step()
            yield step + 1

    def predict(self, sample: Sample) -> npt.NDArray[np.uint8]:
        """(height, width) positions of the classes, at the kept image's size."""
        image = torch.from_numpy(sample.image.astype(np.float32) / 255).permute(2, 0, 1)[None]
        with torch.inference_mode():
            logits = self.network.eval()(v2.functional.normalize(image, list(MEAN), list(DEVIATION)))["out"]
            grown = functional.interpolate(logits, size=sample.size, mode="bilinear", align_corners=False)
        return np.asarray(grown[0].argmax(dim=0).numpy(), dtype=np.uint8)

    def _batch(self, pairs: Sequence[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]]) -> tuple[Tensor, Tensor]:
        varied = []
        for image, truth in pairs:
            grown = torch.from_numpy(truth.copy())[None, None]
            fitted = functional.interpolate(grown.float(), size=image.shape[:2], mode="nearest").to(torch.uint8)[0]
            varied.append(
                self.vary(tv_tensors.Image(torch.from_numpy(image.copy()).permute(2, 0, 1)), tv_tensors.Mask(fitted))
            )
        return torch.stack([one for one, _ in varied]), torch.stack([one[0] for _, one in varied]).long()
