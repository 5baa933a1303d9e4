"""Which class an object has that several people named: votes by name, over all objects at once.

Every vote takes `ballots`, for each object one (annotator, class) per person who drew it, and the skill of everybody,
and gives for each object the share of every class that was named, summing to 1.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from datalab.errors import InputError
from datalab.quality.dawid_skene import Votes, class_probabilities

Ballots = Sequence[Sequence[tuple[str, str]]]
Shares = list[dict[str, float]]
ClassVote = Callable[[Ballots, Mapping[str, float]], Shares]


def majority(ballots: Ballots, skills: Mapping[str, float]) -> Shares:
    """The share of the heads; skill does not count."""
    return skill_weighted(ballots, dict.fromkeys(skills, 1.0))


def skill_weighted(ballots: Ballots, skills: Mapping[str, float]) -> Shares:
    """The share of the skill."""
    return [_shares(ballot, skills) for ballot in ballots]


def dawid_skene(ballots: Ballots, skills: Mapping[str, float]) -> Shares:
    """The probability of each class with one confusion matrix per person, by EM.

    Matrices are estimated from the objects that two or more people drew; an object of one person has that person's
    class. Skill from gold does not count: EM finds its own.
    """
    shares = majority(ballots, skills)
    shared = [place for place, ballot in enumerate(ballots) if len(ballot) > 1]
    rows = [(place, annotator, label) for place in shared for annotator, label in sorted(ballots[place])]
    labels = sorted({label for *_, label in rows})
    if len(labels) < 2:
        return shares
    objects, people, said = (np.unique(column, return_inverse=True)[1] for column in zip(*rows, strict=True))
    found = class_probabilities(Votes(objects, people, said), len(labels))
    for place, row in zip(shared, found.tolist(), strict=True):
        probabilities = dict(zip(labels, row, strict=True))
        named = {label: probabilities[label] for label in shares[place]}
        total = sum(named.values())
        shares[place] = {label: value / total for label, value in named.items()} if total > 0 else shares[place]
    return shares


CLASS_VOTES: Mapping[str, ClassVote] = {
    "majority": majority,
    "skill_weighted": skill_weighted,
    "dawid_skene": dawid_skene,
}


def vote_classes(name: str, ballots: Ballots, skills: Mapping[str, float]) -> Shares:
    """The shares that the vote called `name` gives; InputError for an unknown name."""
    if name not in CLASS_VOTES:
        raise InputError(f"there is no class vote {name!r}; known: {', '.join(CLASS_VOTES)}")
    return CLASS_VOTES[name](ballots, skills)


def _shares(ballot: Sequence[tuple[str, str]], skills: Mapping[str, float]) -> dict[str, float]:
    tally: dict[str, float] = {}
    for annotator, label in ballot:
        tally[label] = tally.get(label, 0.0) + skills[annotator]
    total = sum(tally.values())
    return {label: skill / total for label, skill in sorted(tally.items())}
