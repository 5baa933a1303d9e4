"""How likely the labels of an image are wrong, and in which order a reviewer should look."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

PARTS = ("agreement", "skill", "model", "label_error")
"""What a risk is made of, each in [0, 1], larger = worse: people's disagreement, the annotators' lack of skill, the
disagreement of a model that has not seen the labels, and the worst suspected label error."""


def risk_of(parts: Mapping[str, float | None], weights: Mapping[str, float]) -> float | None:
    """The weighted mean of the parts that are known, in [0, 1]; None where none is.

    An image of one annotator has no agreement, and before the first model there is neither model nor label error:
    what is not known does not make an image safer.
    """
    known = {name: value for name, value in parts.items() if value is not None and weights[name] > 0}
    total = sum(weights[name] for name in known)
    return sum(weights[name] * value for name, value in known.items()) / total if total else None


def mix(ranked: Sequence[str], others: Sequence[str], rng: np.random.Generator) -> list[str]:
    """`others` at random places among `ranked`, which keep their order: a reviewer cannot tell the two apart."""
    is_other = rng.permutation([False] * len(ranked) + [True] * len(others))
    first, second = iter(ranked), iter(others)
    return [next(second) if other else next(first) for other in is_other]


def audit_sample(image_ids: Iterable[str], share: float, seed: int) -> list[str]:
    """About `share` of the images, drawn by a hash of seed and image: later images do not change who was drawn."""
    return [image_id for image_id in image_ids if _uniform(f"{seed} {image_id}") < share]


def _uniform(text: str) -> float:
    """A number in [0, 1) that depends on nothing but the text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
