"""The trained model's prediction as separate regions: what proposals start from, and what objects are judged by."""

import numpy as np
import numpy.typing as npt

from datalab.masks import BoolMask, connected_parts


def predicted_regions(
    label_map: npt.NDArray[np.uint8], names: dict[int, str], least_share: float, most_share: float, limit: int
) -> list[tuple[str, BoolMask]]:
    """(class name, (H, W) mask) of the connected parts of a (H, W) map of class ids, largest first, at most `limit`.

    `names`: id to name; other ids are background. Parts smaller than `least_share` of the image or larger than
    `most_share` are left out.
    """
    least, found = least_share * label_map.size, list[tuple[int, str, BoolMask]]()
    for class_id in np.unique(label_map):
        if int(class_id) in names:
            for area, mask in connected_parts(label_map == class_id, least):
                if area <= most_share * label_map.size:
                    # the masks are of the image's size: no more are held than are wanted
                    found.append((area, names[int(class_id)], mask))
                    found = sorted(found, key=lambda one: -one[0])[:limit]
    return [(name, mask) for _, name, mask in found]
