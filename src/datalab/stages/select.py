"""Choose the images that people should look at next."""

import argparse
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from datalab.adapters.files import read_table, write_table
from datalab.adapters.image_vectors import read_image_vectors
from datalab.config import BACKGROUND, load_params
from datalab.errors import InputError, one_line_errors
from datalab.learning.caution import Gain, gain, trust
from datalab.learning.control import surprise_of
from datalab.learning.costs import fit_costs
from datalab.learning.cover import Vectors
from datalab.learning.selection import Budget, Recipe, given_up, next_batch, parts_of, strategy_named
from datalab.learning.strategies import Pool, Taste
from datalab.quality.reviews import images_judged
from datalab.ranges import Amount, Count, Seed, Share
from datalab.tables import (
    ANNOTATED_REGIONS,
    BATCH,
    CATALOG,
    CLASS_SCORES,
    EVIDENCE,
    RATINGS,
    REVIEWS,
    SCORES,
    SURPRISE,
    typed,
)


@dataclass(frozen=True)
class Params:
    """Size and make-up of the next batch."""

    seed: Seed
    strategy: str
    """One of datalab.learning.selection.STRATEGIES."""
    images: Count
    minutes: Amount
    """Of one person's time by the expected costs, but for a control that can be compared; 0: no limit but `images`."""
    random: Share
    """Share that is drawn at random, at least a tenth."""
    candidates: Count
    """The unsure part is chosen among this many times its size of the highest scores."""
    stratified: Share
    """Share of the default's chosen part that is dealt to the classes, rare ones first."""
    cost_power: Share
    """Scores are divided by expected seconds ** this."""
    near_duplicate: Share
    """Cosine of image vectors from which on two images count as the same."""


@dataclass(frozen=True)
class Inputs:
    """Files of the stage."""

    scores: Path
    class_scores: Path
    catalog: Path
    embeddings: Path
    ratings: Path
    reviews: Path
    """Table REVIEWS: what reviewers left out."""
    regions: Path
    rounds: Path
    """data/rounds: what was in each batch, and what for."""
    surprise: Path
    """Table SURPRISE: how wrong the models were that chose earlier batches."""


def run(inputs: Inputs, out: Path, params: Params) -> None:
    """Write table NEXT_BATCH: at most `images` pool images, one per duplicate group; no rows where the pool is empty.

    Near duplicates of labelled images are left out: they would cost people's time and teach nothing. So is what a
    reviewer excluded, and what was asked in several rounds without an answer that could be used. Gold, from which no
    model learns, counts neither for how often a class was labelled nor for what is far from the labelled images.
    """
    strategy_named(params.strategy)
    catalog = read_table(inputs.catalog, CATALOG).set_index("image_id", drop=False)
    ratings, regions = read_table(inputs.ratings, RATINGS), read_table(inputs.regions, ANNOTATED_REGIONS)
    known = catalog[catalog["image_id"].isin(ratings["image_id"])]
    learned = known[~known["image_id"].isin(ratings.loc[ratings["role"] == "gold", "image_id"])]
    pool = read_table(inputs.scores, (*SCORES, *EVIDENCE))
    paths = sorted(inputs.rounds.glob("[0-9]*/batch.parquet"))
    batches = {path.parent.name: read_table(path, BATCH) for path in paths}
    asked = Counter(image_id for batch in batches.values() for image_id in batch["image_id"])
    left_out = {*images_judged(read_table(inputs.reviews, REVIEWS), "exclude"), *given_up(asked, ratings["image_id"])}
    pool = pool[~pool["image_id"].isin(left_out)]
    pool = pool.assign(duplicate_group=pool["image_id"].map(catalog["duplicate_group"]))
    pool = pool[~pool["duplicate_group"].isin(known["duplicate_group"])].reset_index(drop=True)
    vectors, labelled = (
        read_image_vectors(catalog.loc[ids].to_dict("records"), inputs.embeddings)
        for ids in (pool["image_id"], learned.index)
    )
    if len(labelled) and len(vectors) and labelled.shape[1] != vectors.shape[1]:
        raise InputError(f"the embeddings of {inputs.embeddings} are of different models; run dvc repro embed")
    by_class = read_table(inputs.class_scores, CLASS_SCORES)
    facts = _facts(pool, by_class, vectors, labelled if len(labelled) else vectors[:0], ratings, regions)
    taste = Taste(params.candidates, params.stratified, params.cost_power)
    rng = np.random.default_rng(params.seed)
    trusted = trust(_gains(batches, read_table(inputs.surprise, SURPRISE)))
    recipe = Recipe(params.strategy, params.random, trusted, params.near_duplicate, taste)
    write_table(out, typed(next_batch(pool, facts, Budget(params.images, params.minutes), recipe, rng)))


def _facts(
    pool: pd.DataFrame,
    by_class: pd.DataFrame,
    vectors: Vectors,
    labelled: Vectors,
    ratings: pd.DataFrame,
    regions: pd.DataFrame,
) -> Pool:
    """What the strategies get to see of the pool's images, in the order of its rows."""
    names = list(dict.fromkeys(by_class["label"]))
    wide = by_class.pivot(index="image_id", columns="label").reindex(pool["image_id"])
    objects = [name for name in names if name != BACKGROUND]
    drawn = regions.groupby("annotation_id").size().reindex(ratings["annotation_id"]).fillna(0)
    costs = fit_costs(np.asarray(drawn, dtype=np.float64), np.asarray(ratings["lead_time_s"], dtype=np.float64))
    of_gold = regions["annotation_id"].isin(ratings.loc[ratings["role"] == "gold", "annotation_id"])
    shown = regions[~of_gold].groupby("label")["image_id"].nunique().reindex(objects).fillna(0)
    return Pool(
        vectors=vectors,
        labelled=labelled,
        scores=pool["uncertainty"].to_numpy(dtype=np.float64),
        wrong_shares=pool["wrong_pixels"].to_numpy(dtype=np.float64),
        margins=pool["margin"].to_numpy(dtype=np.float64),
        class_scores=_columns(wide, "score", objects),
        residuals=_columns(wide, "residual", names),
        class_counts=np.asarray(shown, dtype=np.float64),
        costs=costs.of(pool["objects"].to_numpy(dtype=np.float64)),
    )


def _columns(wide: pd.DataFrame, kind: str, names: list[str]) -> npt.NDArray[np.float64]:
    """(N, K) of one column of CLASS_SCORES, classes in the order of `names`."""
    if not names:
        return np.zeros((len(wide), 0))
    wanted = pd.MultiIndex.from_product([[kind], names])
    return np.asarray(wide.reindex(columns=wanted), dtype=np.float64)


def _gains(batches: Mapping[str, pd.DataFrame], surprise: pd.DataFrame) -> list[Gain | None]:
    """What choosing found in each round so far, oldest first. `batches`: round_id to table BATCH."""

    def of(round_id: str, image_ids: list[str]) -> npt.NDArray[np.float64]:
        return np.asarray(surprise_of(surprise, round_id, image_ids), dtype=np.float64)

    parts = zip(batches, parts_of(list(batches.values())), strict=True)
    return [gain(of(round_id, chosen), of(round_id, drawn)) for round_id, (chosen, drawn) in parts]


def main() -> None:
    """Command line of the stage; the paths are given in dvc.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = tuple(Inputs.__annotations__)
    for name in (*names, "out", "params"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, required=True)
    given = vars(parser.parse_args())
    run(Inputs(**{name: given[name] for name in names}), given["out"], load_params(given["params"], "select", Params))


if __name__ == "__main__":
    with one_line_errors():
        main()
