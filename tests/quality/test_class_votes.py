"""Dawid and Skene's anaesthetists, and birds that people know better together than alone."""

from collections import Counter

import pytest
import yaml

from datalab.quality.class_votes import CLASS_VOTES, dawid_skene, majority, skill_weighted
from tests.shared_data import shared_data

PATIENTS = """\
1111111 3334334 1122122 2223121 2223222 2223322 1222111 3333433 2222223 2322223 4444444 2223343 1111111
2223212 1211111 1112111 1111111 1111111 2222221 2221322 2222222 2222221 2223222 2212222 1111111 1111111 2322222
1111111 1111111 1121121 1111111 3333233 1111111 2222222 2223232 4334343 2212232 2323233 3333432 1111111 1111111
1212111 2322222 1211111 2222222
"""
"""45 patients: three answers of the first observer, then one of each other."""


def best(shares: dict[str, float]) -> str:
    return max(sorted(shares), key=lambda label: shares[label])


def test_dawid_and_skenes_patients() -> None:
    # the three answers of the first observer as three people, since a person has one voice on an object
    ballots = [[(f"o{place}", grade) for place, grade in enumerate(patient)] for patient in PATIENTS.split()]
    skills = {f"o{place}": 1.0 for place in range(7)}
    found = [best(shares) for shares in dawid_skene(ballots, skills)]
    assert Counter(found) == {"1": 19, "2": 20, "3": 4, "4": 2}
    pooled = [best(shares) for shares in majority(ballots, skills)]
    assert {place + 1 for place, pair in enumerate(zip(found, pooled, strict=True)) if len(set(pair)) > 1} == {
        3,
        36,
        38,
    }


@pytest.mark.slow
def test_bluebirds_are_known_better_than_by_the_majority() -> None:
    folder = shared_data("bluebirds")
    votes = yaml.safe_load((folder / "labels.yaml").read_text())
    truth = yaml.safe_load((folder / "gt.yaml").read_text())
    ballots = [[(str(who), str(said[image])) for who, said in votes.items()] for image in truth]
    skills = {str(who): 1.0 for who in votes}
    right = {
        name: sum(best(shares) == str(true) for shares, true in zip(vote(ballots, skills), truth.values(), strict=True))
        for name, vote in CLASS_VOTES.items()
    }
    assert len(truth) == 108
    assert right["majority"] == right["skill_weighted"] == 82
    assert right["dawid_skene"] == 97


def test_shares_by_hand() -> None:
    ballots = [[("ann", "cup"), ("bob", "coin")], [("bob", "cup")]]
    skills = {"ann": 0.9, "bob": 0.3}
    assert majority(ballots, skills) == [{"coin": 0.5, "cup": 0.5}, {"cup": 1.0}]
    assert skill_weighted(ballots, skills) == [{"coin": pytest.approx(0.25), "cup": pytest.approx(0.75)}, {"cup": 1.0}]


@pytest.mark.parametrize("name", CLASS_VOTES)
def test_nothing_and_one_class_only(name: str) -> None:
    assert CLASS_VOTES[name]([], {}) == []
    assert CLASS_VOTES[name]([[("ann", "cup"), ("bob", "cup")]], {"ann": 0.5, "bob": 0.5}) == [{"cup": 1.0}]
