"""Object agreement of several annotators' masks: on run lengths, against dense arrays with numpy's and / or.

The images are of 3 annotators with 10 masks of 512 x 512 each; 20 are distinct, and these are what the two sides are
timed on. The dense side holds its arrays already; it does not pay for decoding. Both match the same way.
`ratio`: "objects" is the whole comparison. "iou" is the IoU of everybody's objects with everybody else's against
pycocotools called as its documentation says, "iou_of_five" the same of the first five objects of each, "iou_of_two" the
same of two people alone; all go through the distinct images, as a processor that sees one image again and again knows
its branches by heart. `sizes` also holds bytes per image held by either side, and how much more twice the images cost,
over 2: 1 is linear.
"""

import statistics
import time
import tracemalloc
from collections.abc import Callable
from importlib.metadata import version
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco
from scipy.optimize import linear_sum_assignment

from datalab.masks import BoolMask, iou_matrix, mask_to_rle, rle_to_mask
from datalab.quality.agreement import object_table
from datalab.quality.rated import RatedImage
from measure import median_ratio, parser_of, print_result

SIDE, PEOPLE, MASKS, REPEATS, THRESHOLD = 512, 3, 10, 5, 0.5
Sides = list[list[list[str]]]
"""Images, people, masks."""
Dense = list[list[npt.NDArray[np.bool_]]]
"""Images, people, (masks, side, side)."""


def blob(rng: np.random.Generator, x: float, y: float, radius: float) -> BoolMask:
    """A star-shaped outline that wobbles by a few pixels: the same object drawn once more."""
    rows, columns = np.ogrid[:SIDE, :SIDE]
    angle, distance = np.arctan2(rows - y, columns - x), np.hypot(rows - y, columns - x)
    waves = sum(rng.normal(0, 1.5) * np.sin(k * angle + rng.uniform(0, 6.3)) for k in range(2, 9))
    inside: BoolMask = distance < radius + waves
    return inside


def rated_image(rng: np.random.Generator, image_id: str) -> list[RatedImage]:
    """Ten objects, each drawn by everybody."""
    objects = [(rng.uniform(60, SIDE - 60), rng.uniform(60, SIDE - 60), rng.uniform(20, 60)) for _ in range(MASKS)]
    drawn = [tuple(("object", mask_to_rle(blob(rng, *one))) for one in objects) for _ in range(PEOPLE)]
    return [
        RatedImage(image_id, f"p{who}", regions, ("manual",) * MASKS, SIDE, SIDE, image_id)
        for who, regions in enumerate(drawn)
    ]


def dense_of(images: dict[str, list[RatedImage]]) -> Dense:
    """The same masks as arrays."""
    return [
        [np.stack([rle_to_mask(rle, SIDE, SIDE) for _, rle in one.regions]) for one in rated]
        for rated in images.values()
    ]


def dense_agreement(images: Dense) -> float:
    """Sum of matched IoU over images and pairs of people."""
    total = 0.0
    for rated in images:
        for first in range(PEOPLE):
            for second in range(first + 1, PEOPLE):
                overlap = np.array([[_iou(a, b) for b in rated[second]] for a in rated[first]])
                overlap[overlap < THRESHOLD] = 0
                total += float(overlap[linear_sum_assignment(overlap, maximize=True)].sum())
    return total


def _iou(a: BoolMask, b: BoolMask) -> float:
    return float(np.count_nonzero(a & b) / np.count_nonzero(a | b))


def agreement(images: dict[str, list[RatedImage]]) -> float:
    """The same number from table OBJECTS."""
    return float(object_table(images, THRESHOLD)["iou"].sum())


def direct_iou(images: Sides) -> list[npt.NDArray[np.float64]]:
    """pycocotools as its documentation says, two people at a time."""
    found = []
    for people in images:
        for a, b in combinations(people, 2):
            left, right = ([{"size": [SIDE, SIDE], "counts": rle.encode()} for rle in side] for side in (a, b))
            found.append(np.asarray(coco.iou(left, right, [0] * len(right))))
    return found


def our_iou(images: Sides) -> list[npt.NDArray[np.float64]]:
    """The same as `object_table` does it: one person and all who come later at a time."""
    found = []
    for people in images:
        for place, one in enumerate(people[:-1], start=1):
            overlap = iou_matrix(one, [rle for other in people[place:] for rle in other], SIDE, SIDE)
            end = 0
            for other in people[place:]:
                begin, end = end, end + len(other)
                found.append(overlap[:, begin:end])
    return found


def sides_of(images: dict[str, list[RatedImage]], people: int, masks: int) -> Sides:
    """So many people's first so many masks of every image."""
    return [[[rle for _, rle in one.regions[:masks]] for one in rated[:people]] for rated in images.values()]


def same_iou(images: Sides) -> bool:
    """Whether both agree on every pair to 1e-9."""
    both = zip(our_iou(images), direct_iou(images), strict=True)
    return all(ours.shape == theirs.shape and np.abs(ours - theirs).max() < 1e-9 for ours, theirs in both)


def iou_ratio(images: Sides) -> float:
    """pycocotools' time over ours."""
    return median_ratio(lambda: our_iou(images), lambda: direct_iou(images), 10 * REPEATS)


def bytes_of(work: Callable[[], Any]) -> int:
    """Peak of what `work` holds, its result included."""
    tracemalloc.start()
    held = work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    del held
    return peak


def seconds_of(work: Callable[[], Any]) -> float:
    """Median of CPU seconds."""
    found = []
    for _ in range(REPEATS):
        started = time.process_time()
        work()
        found.append(time.process_time() - started)
    return statistics.median(found)


def main() -> None:
    """Measure and print."""
    parser = parser_of(__doc__)
    parser.add_argument("images", nargs="?", type=int, default=40, help="how many (default: %(default)s)")
    count = parser.parse_args().images
    rng = np.random.default_rng(1)
    distinct = {f"{place:03}": rated_image(rng, f"{place:03}") for place in range(min(count, 20))}
    names = list(distinct)
    images = {f"{place:06}": distinct[names[place % len(names)]] for place in range(count)}
    dense = dense_of(distinct)
    choices = {"iou": (PEOPLE, MASKS), "iou_of_five": (PEOPLE, 5), "iou_of_two": (2, MASKS)}
    sides = {name: sides_of(distinct, *choice) for name, choice in choices.items()}
    gate = abs(agreement(distinct) - dense_agreement(dense)) < 1e-9 and all(map(same_iou, sides.values()))
    ratio = {
        "objects": median_ratio(lambda: agreement(distinct), lambda: dense_agreement(dense), REPEATS),
        **{name: iou_ratio(side) for name, side in sides.items()},
    }
    # strings and table of an image, against its arrays
    ours = sum(len(rle) for rated in distinct.values() for one in rated for _, rle in one.regions)
    ours += bytes_of(lambda: object_table(images, THRESHOLD)) * len(distinct) // count
    half = dict(list(images.items())[: count // 2])
    seconds = seconds_of(lambda: agreement(images))
    sizes = {
        "images": count,
        "annotators": PEOPLE,
        "masks": MASKS,
        "side": SIDE,
        "seconds": round(seconds, 2),
        "bytes_per_image": ours // len(distinct),
        "dense_bytes_per_image": sum(one.nbytes for rated in dense for one in rated) // len(distinct),
        "linear": round(seconds / seconds_of(lambda: agreement(half)) / 2, 2),
    }
    peer = f"numpy {version('numpy')} and / or; pycocotools {version('pycocotools')}"
    print_result("agreement", ratio, peer, sizes, REPEATS, gate)


if __name__ == "__main__":
    main()
