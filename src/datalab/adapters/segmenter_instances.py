"""Mask R-CNN as a segmenter: it learns and finds objects one by one, and answers with label probabilities too.

It is no committee: one network, one answer, mirrored images aside. What a pixel belongs to follows from the objects
that cover it: it is background as far as none of them is there.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional

from datalab.adapters.segmenter_network import OUTPUT_STRIDE, NetworkSize, SegmenterNetwork
from datalab.learning.objects import objects_of
from datalab.masks import IGNORE_ID

MASK_RCNN = "maskrcnn_resnet50_fpn"
SMALLEST_ANCHOR = 8
"""Pixels of the working image; the next ones are 16, 32, 64 and 128."""
LEAST_PIXELS = 4
"""Of the labels: smaller pieces of a class are no objects to learn from."""
RIM = 3
"""Pixels of the labels, six of the working image: the unjudged ones this near an object are its outline, in doubt."""
LEAST_SCORE = 0.05
PROPOSALS = 300
"""Boxes an image is searched at: as many as Ren et al., "Faster R-CNN" (2015), found enough on images of 600 pixels.
As many objects may be found: torchvision's 100 are a recall of 0.44 where an image has 225 cells."""
JUDGED_BOXES = 128
"""Of an image, each training step: as in Ren et al. torchvision's 512 are most of the time a CPU spends on it."""
SURELY = 1e-6
"""Probabilities are at least this, so that their logarithms are finite."""


class Instance(NamedTuple):
    """An object that was found."""

    position: int
    """Of its class, 1 or more."""
    score: float
    mask: Tensor
    """(H, W) in [0, 1], how surely each pixel is part of it."""


class InstanceSegmenter(SegmenterNetwork):
    """torchvision's Mask R-CNN with small anchors, on images as they come."""

    uses_embedding: ClassVar[bool] = False
    least_batch: ClassVar[int] = 2
    """Batch normalisation needs two values of a channel."""
    learning_rate: ClassVar[float] = 0.0003
    """With 0.01 its losses grew."""
    learns_instances: ClassVar[bool] = True
    least_score: ClassVar[float] = 0.5
    """By itself, a less sure object leaves its pixels to the background: the label map shows nothing of it."""

    def __init__(self, size: NetworkSize) -> None:
        """Random weights from torch's global generator."""
        # torchvision takes seconds to import, and the default model does without
        from torchvision.models.detection import maskrcnn_resnet50_fpn  # noqa: PLC0415
        from torchvision.models.detection.anchor_utils import AnchorGenerator  # noqa: PLC0415

        super().__init__(size)
        anchors = tuple((SMALLEST_ANCHOR * 2**level,) for level in range(5))
        self.net = maskrcnn_resnet50_fpn(
            weights=None,
            weights_backbone=None,
            num_classes=max(2, size.classes),
            rpn_anchor_generator=AnchorGenerator(anchors, ((0.5, 1.0, 2.0),) * 5),
            box_score_thresh=LEAST_SCORE,
            box_detections_per_img=PROPOSALS,
            rpn_post_nms_top_n_train=PROPOSALS,
            rpn_post_nms_top_n_test=PROPOSALS,
            box_batch_size_per_image=JUDGED_BOXES,
        )
        # torchvision enlarges to 800 pixels; its `_skip_resize` leaves that out in training alone
        self.net.transform.resize = _as_it_comes

    def take_backbone(self, weights: Mapping[str, Tensor]) -> None:
        """Start from these weights of the classification network."""
        body = self.net.backbone.body
        body.load_state_dict({name: weights[name] for name in body.state_dict()})

    def backbone_parameters(self) -> Iterator[nn.Parameter]:
        """All that classified."""
        return iter(self.net.backbone.body.parameters())

    def instance_loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Sum of Mask R-CNN's losses on images (B, 3, H, W) and their label maps (B, H/2, W/2), 255 not judged.

        Its losses know no such pixels. Where they are not judged the image is painted over with its mean colour, so
        that there is nothing to learn; a rim about an object counts as not the object. In training mode alone.
        """
        maps = [one.cpu().numpy().astype(np.uint8) for one in labels]
        targets = [_targets(one, images.device) for one in maps]
        shown = [_without(image, _unjudged(one)) for image, one in zip(images, maps, strict=True)]
        losses = self.net(shown, targets)
        total: Tensor = sum(losses.values(), images.new_zeros(()))
        return total

    def instances(self, image: Tensor) -> list[Instance]:
        """The objects of one image (3, H, W) in [0, 1]."""
        (found,) = self.net.eval()([image])
        rows = zip(found["labels"].tolist(), found["scores"].tolist(), found["masks"][:, 0], strict=True)
        return [Instance(label, score, mask) for label, score, mask in rows if label < self.size.classes]

    def forward(self, image: Tensor, embedding: Tensor) -> Tensor:
        """Logits (B, 1, K, H/2, W/2): logarithms of the probabilities that follow from the objects."""
        return torch.stack([self.logits(self.instances(one), one.shape[-2:]) for one in image])

    def logits(self, found: Sequence[Instance], size: Sequence[int]) -> Tensor:
        """(1, K, H/2, W/2) of the objects of an image of (H, W)."""
        device = next(self.parameters()).device
        missing = torch.ones(self.size.classes, *size, device=device)
        for one in found:
            missing[one.position] *= 1 - one.score * one.mask
        chances = 1 - missing
        chances[0] = missing[1:].prod(dim=0)
        half = functional.avg_pool2d(chances[None], OUTPUT_STRIDE).clamp(min=SURELY)
        return (half / half.sum(dim=1, keepdim=True)).log()


def _as_it_comes(image: Tensor, target: Any = None) -> tuple[Tensor, Any]:
    """In place of GeneralizedRCNNTransform.resize."""
    return image, target


def _unjudged(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """(h, w): pixels of 255 further than a rim from every object."""
    alone: npt.NDArray[np.bool_] = labels == IGNORE_ID
    objects = (labels > 0) & ~alone
    if objects.any():
        alone[ndimage.distance_transform_cdt(~objects, "chessboard") <= RIM] = False
    return alone


def _without(image: Tensor, where: npt.NDArray[np.bool_]) -> Tensor:
    """The image (3, H, W) with its mean colour at these pixels (h, w) of the labels."""
    if not where.any():
        return image
    large = torch.from_numpy(where.repeat(OUTPUT_STRIDE, axis=0).repeat(OUTPUT_STRIDE, axis=1)).to(image.device)
    return torch.where(large, image.mean(dim=(1, 2), keepdim=True), image)


def _targets(labels: npt.NDArray[np.uint8], device: torch.device) -> dict[str, Tensor]:
    """The connected pieces of every class, at twice the size of the (h, w) labels."""
    pieces = list(objects_of(labels, LEAST_PIXELS))
    masks = np.zeros((len(pieces), *(side * OUTPUT_STRIDE for side in labels.shape)), dtype=np.uint8)
    boxes = np.zeros((len(pieces), 4), dtype=np.float32)
    for place, piece in enumerate(pieces):
        masks[place] = piece.mask.repeat(OUTPUT_STRIDE, axis=0).repeat(OUTPUT_STRIDE, axis=1)
        rows, columns = np.flatnonzero(masks[place].any(axis=1)), np.flatnonzero(masks[place].any(axis=0))
        boxes[place] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return {
        "boxes": torch.from_numpy(boxes).to(device),
        "labels": torch.tensor([piece.position for piece in pieces], dtype=torch.int64, device=device),
        "masks": torch.from_numpy(masks).to(device),
    }
