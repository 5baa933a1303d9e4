"""Which class an object has that several people named: votes by name, over all objects at once.

Every vote takes `ballots`, for each object one (annotator, class) per person who drew it, and the skill of everybody,
and gives for each object the share of every class that was named, summing to 1.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from datalab.errors import InputError

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
    """The probability of each class with one confusion matrix per person, by EM (Dawid & Skene 1979), by crowd-kit.

    Matrices are estimated from the objects that two or more people drew; an object of one person has that person's
    class. Skill from gold does not count: EM finds its own.
    """
    shared = [place for place, ballot in enumerate(ballots) if len(ballot) > 1]
    rows = sorted((place, annotator, label) for place in shared for annotator, label in ballots[place])
    shares = [_shares(ballot, dict.fromkeys(skills, 1.0)) for ballot in ballots]
    for place, probabilities in _expectation_maximization(rows).items():
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


def _expectation_maximization(rows: Sequence[tuple[int, str, str]]) -> dict[int, dict[str, float]]:
    """Object to the probability of each class; `rows`: (object, annotator, class)."""
    if len({label for *_, label in rows}) < 2:
        return {}
    from crowdkit.aggregation import DawidSkene  # noqa: PLC0415  (two seconds)

    table = pd.DataFrame(rows, columns=["task", "worker", "label"])
    with warnings.catch_warnings():
        # crowd-kit 1.4 passes arguments that pandas 3 announces to drop
        warnings.simplefilter("ignore", category=FutureWarning)
        warnings.simplefilter("ignore", category=DeprecationWarning)
        found = DawidSkene(n_iter=100).fit_predict_proba(table)
    labels = [str(label) for label in found.columns]
    values = zip(found.index.tolist(), found.to_numpy().tolist(), strict=True)
    return {int(task): dict(zip(labels, row, strict=True)) for task, row in values}
