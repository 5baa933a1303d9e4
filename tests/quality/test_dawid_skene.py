"""Dawid and Skene's anaesthetists beside crowd-kit; many classes and few votes of each person."""

import warnings

import numpy as np
import pandas as pd
import pytest
from crowdkit.aggregation import DawidSkene
from hypothesis import given
from hypothesis import strategies as st

from datalab.quality import dawid_skene
from datalab.quality.dawid_skene import Floats, Places, Votes, class_probabilities
from tests.quality.test_class_votes import PATIENTS


def votes_of(table: pd.DataFrame) -> Votes:
    return Votes(*(np.unique(table[name], return_inverse=True)[1] for name in ("task", "worker", "label")))


def crowd_kits(table: pd.DataFrame) -> Floats:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = DawidSkene(n_iter=100).fit_predict_proba(table)
    return found[sorted(found.columns)].to_numpy()


def without_prior(votes: Votes, classes: int) -> Floats:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(dawid_skene, "PRIOR_VOTES", 1e-9)
        return class_probabilities(votes, classes)


def test_without_a_prior_it_is_crowd_kits_but_for_the_patient_on_whom_that_one_stops_too_soon() -> None:
    rows = [(task, who, said) for task, answers in enumerate(PATIENTS.split()) for who, said in enumerate(answers)]
    table = pd.DataFrame(rows, columns=["task", "worker", "label"])
    ours, theirs = without_prior(votes_of(table), 4), crowd_kits(table)
    assert np.flatnonzero(ours.argmax(axis=1) != theirs.argmax(axis=1)).tolist() == [2]
    assert theirs[2].max() < 0.65  # more rounds of EM end at our answer, from theirs, too
    assert np.abs(np.delete(ours - theirs, 2, axis=0)).max() < 0.1


def drawn(objects: int, classes: int, people: int, right: float, rng: np.random.Generator) -> tuple[Votes, Places]:
    """Three of the people say the class of each object, and whatever class where they are wrong."""
    truth = rng.integers(classes, size=objects)
    who = np.concatenate([rng.choice(people, 3, replace=False) for _ in range(objects)])
    said = np.where(rng.random(len(who)) < right, np.repeat(truth, 3), rng.integers(classes, size=len(who)))
    return Votes(np.repeat(np.arange(objects), 3), who, said), truth


def heads(votes: Votes, classes: int) -> Floats:
    table = np.zeros((votes.objects.max() + 1, classes))
    np.add.at(table, (votes.objects, votes.said), 1)
    return table


def test_few_votes_of_many_classes_overrule_no_majority() -> None:
    for seed in range(3):
        votes, truth = drawn(500, 20, 50, 0.9, np.random.default_rng(seed))
        table = heads(votes, 20)
        most = table.max(axis=1) >= 2
        plain, bare = class_probabilities(votes, 20), without_prior(votes, 20)
        assert (table.argmax(axis=1) == plain.argmax(axis=1))[most].all()
        assert (truth != bare.argmax(axis=1))[most].sum() > 5  # what the prior is for


def test_who_always_takes_one_class_for_another_is_found_out() -> None:
    # a and b say 1 of every 2; c and d know better, and all four are right about 0 and 1
    truth = np.repeat(np.arange(3), 20)
    said = np.stack([np.minimum(truth, 1), np.minimum(truth, 1), truth, truth], axis=1)
    for who in range(2):  # one mistake of c's and d's each
        said[who, 2 + who] = 2
    votes = Votes(np.repeat(np.arange(60), 4), np.tile(np.arange(4), 60), said.ravel())
    found = class_probabilities(votes, 3)
    assert (found.argmax(axis=1) == truth).all()
    assert (found[truth == 2].max(axis=1) > 0.9).all()


@given(st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=1, max_size=40))
def test_every_row_is_a_distribution(rows: list[tuple[int, int, int]]) -> None:
    table = pd.DataFrame(rows, columns=["task", "worker", "label"])
    found = class_probabilities(votes_of(table), 4)
    assert np.allclose(found.sum(axis=1), 1)
    assert (found >= 0).all()
