"""Which proposals are good enough for people: SAM's own scores, calibrated on gold.

SAM says how good it thinks a mask is (predicted IoU) and how little it changes with the cutoff (stability). Both rise
with the true IoU; by how much depends on the images. Isotonic regression learns the rising curve where truth is known.
Gold images that hang together are one witness (`gate_examples`).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv
from sklearn.isotonic import IsotonicRegression

from datalab.figure import Figure, plain, undefined
from datalab.learning.gate_examples import Examples, are, mean_over_images, on_gold, reach
from datalab.ranges import Count, Share

Floats = npt.NDArray[np.float64]
FEWEST_GROUPS = 2
"""Of gold images, to judge the gate on one by the others."""
FEWEST_AGAINST = 3
"""Groups of gold images whose proposals may speak against a source or a class; two tell nothing about the spread."""
BAD_IOU = 0.5
"""A mask below is of more harm than use: people delete it and draw anew."""

NO_BAD_YET = 3.0
"""Of n examples with no bad one among them up to NO_BAD_YET / n of all may be bad, at 95%: the rule of three (Hanley &
Lippman-Hand 1983)."""


@dataclass(frozen=True)
class GateParams:
    """Section `proposal_gate` of params.yaml."""

    least_examples: Count
    """Proposals on gold images; with fewer there is no gate, and what `ungated_at` says is shown."""
    least_images: Count
    """Gold images they come from, at least; those that hang together are one."""
    least_class_examples: Count
    """A class with so many examples gets a curve of its own; the others share one, theirs if it has so many."""
    propose_at: Share
    """Expected IoU from which a proposal is shown."""
    auto_accept: bool
    """Whether the best proposals are read-only, so that people pass them over."""
    accept_at: Share
    """Expected IoU from which they are, where `auto_accept` is true and gold bears their class out; below 1."""
    ungated_at: Share
    """Predicted IoU from which a proposal is shown where there is no gate."""


@dataclass(frozen=True)
class Curve:
    """A rising function, linear between its corners and flat beyond them; both arrays have the shape (corners,)."""

    scores: Floats
    expected: Floats

    def __call__(self, scores: Floats) -> Floats:
        """Expected IoU in [0, 1] of each score."""
        return np.asarray(np.interp(scores, self.scores, self.expected), dtype=np.float64)


@dataclass(frozen=True)
class Calibration:
    """From score to expected IoU: by class where there were enough examples, else by a curve that the others share."""

    shared: Curve
    classes: dict[str, Curve]
    lowered: dict[str, float]
    """By what in [0, 1) the shared curve is multiplied for a class whose few examples are surely worse than it says."""

    def expected(self, scores: Floats, labels: Sequence[str]) -> Floats:
        """Expected IoU in [0, 1] of each of n proposals with these classes."""
        found = self.shared(scores) * [self.lowered.get(label, 1.0) for label in labels]
        for label, curve in self.classes.items():
            chosen = are(labels, label)
            found[chosen] = curve(scores[chosen])
        return found


@dataclass(frozen=True)
class GateError:
    """How far the calibration is off on gold images it has not seen (each group left out in turn)."""

    mean_absolute_error: float
    """Between expected and true IoU, over all examples."""
    shown: int
    """Examples that reach `propose_at`."""
    shown_mean_iou: float | None
    """Their true IoU."""
    shown_bad_share: float | None
    """Share of them with a true IoU below one half."""
    reason: str | None
    """Why the last two are None."""
    accepted: int
    """Examples with a class that reach `accept_at`, whether `auto_accept` is on or not."""
    accepted_counted: int
    """As many as those count for (`Examples.counted`)."""
    accepted_mean_iou: Figure
    """Mean over images of their `named_iou`, with Student's t over groups; `n` counts the groups."""
    accepted_bad_share: Figure
    """Mean over images of the share below one half or of another class; the interval is Clopper's and Pearson's with a
    group as one trial, so that it does not vanish where none was bad."""

    def as_json(self) -> dict[str, Any]:
        """Numbers to four digits, figures as they are written elsewhere."""
        rounded = {key: round(item, 4) if isinstance(item, float) else item for key, item in vars(self).items()}
        return dict(plain(rounded))


def gate_scores(predicted_iou: npt.ArrayLike, stability: npt.ArrayLike) -> Floats:
    """The score that orders proposals: predicted IoU times stability, both in [0, 1], of shape (n,)."""
    return np.asarray(predicted_iou, dtype=np.float64) * np.asarray(stability, dtype=np.float64)


def why_no_gate(examples: Examples, params: GateParams) -> str | None:
    """The reason why these examples are too few to calibrate on; None where they are enough."""
    counted, groups, least_groups = examples.counted, len(set(examples.groups)), max(FEWEST_GROUPS, params.least_images)
    if counted < params.least_examples or groups < least_groups:
        return (
            f"{on_gold(len(examples.scores), counted, groups)}, {params.least_examples} on "
            f"{least_groups} are needed; the fixed thresholds decide"
        )
    return None


def fit_calibration(examples: Examples, params: GateParams) -> Calibration:
    """Isotonic regression (Zadrozny & Elkan 2002) of true IoU on score. ValueError for no examples.

    The shared curve is that of the examples without a curve of their own, of all where those are fewer than
    `least_class_examples`: a common class says little about others, so each is held to its own few examples.
    """
    if len(examples.scores) == 0:
        raise ValueError("a calibration needs examples")
    counts = {label: examples.of_class(label).counted for label in dict.fromkeys(examples.labels)}
    own = sorted(label for label, count in counts.items() if label and count >= params.least_class_examples)
    rest = np.array([label not in own for label in examples.labels], dtype=bool)
    others = examples.chosen(rest)
    pool = others if others.counted >= params.least_class_examples else examples
    shared = _curve(pool)
    # a curve of one class alone is its own, however it came about
    few = [label for label in counts if label not in own and {label} != set(pool.labels)]
    factors = {label: _borne_out(examples.of_class(label), shared) for label in few}
    return Calibration(
        shared,
        {label: _curve(examples.of_class(label)) for label in own},
        {label: factor for label, factor in sorted(factors.items()) if factor < 1},
    )


def why_none_shown(examples: Examples) -> str | None:
    """The reason why not one of a source is worth showing, where examples are too few for a curve; None where some may.

    It is that the mean over images of their true IoU lies below BAD_IOU, by the upper end of Student's one-sided 95%.
    """
    mean, values = mean_over_images(examples.true_iou, examples)
    groups = len(values)
    if groups < FEWEST_AGAINST:
        return None
    high = mean + reach(values, 0.95)
    if high >= BAD_IOU:
        return None
    said = on_gold(len(examples.scores), examples.counted, groups)
    return f"none is shown: {said} have a true IoU of {mean:.2f}, at most {high:.2f}"


def held_out_expected(examples: Examples, params: GateParams) -> Floats:
    """(n,) expected IoU of each example, calibrated on the other groups; ValueError for fewer than two of them."""
    groups = np.array(examples.groups)
    expected = np.zeros(len(groups))
    for group in np.unique(groups):
        held = groups == group
        calibration = fit_calibration(examples.chosen(~held), params)
        expected[held] = calibration.expected(examples.scores[held], examples.chosen(held).labels)
    return expected


def held_out_error(examples: Examples, expected: Floats, params: GateParams) -> GateError:
    """What the gate would have done on gold it has not seen; `expected`: (n,) as of `held_out_expected`."""
    shown = examples.true_iou[expected >= params.propose_at]
    named = np.array([label != "" for label in examples.labels], dtype=bool)
    accepted = examples.chosen(named & (expected >= params.accept_at))
    mean_iou, bad_share = _accepted_figures(accepted, params)
    return GateError(
        mean_absolute_error=float(np.abs(expected - examples.true_iou).mean()),
        shown=len(shown),
        shown_mean_iou=float(shown.mean()) if len(shown) else None,
        shown_bad_share=float((shown < BAD_IOU).mean()) if len(shown) else None,
        reason=None if len(shown) else f"no proposal on gold reaches {params.propose_at:g}",
        accepted=len(accepted.scores),
        accepted_counted=accepted.counted,
        accepted_mean_iou=mean_iou,
        accepted_bad_share=bad_share,
    )


def errors_by_class(examples: Examples, expected: Floats, params: GateParams) -> dict[str, GateError]:
    """`held_out_error` of the examples of each class by itself, by name; without those that have no class."""
    found = {}
    for label in sorted(set(examples.labels) - {""}):
        chosen = are(examples.labels, label)
        found[label] = held_out_error(examples.chosen(chosen), expected[chosen], params)
    return found


def why_not_accepted(error: GateError, params: GateParams) -> str | None:
    """The reason why no region of the class with this error may be read-only; None where gold bears its class out.

    What nobody can change any more has to be right in mask and class: the lower end of `accepted_mean_iou` has to reach
    `accept_at`, on `least_images` groups. The top step of a curve may be one lucky mask, and a few that are all right
    have no spread: so many are needed that bad ones, were there 1 - `accept_at` of them, would have been seen.
    """
    found, least_groups = error.accepted_mean_iou, max(FEWEST_GROUPS, params.least_images)
    if found.value is None or found.n is None:
        return found.reason
    least = _least_accepted(params.accept_at)
    if error.accepted_counted < least or found.n < least_groups:
        return (
            f"{on_gold(error.accepted, error.accepted_counted, found.n)} reach {params.accept_at:g}, {least} on "
            f"{least_groups} are needed"
        )
    if found.low is None or found.low < params.accept_at:
        return (
            f"those that reach {params.accept_at:g} have a true IoU of {found.value:.3f} on gold, wrong classes as 0, "
            f"and at worst {found.low:.3f}"
        )
    return None


def decide(expected_iou: Floats, labels: Sequence[str], params: GateParams, proven: Collection[str]) -> list[str]:
    """For each of n proposals "accept" (shown, read-only), "propose" (shown) or "draw" (not shown).

    `proven`: the classes of which any may be accepted, those without a reason by `why_not_accepted`. What has no class
    is never accepted: people could not name it, and without a name it does not count.
    """
    limit, accepting = params.accept_at if params.auto_accept else np.inf, set(proven) - {""}
    return [
        "accept" if one >= limit and label in accepting else "propose" if one >= params.propose_at else "draw"
        for one, label in zip(expected_iou, labels, strict=True)
    ]


def _accepted_figures(accepted: Examples, params: GateParams) -> tuple[Figure, Figure]:
    """Mean IoU with objects of their class and share of bad ones, both over images, with intervals over groups."""
    if not len(accepted.scores):
        nothing = undefined(f"no proposal on gold that has a class reaches {params.accept_at:g}")
        return nothing, nothing
    value, values = mean_over_images(accepted.named_iou, accepted)
    groups = len(values)
    half = reach(values, 0.975) if groups > 1 else None
    low, high = (None, None) if half is None else (max(0.0, value - half), min(1.0, value + half))
    share, _ = mean_over_images((accepted.named_iou < BAD_IOU).astype(np.float64), accepted)
    bad = share * groups
    least = float(betaincinv(bad, groups - bad + 1, 0.025)) if bad > 0 else 0.0
    most = float(betaincinv(bad + 1, groups - bad, 0.975)) if bad < groups else 1.0
    return Figure(value, groups, low, high), Figure(share, groups, least, most)


def _least_accepted(accept_at: float) -> int:
    """So many examples that without a bad one among them no more than 1 - `accept_at` of all may be bad."""
    return ceil(round(NO_BAD_YET / max(1 - accept_at, 1e-6), 6))


def _borne_out(examples: Examples, shared: Curve) -> float:
    """The share in [0, 1] of what the shared curve expects of these examples of one class that they can be worth.

    By the upper end of Student's one-sided 95% of true less expected IoU over groups; 1 for too few of them.
    """
    expected = shared(examples.scores)
    surplus, values = mean_over_images(examples.true_iou - expected, examples)
    mean, _ = mean_over_images(expected, examples)
    if len(values) < FEWEST_AGAINST or mean == 0:
        return 1.0
    return float(np.clip(1 + (surplus + reach(values, 0.95)) / mean, 0, 1))


def _curve(examples: Examples) -> Curve:
    fitter = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
    fitted = fitter.fit(examples.scores, examples.true_iou)
    return Curve(np.asarray(fitted.X_thresholds_, dtype=np.float64), np.asarray(fitted.y_thresholds_, dtype=np.float64))
