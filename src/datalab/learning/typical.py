"""Images that stand for many: the densest place of each cluster, for a start without a model."""

import numpy as np
from sklearn.cluster import KMeans
from sklearn.neighbors import NearestNeighbors

from datalab.learning.cover import Indices, Vectors, k_center

NEIGHBOURS = 8
MOST_CLUSTERS = 500
"""As in the paper: with more the clusters get too small to have a dense place."""


def typical_rows(vectors: Vectors, count: int, labelled: Vectors, rng: np.random.Generator) -> Indices:
    """`count` different rows of `vectors` (N, D): the densest one of each cluster without a labelled image.

    Vectors and `labelled` (L, D) are clustered together, one cluster for every image that is or will be labelled. The
    largest clusters come first; where the clusters run out, the rest is a k-center cover. Avoids the outliers that
    k-center starts with (TypiClust: Hacohen, Dekel, Weinshall 2022).
    """
    wanted = min(count, len(vectors))
    if wanted <= 0:
        return np.empty(0, dtype=np.intp)
    everything = np.concatenate([vectors, labelled]) if len(labelled) else vectors
    clusters = min(wanted + len(labelled), MOST_CLUSTERS)
    if len(np.unique(everything, axis=0)) <= clusters:
        return k_center(vectors, wanted, labelled)
    seed = int(rng.integers(2**31))
    belongs = KMeans(clusters, n_init=3, random_state=seed).fit_predict(everything)
    sizes = np.bincount(belongs[: len(vectors)], minlength=clusters)
    covered = set(belongs[len(vectors) :].tolist())
    open_clusters = [int(one) for one in np.argsort(-sizes, kind="stable") if sizes[one] and int(one) not in covered]
    chosen = [_densest(vectors, np.flatnonzero(belongs[: len(vectors)] == one)) for one in open_clusters[:wanted]]
    rest = np.setdiff1d(np.arange(len(vectors)), chosen)
    taken = np.concatenate([labelled, vectors[chosen]]) if len(labelled) else vectors[chosen]
    filled = rest[k_center(vectors[rest], wanted - len(chosen), taken)]
    return np.concatenate([np.asarray(chosen, dtype=np.intp), filled])


def _densest(vectors: Vectors, members: Indices) -> int:
    near = NearestNeighbors(n_neighbors=min(NEIGHBOURS + 1, len(members))).fit(vectors[members])
    distances, _ = near.kneighbors(vectors[members])
    return int(members[distances.mean(axis=1).argmin()])
