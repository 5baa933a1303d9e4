"""How far real people agree on masks: BSDS500's segmentations by four to nine people each, one figure a row.

No peer: these are the figures that a team can be compared with. Every region is an object of one class; two people are
compared wherever both segmented an image. Intervals resample images.
"""

import json
import sys
import time

import numpy as np
from consensus import REGION, read_people

from datalab.quality.agreement import object_table
from datalab.quality.agreement_report import Limits, sizes
from datalab.quality.object_figures import boundary_ious, object_figures
from measure import parser_of

SHOWN = ("agreement", "f1", "f1_50_95", "panoptic_quality", "mean_iou", "mean_dice", "mean_boundary_iou")
LIMITS = Limits(least_images=50, least_of_class=10, reliable=0.8, small_share=0.01, large_share=0.1)


def main() -> None:
    """Measure and print one JSON line."""
    parser = parser_of(__doc__)
    parser.add_argument("--images", type=int, default=100)
    images = read_people(parser.parse_args().images)
    started = time.perf_counter()
    objects = object_table(images, 0.5)
    objects["boundary_iou"] = boundary_ious(images, objects)
    rng = np.random.default_rng(1)
    found = object_figures(objects, rng)
    size = sizes(objects, LIMITS)
    per_size = {name: object_figures(objects[size == name], rng)["f1"] for name in ("small", "medium", "large")}
    line = {
        "name": "people",
        "class": REGION,
        "images": len(images),
        "pairs": int(objects.groupby(["image_id", "annotator_a", "annotator_b"]).ngroups),
        "figures": {name: found[name].as_json() for name in SHOWN},
        "f1_per_size": {name: figure.as_json() for name, figure in per_size.items()},
        "seconds": round(time.perf_counter() - started, 1),
    }
    sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
