"""Masks for everything: ours against segment_anything's SamAutomaticMaskGenerator, same weights, 32 x 32 points.

Each repeat is another photograph. `end_to_end` compares a JPEG's way to Label Studio's JSON with encoder and decoder
alone; `crowded` is the same with lower thresholds, which leave as many masks an image as an official checkpoint finds
(`survivors`). Masks are compared, without timing, on these photographs and on 50 of bsds500/val where that is at hand,
or on the images named: python benchmarks/mask_generator.py photos/*.jpg

On a GPU the peer's decoder is timed in the half precision that ours has there; the masks are compared with those that
the peer makes in full precision.
"""

import copy
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from io import BytesIO
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from sam_encoder import finished
from scipy.optimize import linear_sum_assignment
from segment_anything import SamAutomaticMaskGenerator, SamPredictor
from segment_anything.modeling import Sam
from skimage import data
from torch import Tensor, nn
from tqdm import tqdm

from datalab.adapters.label_studio.results import region_to_result
from datalab.adapters.mask_generator import GeneratorParams, generate_masks
from datalab.adapters.mask_grid import Grid
from datalab.adapters.sam import load_sam
from datalab.adapters.sam_encoder import precision_for
from datalab.masks import iou_matrix
from measure import median_ratio, parser_of, print_result

NAMES = ("coffee", "astronaut", "chelsea", "rocket", "coins", "camera")
REPEATS = 6
PARAMS = GeneratorParams(points_per_side=32, min_predicted_iou=0.5, min_stability=0.75, tile_layers=0)
"""The thresholds of params.yaml for the small SAM."""
CROWDED = replace(PARAMS, min_predicted_iou=0.3, min_stability=0.6)
"""Leaves as many masks an image as an official checkpoint finds."""
LEAST_IOU, MOST_COUNT = 0.97, 0.05
AIMS = {"cpu": {"generator": 3.0, "end_to_end": 0.85}, "cuda": {"generator": 6.6}}
"""By where it runs."""
FURTHER = 50
SHARED = Path(os.environ.get("DATALAB_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


def photographs() -> list[bytes]:
    """JPEGs of scikit-image's photographs."""
    files = []
    for name in NAMES:
        file = BytesIO()
        Image.fromarray(np.asarray(getattr(data, name)())).convert("RGB").save(file, "JPEG", quality=92)
        files.append(file.getvalue())
    return files


def pixels_of(file: bytes) -> Any:
    """(H, W, 3) uint8."""
    return np.asarray(Image.open(BytesIO(file)).convert("RGB"))


def to_label_studio(sam: Sam, file: bytes, params: GeneratorParams) -> str:
    """A JPEG's way to the JSON of a prediction."""
    pixels = pixels_of(file)
    found = generate_masks(sam, pixels, params)
    size = pixels.shape[:2]
    return json.dumps([region_to_result(str(n), "object", one.rle, *size) for n, one in enumerate(found)])


def network_alone(sam: Sam, pixels: Any, params: GeneratorParams) -> None:
    """Encoder, and decoder with the masks of the prompts that are good enough."""
    with torch.inference_mode():
        predictor = SamPredictor(sam)
        predictor.set_image(pixels)
        grid = Grid(predictor, params.points_per_side)
        for batch in torch.split(grid.points, 64):
            decoded = grid.decoder.decode(batch)
            good = torch.nonzero((decoded.predicted_iou > params.min_predicted_iou).any(dim=1)).flatten()
            if len(good):
                grid.decoder.masks(decoded, good)


class InPrecision(nn.Module):
    """The official decoder with its products in another precision."""

    def __init__(self, decoder: nn.Module, precision: torch.dtype) -> None:
        """`precision`: torch.float32, or torch.bfloat16 for products."""
        super().__init__()
        self.decoder, self.precision = decoder, precision

    def forward(self, image_embeddings: Tensor, **prompts: Any) -> tuple[Tensor, Tensor]:
        """Logits and predicted IoU, float32."""
        half = self.precision != torch.float32
        with torch.autocast(image_embeddings.device.type, self.precision, enabled=half):
            logits, scores = self.decoder(image_embeddings=image_embeddings, **prompts)
        return logits.float(), scores.float()


def in_precision(sam: Sam, precision: torch.dtype) -> Sam:
    """A copy of `sam` whose decoder computes in `precision`."""
    changed = copy.deepcopy(sam)
    changed.mask_decoder = InPrecision(changed.mask_decoder, precision)
    return changed


def peer_of(sam: Sam) -> SamAutomaticMaskGenerator:
    """The generator of segment_anything with the thresholds of ours."""
    return SamAutomaticMaskGenerator(
        sam,
        points_per_side=PARAMS.points_per_side,
        pred_iou_thresh=PARAMS.min_predicted_iou,
        stability_score_thresh=PARAMS.min_stability,
        output_mode="coco_rle",
    )


def times(sam: Sam, files: list[bytes], precision: torch.dtype) -> dict[str, float]:
    """The named ratios; the peer's decoder computes in `precision`."""
    peer = peer_of(in_precision(sam, precision))
    ours_next, peer_next = cycle(files), cycle(files)

    def ratio(ours: Callable[[], Any], other: Callable[[], Any]) -> float:
        return median_ratio(finished(sam.device, ours), finished(sam.device, other), REPEATS)

    def end_to_end(params: GeneratorParams) -> float:
        whole_next, network_next = cycle(files), cycle(files)
        return ratio(
            lambda: to_label_studio(sam, next(whole_next), params),
            lambda: network_alone(sam, pixels_of(next(network_next)), params),
        )

    return {
        "generator": ratio(
            lambda: generate_masks(sam, pixels_of(next(ours_next)), PARAMS),
            lambda: peer.generate(pixels_of(next(peer_next))),
        ),
        **{name: end_to_end(params) for name, params in (("end_to_end", PARAMS), ("crowded", CROWDED))},
    }


def agreement(pairs: Iterator[tuple[list[str], list[str], tuple[int, int]]]) -> dict[str, float | int]:
    """Over all images: IoU of masks matched one to one, and how many there are on both sides."""
    ious: list[float] = []
    ours = theirs = others = 0
    for found, expected, size in pairs:
        overlap = iou_matrix(found, expected, *size)
        ious += overlap[linear_sum_assignment(-overlap)].tolist()
        ours, theirs, others = ours + len(found), theirs + len(expected), others + (len(found) != len(expected))
    counts = {"masks": ours, "masks_of_peer": theirs, "images_of_another_count": others}
    return {"matched_iou": round(float(np.mean(ious)), 4), **counts}


def survivors(sam: Sam, files: list[bytes]) -> list[float]:
    """Masks an image with the thresholds of `end_to_end` and of `crowded`."""
    return [
        round(float(np.mean([len(generate_masks(sam, pixels_of(file), params)) for file in files])), 1)
        for params in (PARAMS, CROWDED)
    ]


def main() -> None:
    """Measure and print."""
    parser = parser_of(__doc__)
    parser.add_argument("images", nargs="*", type=Path, help="to compare the masks on")
    named = parser.parse_args().images or sorted((SHARED / "bsds500" / "val" / "images").glob("*.jpg"))[:FURTHER]
    torch.set_num_threads(1)
    sam = load_sam("small").requires_grad_(False)
    device = sam.device
    precision = precision_for(device) if device.type == "cuda" else torch.float32
    files = photographs()
    further = [path.read_bytes() for path in named]
    ratio, peer = times(sam, files, precision), peer_of(sam)

    def compared() -> Iterator[tuple[list[str], list[str], tuple[int, int]]]:
        for file in tqdm([*files, *further], "compare", unit="image", disable=None):
            pixels = pixels_of(file)
            found = [one.rle for one in generate_masks(sam, pixels, PARAMS)]
            expected = [one["segmentation"]["counts"] for one in peer.generate(pixels)]
            yield found, expected, pixels.shape[:2]

    quality = agreement(compared())
    counts = abs(quality["masks"] / quality["masks_of_peer"] - 1)
    gate = quality["matched_iou"] >= LEAST_IOU and counts <= MOST_COUNT
    place = torch.cuda.get_device_name() if device.type == "cuda" else "1 thread"
    name = (
        f"segment-anything {version('segment-anything')} SamAutomaticMaskGenerator, torch {torch.__version__}, {place}"
    )
    aims = AIMS[device.type]
    sizes = {
        "points": PARAMS.points_per_side**2,
        "images": len(files) + len(further),
        "survivors": survivors(sam, files),
        "precision": str(precision),
        "aims": aims,
        "met": {key: ratio[key] >= aim for key, aim in aims.items()},
    }
    print_result("mask_generator", ratio, name, sizes | quality, REPEATS, bool(gate))


if __name__ == "__main__":
    main()
