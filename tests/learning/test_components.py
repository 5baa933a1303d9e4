import tracemalloc

import numpy as np
import pytest

from datalab.learning.components import predicted_regions
from datalab.masks import mask_to_rle, rle_area

NAMES = {1: "coin", 2: "cup"}


def test_connected_parts_become_regions_largest_first() -> None:
    label_map = np.zeros((10, 10), dtype=np.uint8)
    label_map[0:2, 0:3] = 1
    label_map[5:9, 0:4] = 2
    label_map[0:1, 8:10] = 1
    label_map[2, 3] = 1  # touches the first one at a corner
    label_map[4, 9] = 7  # no class of the guidelines
    found = predicted_regions(label_map, NAMES, 0.0, 1.0, 9)
    assert [(name, rle_area(rle, 10, 10)) for name, rle in found] == [("cup", 16), ("coin", 7), ("coin", 2)]
    assert found[0][1] == mask_to_rle(label_map == 2)


def test_crumbs_background_and_what_is_too_much_are_left_out() -> None:
    label_map = np.zeros((10, 10), dtype=np.uint8)
    label_map[:5] = 1
    label_map[8, :3] = 2
    label_map[9, 9] = 2
    assert [name for name, _ in predicted_regions(label_map, NAMES, 0.02, 0.4, 9)] == ["cup"]
    assert [name for name, _ in predicted_regions(label_map, NAMES, 0.0, 1.0, 1)] == ["coin"]
    assert predicted_regions(np.zeros((3, 3), dtype=np.uint8), NAMES, 0.0, 1.0, 9) == []


@pytest.mark.slow
def test_hundreds_of_regions_take_no_memory_of_the_images_size_each() -> None:
    label_map = np.zeros((500, 800), dtype=np.uint8)
    label_map[::10, ::10] = 1
    tracemalloc.start()
    found = predicted_regions(label_map, NAMES, 0.0, 1.0, 400)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == 400
    assert most < 20 * label_map.size
