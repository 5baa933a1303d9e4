"""How unsure a committee is about an image, in one number that small objects can move.

The mean over all pixels drowns small objects, the maximum follows single hard pixels. So disagreement is looked at
where it matters (predicted objects and a band round them), averaged in windows of about an object's size, and the mean
of the top windows is the score. Probabilities have shape (M, K, H, W): M members, K classes, summing to 1 over K.
"""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

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
    means = ndimage.uniform_filter(uncertainty * weights, size=min(window, *uncertainty.shape)).ravel()
    count = max(1, round(top * means.size))
    return float(np.partition(means, means.size - count)[-count:].mean())
