import numpy as np

from datalab.learning.typical import typical_rows


def test_the_largest_clusters_come_first() -> None:
    centers, noise = np.eye(4) * 10, np.random.default_rng(0)
    clouds = [one + noise.normal(0, 0.1, (size, 4)) for one, size in zip(centers, (30, 20, 3), strict=False)]
    vectors = np.concatenate(clouds).astype(np.float32)
    labelled = np.stack([centers[3], centers[3] + 0.05]).astype(np.float32)
    first, second = typical_rows(vectors, 2, labelled, np.random.default_rng(0))
    assert 0 <= first < 30 <= second < 50
