import numpy as np
import pytest

from datalab.quality.disagreement import disagreement_map
from datalab.quality.rated import rated_images
from tests.quality.images import HEIGHT, WIDTH, Box, tables


def heat(*answers: list[Box]) -> list[list[float]]:
    rated = rated_images(*tables({("i", f"p{place}"): boxes for place, boxes in enumerate(answers)}), at_least=1)["i"]
    found = disagreement_map(rated)
    assert found.shape == (HEIGHT, WIDTH)
    return [[round(float(value), 3) for value in row] for row in np.unique(found.reshape(1, -1), axis=1)]


def test_the_share_of_pairs_that_differ() -> None:
    box = (0, 0, 4, 4)
    assert heat([("coin", *box)], [("coin", *box)]) == [[0]]
    assert heat([("coin", *box)], []) == [[0, 1]]
    assert heat([("coin", *box)], [("cup", *box)], []) == [[0, 1]]
    assert heat([("coin", *box)], [("coin", *box)], []) == [[0, 0.667]]
    assert heat([], [], []) == [[0]]


def test_nobody_disagrees_alone() -> None:
    with pytest.raises(ValueError, match="1 rater"):
        heat([])
