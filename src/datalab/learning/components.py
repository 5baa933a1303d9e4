"""The trained model's prediction as separate regions: what proposals start from, and what objects are judged by."""

import numpy as np
import numpy.typing as npt

from datalab.masks import connected_rles


def predicted_regions(
    label_map: npt.NDArray[np.uint8], names: dict[int, str], least_share: float, most_share: float, limit: int
) -> list[tuple[str, str]]:
    """(class name, RLE) of the connected parts of a (H, W) map of class ids, largest first, at most `limit`.

    `names`: id to name; other ids are background. Parts smaller than `least_share` of the image or larger than
    `most_share` are left out.
    """
    found = list[tuple[int, str, str]]()
    for class_id in np.unique(label_map):
        if int(class_id) in names:
            for area, rle in connected_rles(label_map == class_id, least_share * label_map.size):
                if area <= most_share * label_map.size:
                    found.append((area, names[int(class_id)], rle))
    return [(name, rle) for _, name, rle in sorted(found, key=lambda one: -one[0])[:limit]]
