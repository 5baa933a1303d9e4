"""Consensus of real people's masks: does it agree with somebody who had no part in it better than one person does?

BSDS500's photographs were segmented by four to nine people each. Every person is left out in turn; the consensus of the
others, and each of the others alone (the peer), are scored against the one left out: the sum of the IoU of matched
objects over all distinct objects. One image is one pair of the test (Wilcoxon, one-sided).
"""

import json
import os
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy.stats import wilcoxon

from datalab.adapters.files import read_label_map
from datalab.masks import mask_to_rle
from datalab.quality.consensus import Rules, merge_images
from datalab.quality.matching import match_regions
from datalab.quality.pixel_votes import PIXEL_VOTES
from datalab.quality.rated import RatedImage
from measure import parser_of

SHARED = Path(os.environ.get("DATALAB_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
LEAST_SHARE = 0.002
"""Of the image: smaller regions are slivers between two outlines."""
REGION = "region"


def read_people(count: int) -> dict[str, list[RatedImage]]:
    """image to its segmentations, one per person."""
    found: dict[str, list[RatedImage]] = defaultdict(list)
    for path in sorted((SHARED / "bsds500" / "val" / "segmentations").glob("*.png")):
        image_id, person = path.stem.rsplit("_", 1)
        if len(found) == count and image_id not in found:
            break
        regions = read_label_map(path)
        least = LEAST_SHARE * regions.size
        masks = [regions == number for number in np.unique(regions)]
        shapes = tuple((REGION, mask_to_rle(mask)) for mask in masks if mask.sum() >= least)
        origins, (height, width) = ("manual",) * len(shapes), regions.shape
        found[image_id].append(RatedImage(image_id, person, shapes, origins, height, width, image_id))
    return dict(found)


def score(drawn: list[tuple[str, str]], truth: RatedImage) -> float:
    """Sum of matched IoU over distinct objects, in [0, 1]."""
    matching = match_regions(drawn, truth.regions, truth.height, truth.width, 0.5)
    return matching.iou_sum / max(1, matching.objects)


def leave_one_out(people: list[RatedImage], pixels: str) -> float:
    """Mean score over the people of one image of the consensus of the others."""
    rules = Rules(iou_threshold=0.5, outline_iou=0.8, pixels=pixels, classes="majority")
    scores = []
    for place, left_out in enumerate(people):
        others = people[:place] + people[place + 1 :]
        merged = merge_images({left_out.image_id: others}, {}, rules)[left_out.image_id]
        scores.append(score([(one.label, one.rle) for one in merged if one.kept], left_out))
    return float(np.mean(scores))


def single(people: list[RatedImage]) -> float:
    """Mean score of one person against another, over all ordered pairs."""
    pairs = [(a, b) for a in people for b in people if a is not b]
    return float(np.mean([score(list(a.regions), b) for a, b in pairs]))


def main() -> None:
    """Measure every vote and print."""
    parser = parser_of(__doc__)
    parser.add_argument("--images", type=int, default=40)
    given = parser.parse_args()
    images = read_people(given.images)
    alone = np.array([single(people) for people in images.values()])
    votes: dict[str, dict[str, float]] = {}
    for name in PIXEL_VOTES:
        started = time.perf_counter()
        together = np.array([leave_one_out(people, name) for people in images.values()])
        votes[name] = {
            "score": round(float(together.mean()), 4),
            "better_on": round(float(np.mean(together > alone)), 3),
            "p": float(f"{wilcoxon(together, alone, alternative='greater').pvalue:.2g}"),
            "seconds": round(time.perf_counter() - started, 1),
        }
    gate = all(each["p"] < 0.01 for each in votes.values())
    line = {
        "name": "consensus",
        "peer": "one person alone",
        "peer_score": round(float(alone.mean()), 4),
        "votes": votes,
        "sizes": {"images": len(images), "people": sum(map(len, images.values()))},
        "gate": gate,
    }
    sys.stdout.write(json.dumps(line) + "\n")
    if not gate:
        sys.exit(1)


if __name__ == "__main__":
    main()
