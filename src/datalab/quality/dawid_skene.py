"""Dawid and Skene's EM (1979) for people who have seen few objects of a class: their matrices begin as one skill."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]

PRIOR_VOTES = 2.0
"""Imagined votes in each column of a matrix. With none, three votes an object of 20 classes by 50 people are right less
often than their majority; with many, people who confuse two classes all alike are not found out."""
ROUNDS = 100
"""Of EM, at most."""
STILL = 1e-5
"""A round that moves no probability by more is the last."""


@dataclass(frozen=True)
class Votes:
    """Who said what of which object; three arrays of one length, all counted from 0."""

    objects: Places
    people: Places
    said: Places
    """The class."""


def class_probabilities(votes: Votes, classes: int) -> Floats:
    """(objects, classes): how probable each class is, every row summing to 1; `classes` are two and more.

    A person's column of a true class is the votes they gave where it was true, with PRIOR_VOTES more: right as often as
    that person is about everything, the rest spread evenly over the other classes (a Dirichlet prior whose mode EM
    finds). That share is itself drawn towards everybody's by as many votes. With next to none it is Dawid and Skene's.
    """
    objects, people = int(votes.objects.max()) + 1, int(votes.people.max()) + 1
    answers = votes.people * classes + votes.said
    cast = csr_array((np.ones(len(answers)), (votes.objects, answers)), (objects, people * classes))
    heads = np.bincount(votes.objects * classes + votes.said, minlength=objects * classes)
    found = _rows_to_one(heads.reshape(objects, classes))
    for _ in range(ROUNDS):
        before, found = found, _expected(cast, found, _matrices(cast, found))
        if np.abs(found - before).max() <= STILL:
            break
    return found


def _matrices(cast: csr_array, found: Floats) -> Floats:
    """(people, said, true): the probability that somebody says a class of an object of another.

    `cast`: (objects, people x classes), how often a person said a class of an object.
    """
    classes = found.shape[1]
    table = np.asarray(cast.T @ found).reshape(-1, classes, classes)
    right, votes = np.trace(table, axis1=1, axis2=2), table.sum(axis=(1, 2))
    skill = (right + PRIOR_VOTES * right.sum() / votes.sum()) / (votes + PRIOR_VOTES)
    wrong = (1 - skill) / (classes - 1)
    table += PRIOR_VOTES * (wrong[:, None, None] + (skill - wrong)[:, None, None] * np.eye(classes))
    return np.asarray(table / table.sum(axis=1, keepdims=True))


def _expected(cast: csr_array, found: Floats, matrices: Floats) -> Floats:
    """The probabilities that follow from the matrices and from how common each class was `found` to be."""
    with np.errstate(divide="ignore"):  # what nobody can have said is impossible
        logs = cast @ np.log(matrices).reshape(-1, found.shape[1]) + np.log(found.mean(axis=0))
    return _rows_to_one(np.exp(logs - logs.max(axis=1, keepdims=True)))


def _rows_to_one(table: npt.NDArray[np.floating] | npt.NDArray[np.integer]) -> Floats:
    return np.asarray(table / table.sum(axis=1, keepdims=True))
