"""How slices fare from round to round. A row is a slice in a round, as `learning.slices.compare` found it then."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from datalab.learning.slices import AND

TREND = ("round", "slice", "images", "iou", "low", "high", "elsewhere")
END = re.compile(r"^(?P<trait>[^:]+) (?P<end>up to|from|above|below) -?[\d.]+(e[+-]?\d+)?$")
"""Of a number's name: a colon is in the name of a value, as in "folder: photos from 2019"."""
ENDS = {"up to": "lowest", "below": "lowest", "from": "highest", "above": "highest"}
HALVES = {"lowest": "lower", "highest": "upper"}
"""Of pairs of slices."""


def lasting_name(name: str, named: Collection[str] = ()) -> str:
    """The name under which a slice is found in other rounds: a third of a number has other borders in each.

    What lies above the lowest number, or below the highest, is called a third though it may be fewer images. `named`
    slices keep their names, whatever those look like. In a pair ("a & b") the ends of numbers are halves.
    """
    if name in named:
        return name
    parts = name.split(AND)
    return AND.join(_lasting_part(part, len(parts) > 1) for part in parts)


def _lasting_part(name: str, half: bool) -> str:
    found = END.match(name)
    if found is None:
        return name
    end = ENDS[found["end"]]
    return f"{HALVES[end]} half of {found['trait']}" if half else f"{end} third of {found['trait']}"


def trends(rounds: Mapping[int, Sequence[Mapping[str, Any]]], named: Collection[str] = ()) -> pd.DataFrame:
    """Table TREND by slice and round, ascending, of what every round's evaluation said of its slices.

    `named`: as `lasting_name` takes them. `images`: how many test images were in it then; `iou` in [0, 1] with its 95%
    interval `low` to `high`; `elsewhere`: the mean of all others.
    """
    rows = [
        {**{key: row[key] for key in TREND[2:]}, "round": number, "slice": lasting_name(str(row["slice"]), named)}
        for number, slices in rounds.items()
        for row in slices
    ]
    return pd.DataFrame(rows, columns=list(TREND)).sort_values(["slice", "round"], ignore_index=True)


def worth_showing(table: pd.DataFrame, named: Collection[str], most: int) -> list[str]:
    """Slices of a table TREND, `most` at most: `named` ones first, then those that are farthest behind the others in
    their newest round."""
    newest = table.sort_values("round").drop_duplicates("slice", keep="last")
    behind = newest.assign(own=~newest["slice"].isin(list(named)), gap=newest["iou"] - newest["elsewhere"])
    return [str(name) for name in behind.sort_values(["own", "gap", "slice"])["slice"].head(most)]
