"""Dawid and Skene's EM (1979) for people who have seen few objects of a class: their matrices begin as one skill."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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


def class_probabilities(votes: Votes, classes: int, prior_votes: float = PRIOR_VOTES) -> Floats:
    """(objects, classes): how probable each class is, every row summing to 1; `classes` are two and more.

    A person's column of a true class is the votes they gave where it was true, with `prior_votes` more: right as often
    as that person is about everything, the rest spread evenly over the other classes (a Dirichlet prior whose mode EM
    finds). That share is itself drawn towards everybody's by as many votes. With next to none it is Dawid and Skene's.
    """
    shape = (int(votes.objects.max()) + 1, classes)
    found = _rows_to_one(_summed(shape, (votes.objects, votes.said), 1.0))
    for _ in range(ROUNDS):
        before, found = found, _expected(votes, found, _matrices(votes, found, prior_votes))
        if np.abs(found - before).max() <= STILL:
            break
    return found


def _matrices(votes: Votes, found: Floats, prior_votes: float) -> Floats:
    """(people, said, true): the probability that somebody says a class of an object of another."""
    people, classes = int(votes.people.max()) + 1, found.shape[1]
    right = found[votes.objects, votes.said]
    cast = np.bincount(votes.people, minlength=people)
    skill = (np.bincount(votes.people, right, people) + prior_votes * right.mean()) / (cast + prior_votes)
    wrong = (1 - skill) / (classes - 1)
    table = _summed((people, classes, classes), (votes.people, votes.said), found[votes.objects])
    table += prior_votes * (wrong[:, None, None] + (skill - wrong)[:, None, None] * np.eye(classes))
    return np.asarray(table / table.sum(axis=1, keepdims=True))


def _expected(votes: Votes, found: Floats, matrices: Floats) -> Floats:
    """The probabilities that follow from the matrices and from how common each class was `found` to be."""
    with np.errstate(divide="ignore"):  # what nobody can have said is impossible
        logs = _summed(found.shape, (votes.objects,), np.log(matrices[votes.people, votes.said]))
        logs += np.log(found.mean(axis=0))
    return _rows_to_one(np.exp(logs - logs.max(axis=1, keepdims=True)))


def _summed(shape: tuple[int, ...], places: tuple[Places, ...], values: npt.ArrayLike) -> Floats:
    table = np.zeros(shape)
    np.add.at(table, places, values)
    return table


def _rows_to_one(table: Floats) -> Floats:
    return np.asarray(table / table.sum(axis=1, keepdims=True))
