"""How unsure a committee is about an image, in one number that small objects can move.

The mean over all pixels drowns small objects, the maximum follows single hard pixels. So disagreement is looked at
where it matters (predicted objects and a band round them), averaged in windows of about an object's size, and the mean
of the top windows is the score. Probabilities have shape (M, K, H, W): M members, K classes, summing to 1 over K.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy import ndimage, optimize

Map = npt.NDArray[np.float32]


def entropy(probabilities: Map) -> Map:
    """Shannon entropy over the classes, (..., K, H, W) -> (..., H, W), in [0, 1]: divided by log K."""
    classes = probabilities.shape[-3]
    plogp = probabilities * np.log(np.maximum(probabilities, np.float32(1e-12)))
    return np.asarray(-plogp.sum(axis=-3) / np.log(max(classes, 2)), dtype=np.float32)


def mutual_information(members: Map) -> Map:
    """Entropy of the mean minus mean of the entropies, (M, K, H, W) -> (H, W), in [0, 1]; 0 where all agree.

    What the committee disagrees about, without what each member finds ambiguous by itself (BALD: Houlsby et al. 2011).
    """
    difference = entropy(members.mean(axis=0)) - entropy(members).mean(axis=0)
    return np.asarray(np.maximum(difference, 0), dtype=np.float32)


def least_confidence(probabilities: Map) -> Map:
    """1 - the best class's probability, (..., K, H, W) -> (..., H, W), in [0, 1): divided by 1 - 1/K.

    Without that division it is the chance that the pixel is wrong, if the probabilities are calibrated.
    """
    classes = probabilities.shape[-3]
    return np.asarray((1 - probabilities.max(axis=-3)) / max(1 - 1 / classes, 0.5), dtype=np.float32)


def margin(probabilities: Map) -> Map:
    """1 - (best - second best probability), (..., K, H, W) -> (..., H, W), in [0, 1]; 0 where there is one class."""
    if probabilities.shape[-3] < 2:
        return np.zeros((*probabilities.shape[:-3], *probabilities.shape[-2:]), dtype=np.float32)
    best = np.partition(probabilities, -2, axis=-3)
    return np.asarray(1 - (best[..., -1, :, :] - best[..., -2, :, :]), dtype=np.float32)


def committee_votes(members: Map) -> Map:
    """Entropy of the members' votes, (M, K, H, W) -> (H, W), in [0, 1] (vote entropy: Dagan, Engelson 1995)."""
    votes = members.argmax(axis=1)[:, None] == np.arange(members.shape[1])[None, :, None, None]
    return entropy(votes.mean(axis=0, dtype=np.float32))


def view_disagreement(members: Map, views: int) -> Map:
    """What changes when the image is shown another way: mutual information between `views` and the answer.

    (M, K, H, W) -> (H, W), in [0, 1]. The members are ordered view by view, as many of each; heads are averaged first,
    so that only the augmentation is left. 0 everywhere with a single view.
    """
    by_view = members.reshape(views, len(members) // views, *members.shape[1:]).mean(axis=1)
    return mutual_information(by_view)


def boundary_focused(mean: Map, band: int) -> Map:
    """Entropy (H, W) within `band` pixels of where the predicted class changes, 0 elsewhere; in [0, 1]."""
    predicted = mean.argmax(axis=0)
    changes = np.zeros(predicted.shape, dtype=bool)
    changes[:-1] |= predicted[:-1] != predicted[1:]
    changes[:, :-1] |= predicted[:, :-1] != predicted[:, 1:]
    near = ndimage.binary_dilation(changes, iterations=band) if band else changes
    return np.asarray(np.where(near, entropy(mean), 0), dtype=np.float32)


def tempered(probabilities: Map, temperature: float, axis: int = -3) -> Map:
    """softmax(log p / temperature) over `axis`: above 1 less sure, below 1 surer (Guo et al. 2017)."""
    logs = np.log(np.maximum(probabilities, np.float32(1e-12))) / np.float32(temperature)
    odds = np.exp(logs - logs.max(axis=axis, keepdims=True))
    return np.asarray(odds / odds.sum(axis=axis, keepdims=True), dtype=np.float32)


def fit_temperature(members: Map, labels: npt.NDArray[np.integer]) -> float:
    """The temperature that makes the labels likeliest, within 0.25 and 4, for a committee's mean answer.

    `members` (M, P, K) of pixels with their `labels` (P,) in 0 to K - 1. 1.0 where there is no pixel.
    """
    if not len(labels):
        return 1.0
    rows = np.arange(len(labels))

    def surprise(log_temperature: float) -> float:
        p = tempered(members, float(np.exp(log_temperature)), axis=-1).mean(axis=0)[rows, labels]
        return float(-np.log(np.maximum(p, 1e-12)).mean())

    found = optimize.minimize_scalar(surprise, bounds=(np.log(0.25), np.log(4)), method="bounded")
    return float(np.exp(found.x))


def focus(mean: Map, band: int, elsewhere: float) -> Map:
    """Weights (H, W) in [elsewhere, 1] of the mean probabilities (K, H, W): 1 on objects and near them.

    `band` is how many pixels beyond an object still count. `elsewhere` above 0 keeps an image in play on which nothing
    is predicted: a missed object is the dearest mistake.
    """
    predicted = mean.argmax(axis=0)
    near = ndimage.binary_dilation(predicted > 0, iterations=band) if band else predicted > 0
    return np.where(near, np.float32(1), np.float32(elsewhere))


def image_score(uncertainty: Map, weights: Map, window: int, top: float) -> float:
    """Mean of the highest `top` share of window means of uncertainty * weights, both (H, W); in [0, 1].

    `window` is the side of a square window in pixels, one at every pixel; beyond the border the map is mirrored.
    """
    return top_share(ndimage.uniform_filter(uncertainty * weights, size=min(window, *uncertainty.shape)), top)


def top_share(values: Map, top: float) -> float:
    """Mean of the highest `top` share of the pixels of (H, W), one pixel at least."""
    count = max(1, round(top * values.size))
    return float(np.partition(values.ravel(), values.size - count)[-count:].mean())


def per_region(values: Map, predicted: npt.NDArray[np.integer], least: int) -> float:
    """Mean of `values` (H, W) on the predicted region where it is highest; their mean where nothing is predicted.

    A region is a connected piece of one class of the label map `predicted` (H, W) of at least `least` pixels.
    """
    means: list[float] = []
    for pieces, sizes in _pieces(predicted):
        found = ndimage.mean(values, pieces, np.arange(1, len(sizes) + 1))
        means += [float(mean) for mean, size in zip(found, sizes, strict=True) if size >= least]
    return max(0.0, *means) if means else float(values.mean())


def expected_wrong_pixels(mean: Map) -> float:
    """Expected share of wrong pixels of (K, H, W), in [0, 1]: the mean of 1 - the best class's probability."""
    return float((1 - mean.max(axis=0)).mean())


def objects_in(predicted: npt.NDArray[np.integer], least: int) -> int:
    """How many connected pieces of at least `least` pixels the label map (H, W) has, background left out."""
    return sum(int((sizes >= least).sum()) for _, sizes in _pieces(predicted))


def _pieces(predicted: npt.NDArray[np.integer]) -> Iterator[tuple[npt.NDArray[np.integer], npt.NDArray[np.integer]]]:
    """Of every class but background: its connected pieces numbered from 1 in (H, W), and their pixels."""
    for one in np.unique(predicted[predicted > 0]):
        pieces, _ = ndimage.label(predicted == one)
        yield pieces, np.bincount(pieces.ravel())[1:]
