"""Agreement on what people answered about an object that both of them found."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from datalab.figure import Figure
from datalab.quality.agreement import groups_in
from datalab.quality.bootstrap import bootstrap_ratio, bootstrap_statistic
from datalab.quality.kappa import both_ways, cohen_kappa
from datalab.quality.student import sum_groups

Questions = Mapping[tuple[str, str], Sequence[str]]
"""(class, attribute) to the values it may have."""
SIDE = ["image_id", "annotator", "place"]


def placed_answers(attributes: pd.DataFrame, regions: pd.DataFrame) -> pd.DataFrame:
    """Columns image_id, annotator, place, label, attribute, value of tables ATTRIBUTES and ANNOTATED_REGIONS.

    `place`: which of that person's regions on the image the answer is about, as in table OBJECTS.
    """
    place = regions.groupby(["image_id", "annotator"]).cumcount()
    placed = attributes.merge(pd.DataFrame({"region_id": regions["region_id"], "place": place}), on="region_id")
    return placed.loc[:, [*SIDE, "label", "attribute", "value"]]


def attribute_agreement(
    objects: pd.DataFrame, answers: pd.DataFrame, questions: Questions, rng: np.random.Generator
) -> dict[str, dict[str, Figure]]:
    """ "coin: state" to its figures, over the objects of that class that two people matched (table OBJECTS).

    `kappa`: Scott's pi where both answered, the two of a pair having no order; `observed`: the share of those that are
    equal; `answered`: the share of all questions that got an answer. Intervals are over groups of images. A value
    that is none of the question's is no answer.
    """
    matched = objects[objects["outcome"] == "matched"]
    return {
        f"{label}: {attribute}": _figures(
            _both_sides(matched[matched["label_a"] == label], answers, label, attribute, values), len(values), rng
        )
        for (label, attribute), values in questions.items()
    }


def _both_sides(
    matched: pd.DataFrame, answers: pd.DataFrame, label: str, attribute: str, values: Sequence[str]
) -> pd.DataFrame:
    """Columns image_id, group, a, b: numbers of the values the two gave, -1 where there is no answer."""
    asked = answers[(answers["label"] == label) & (answers["attribute"] == attribute)]
    given = {
        (row["image_id"], row["annotator"], row["place"]): list(values).index(row["value"])
        for row in asked.to_dict("records")
        if row["value"] in values
    }
    sides = {
        side: [
            given.get(key, -1)
            for key in zip(matched["image_id"], matched[f"annotator_{side}"], matched[f"place_{side}"], strict=True)
        ]
        for side in "ab"
    }
    return matched[["image_id", "group"]].reset_index(drop=True).assign(**sides)


def _figures(pairs: pd.DataFrame, count: int, rng: np.random.Generator) -> dict[str, Figure]:
    both = pairs[(pairs["a"] >= 0) & (pairs["b"] >= 0)]
    tables: npt.NDArray[np.int64] = np.zeros((len(both), count, count), dtype=np.int64)
    tables[np.arange(len(both)), both["a"].to_numpy(dtype=int), both["b"].to_numpy(dtype=int)] = 1
    by_image = sum_groups(tables, both["image_id"].tolist())
    groups = list(dict(zip(both["image_id"], both["group"], strict=True)).values())
    equal, all_of_both = np.trace(by_image, axis1=1, axis2=2), by_image.sum(axis=(1, 2))
    answers = (pairs[["a", "b"]] >= 0).sum(axis=1).groupby(pairs["image_id"]).agg(["sum", "count"])
    return {
        "kappa": bootstrap_statistic(both_ways(by_image), cohen_kappa, rng, groups=groups),
        "observed": bootstrap_ratio(equal, all_of_both, rng, groups=groups),
        "answered": bootstrap_ratio(answers["sum"], 2 * answers["count"], rng, groups=groups_in(pairs)),
    }
