"""Whether Dawid-Skene names the class better than the majority where people have few votes: simulated, three an object.

Beside crowd-kit's, which has no prior. People are right nine times of ten and wrong at random ("alike"), or right by
60 to 98%, wrong at random ("skills"), each by a habit of their own ("habits"), or all between the same pairs of classes
("pairs"). Gate: the majority is right on no more than one object of a hundred more anywhere; `ratio` is the mean of the
wrong shares, the majority's and crowd-kit's over ours.
"""

import json
import sys
import warnings
from collections.abc import Iterator
from importlib.metadata import version

import numpy as np
import numpy.typing as npt
import pandas as pd

from datalab.quality.class_votes import CLASS_VOTES, Ballots
from measure import parser_of, print_result

SIZES = ((100, 3, 4), (300, 10, 20), (1000, 5, 6), (1000, 20, 50), (1000, 50, 50))
"""Objects, classes, people."""
KINDS = ("alike", "skills", "habits", "pairs")
VOTES = 3
WORSE = 0.01
Truth = npt.NDArray[np.int64]


def world(objects: int, classes: int, people: int, kind: str, rng: np.random.Generator) -> tuple[Ballots, Truth]:
    """Who said what of each object, and what it is."""
    truth = rng.choice(classes, objects, p=rng.dirichlet(np.ones(classes)))
    right = np.full(people, 0.9) if kind == "alike" else rng.uniform(0.6, 0.98, people)
    habits = np.array([rng.permutation(classes) for _ in range(people)])

    def said(who: int, true: int) -> int:
        if rng.random() < right[who]:
            return true
        other = true ^ 1 if true ^ 1 < classes else true
        return int({"habits": habits[who, true], "pairs": other}.get(kind, rng.integers(classes)))

    drawn = [rng.choice(people, VOTES, replace=False).tolist() for _ in range(objects)]
    ballots = [
        [(f"p{who}", f"c{said(who, int(true)):02}") for who in voters]
        for voters, true in zip(drawn, truth, strict=True)
    ]
    return ballots, truth


def right_shares(ballots: Ballots, truth: Truth) -> dict[str, float]:
    """By the name of the vote the share of the objects whose class it gives; of equals the first of the alphabet."""
    skills = {who: 1.0 for ballot in ballots for who, _ in ballot}
    named = {name: vote(ballots, skills) for name, vote in CLASS_VOTES.items() if name != "skill_weighted"}
    best = {name: [max(sorted(one), key=one.__getitem__) for one in shares] for name, shares in named.items()}
    best["crowd-kit"] = crowd_kits(ballots)
    expected = [f"c{true:02}" for true in truth.tolist()]
    return {
        name: float(np.mean([a == b for a, b in zip(found, expected, strict=True)])) for name, found in best.items()
    }


def crowd_kits(ballots: Ballots) -> list[str]:
    """The most probable class of each object, of those that it was given."""
    from crowdkit.aggregation import DawidSkene  # noqa: PLC0415  (two seconds)

    rows = [(place, who, label) for place, ballot in enumerate(ballots) for who, label in ballot]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = DawidSkene(n_iter=100).fit_predict_proba(pd.DataFrame(rows, columns=["task", "worker", "label"]))
    tables = found.sort_index().to_dict("records")
    return [
        max(sorted({label for _, label in ballot}), key=one.__getitem__)
        for ballot, one in zip(ballots, tables, strict=True)
    ]


def cells(repeats: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Each size and kind with the mean of its repeats."""
    for size in SIZES:
        for kind in KINDS:
            found = [right_shares(*world(*size, kind, np.random.default_rng(seed))) for seed in range(repeats)]
            name = "{} objects, {} classes, {} people, {}".format(*size, kind)
            yield name, {vote: round(float(np.mean([one[vote] for one in found])), 4) for vote in found[0]}


def main() -> None:
    """Simulate, and print one JSON line; the table goes to stderr."""
    parser = parser_of(__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    found = {}
    for name, shares in cells(repeats):
        found[name] = shares
        sys.stderr.write(f"{name}: {json.dumps(shares)}\n")
    wrong = {
        vote: float(np.mean([1 - one[vote] for one in found.values()]))
        for vote in ("majority", "dawid_skene", "crowd-kit")
    }
    ratio = {vote: wrong[vote] / wrong["dawid_skene"] for vote in ("majority", "crowd-kit")}
    gate = all(one["dawid_skene"] >= one["majority"] - WORSE for one in found.values())
    sizes = {"votes": VOTES, "right": found}
    print_result("class_votes", ratio, f"majority; crowd-kit {version('crowd-kit')}", sizes, repeats, gate)


if __name__ == "__main__":
    main()
