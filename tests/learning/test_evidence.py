from dataclasses import replace

import numpy as np
import pytest

from datalab.errors import InputError
from datalab.learning.evidence import MEASURES, REDUCTIONS, Lens, check_lens, evidence_of
from datalab.learning.uncertainty import Map

LENS = Lens("mutual_information", "top_windows", views=2, band=2, elsewhere=0.3, window=5, top=0.05)


def members_of(*objects: float) -> Map:
    """(M, 2, 8, 8): each member gives every pixel this chance of an object."""
    share = np.array(objects, dtype=np.float32)[:, None, None] * np.ones((8, 8), dtype=np.float32)
    return np.stack([1 - share, share], axis=1)


def committee(seed: int, classes: int = 3) -> Map:
    odds = np.exp(np.random.default_rng(seed).normal(0, 2, (4, classes, 16, 16)))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True), dtype=np.float32)


def test_disagreement_scores_higher_than_agreement_and_nan_is_refused() -> None:
    def score(lens: Lens, *objects: float) -> float:
        return evidence_of(members_of(*objects), lens).uncertainty

    assert score(LENS, 0.9, 0.2) > score(LENS, 0.6, 0.6)
    entropy = replace(LENS, measure="entropy")
    assert score(entropy, 0.55, 0.55) > score(entropy, 0.95, 0.95)
    with pytest.raises(InputError, match="not finite"):
        evidence_of(members_of(float("nan"), 0.5), LENS)


@pytest.mark.parametrize("measure", ["mutual_information", "committee"])
def test_one_member_cannot_disagree_with_itself(measure: str) -> None:
    with pytest.raises(InputError, match=f"{measure} needs two members that can disagree"):
        evidence_of(committee(1)[:1], replace(LENS, measure=measure))
    assert evidence_of(committee(1)[:1], replace(LENS, measure="entropy")).uncertainty > 0


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_every_pair_stays_within_its_range(measure: str, reduce: str) -> None:
    found = evidence_of(committee(1), replace(LENS, measure=measure, reduce=reduce))
    assert 0 <= found.uncertainty <= 1
    assert 0 <= found.margin <= 1
    assert found.class_scores.shape == found.residual.shape == (3,)
    assert found.class_scores[0] == 0
    assert found.residual.sum() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_sure_committee_scores_nothing(measure: str) -> None:
    sure = members_of(1.0, 1.0)
    found = evidence_of(sure, replace(LENS, measure=measure))
    assert found.uncertainty == pytest.approx(0, abs=1e-4)
    assert found.margin == pytest.approx(1, abs=1e-4)


def test_one_class_gives_zeros_and_no_error() -> None:
    found = evidence_of(np.ones((2, 1, 8, 8), dtype=np.float32), LENS)
    assert (found.uncertainty, found.objects, found.residual.tolist()) == (0, 0, [0])


def test_augmentation_without_a_second_view_is_refused() -> None:
    with pytest.raises(InputError, match=r"needs score\.flip"):
        check_lens(replace(LENS, measure="augmentation", views=1))


@pytest.mark.parametrize(
    ("name", "value"), [("window", 0), ("band", -1), ("top", 1.5), ("top", float("nan")), ("elsewhere", -0.1)]
)
def test_a_number_out_of_range_is_one_line(name: str, value: float) -> None:
    check_lens(LENS)
    with pytest.raises(InputError, match=rf"score\.{name} must be .*, got {value}"):
        check_lens(replace(LENS, **{name: value}))  # type: ignore[arg-type]
