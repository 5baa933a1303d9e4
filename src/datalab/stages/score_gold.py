"""Stage `score_gold`: every annotator against the images whose truth is known."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from datalab.adapters.files import read_table, write_json
from datalab.adapters.image_groups import load_rules, read_groups
from datalab.adapters.stage_progress import stage_bar
from datalab.config import load_guidelines, load_number, load_params
from datalab.errors import InputError, one_line_errors
from datalab.learning.splits import GroupRules
from datalab.quality.advice import advice
from datalab.quality.agreement import object_table, pair_table
from datalab.quality.gold import Against, GoldImage, in_unknown_pixels, score_images
from datalab.quality.gold_ledger import judging_ratings, sound_gold, suspects
from datalab.quality.gold_score import GoldLimits, as_json, score_gold
from datalab.quality.rated import RatedImages, rated_images
from datalab.ranges import Amount, Count, Seed, Share
from datalab.tables import ANNOTATED_REGIONS, GOLD, GOLD_EVENTS, RATINGS


@dataclass(frozen=True)
class Params:
    """Section `score_gold` of params.yaml."""

    seed: Seed
    iou_threshold: Share
    small_share: Share
    least_objects: Count
    target: Share
    pause_below: Share
    recent_rounds: Count
    advise_px: Amount
    advise_share: Share
    suspect_gap: Share

    @property
    def limits(self) -> GoldLimits:
        """What people are judged by."""
        return GoldLimits(
            self.least_objects,
            self.target,
            self.pause_below,
            self.recent_rounds,
            self.advise_px,
            self.advise_share,
        )


@dataclass(frozen=True)
class Inputs:
    """Files of the stage."""

    ratings: Path
    regions: Path
    earlier_ratings: Path
    """Table RATINGS of answers on gold that later ones replaced: for `per_round` and `change` alone."""
    earlier_regions: Path
    """Table ANNOTATED_REGIONS of them."""
    gold: Path
    events: Path
    """Table GOLD_EVENTS."""
    catalog: Path
    metadata: Path
    guidelines: Path


def run(inputs: Inputs, report: Path, params: Params, longest_answer_s: float, rules: GroupRules) -> None:
    """Write `report`: `annotators` (figures, skill, trend, action, advice) and `suspects` among the gold.

    Nobody is judged by gold that is contested or disputed. Without gold, or for somebody who saw none, figures are null
    with the reason and the skill is one half. What is drawn where gold does not know the class counts for nobody. A
    longer answer counts as `longest_answer_s`. Intervals are over the
    groups that `rules` make of the rated images. InputError where a gold mask has another size than its image, or
    a class that the guidelines do not name: everybody would be wrong about it.
    """
    rated, drawn = read_table(inputs.ratings, RATINGS), read_table(inputs.regions, ANNOTATED_REGIONS)
    replaced = read_table(inputs.earlier_ratings, RATINGS)
    rated, replaced = (
        one.assign(lead_time_s=one["lead_time_s"].clip(upper=longest_answer_s)) for one in (rated, replaced)
    )
    drawn_before = read_table(inputs.earlier_regions, ANNOTATED_REGIONS)
    truth, events = read_table(inputs.gold, GOLD), read_table(inputs.events, GOLD_EVENTS)
    check_classes(sound_gold(truth, events), load_guidelines(inputs.guidelines).names)
    drawn, drawn_before = (one[~in_unknown_pixels(one, truth)] for one in (drawn, drawn_before))
    classes = sorted({*truth["label"], *drawn["label"]} - {""})
    answered = {*rated["image_id"], *replaced["image_id"]}
    groups = read_groups(answered, inputs.catalog, inputs.metadata, rules)
    against = Against(truth, classes, params.iou_threshold, params.small_share, groups)
    on_gold, before = (judging_ratings(one, truth["image_id"], events) for one in (rated, replaced))
    rng = np.random.default_rng(params.seed)
    scores, seen = {}, []
    people = sorted(rated["annotator"].unique())
    for annotator in stage_bar("score gold", len(people), "person", people):
        images, earlier = (
            score_images(
                ratings[ratings["annotator"] == annotator], regions[regions["annotator"] == annotator], against
            )
            for ratings, regions in ((on_gold, drawn), (before, drawn_before))
        )
        score = score_gold(images, earlier, params.limits, rng)
        scores[annotator] = as_json(score, params.limits, advice(images, score, params.limits))
        seen += images
    among = among_people(rated_images(on_gold, drawn, at_least=3), params.iou_threshold)
    write_json(report, {"annotators": scores, "suspects": suspects(among, with_gold(seen), params.suspect_gap)})


def check_classes(gold: pd.DataFrame, names: Sequence[str]) -> None:
    """InputError for the first object of table GOLD whose class is none of `names`."""
    unknown = gold[~gold["label"].isin(["", *names])]
    if len(unknown):
        image_id, label = unknown.iloc[0][["image_id", "label"]]
        raise InputError(
            f"gold image {image_id} holds {label!r}, which guidelines/classes.yaml does not name ({', '.join(names)}); "
            f"name the class there again, or leave the image out: datalab gold retire {image_id} --disputed --reason R"
        )


def among_people(images: RatedImages, iou_threshold: float) -> dict[str, float]:
    """image_id to the mean agreement of its pairs of people; two who marked nothing agree that nothing is there."""
    pairs = pair_table(images, object_table(images, iou_threshold)).fillna({"agreement": 1.0})
    means = pairs.groupby("image_id")["agreement"].mean()
    return {str(image_id): float(mean) for image_id, mean in means.items()}


def with_gold(seen: Sequence[GoldImage]) -> dict[str, float]:
    """image_id to the mean agreement of people with the truth, counted as among people."""
    found: dict[str, list[float]] = {}
    for one in seen:
        found.setdefault(one.image_id, []).append(1.0 if one.agreement is None else one.agreement)
    return {image_id: float(np.mean(agreements)) for image_id, agreements in found.items()}


def main() -> None:
    """Paths come from dvc.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    read = (
        "ratings",
        "regions",
        "earlier-ratings",
        "earlier-regions",
        "gold",
        "events",
        "catalog",
        "metadata",
        "guidelines",
    )
    for name in (*read, "report", "params"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    paths = vars(parser.parse_args())
    params = load_params(paths["params"], "score_gold", Params)
    longest = load_number(paths["params"], "proof", "longest_answer_s", float)
    inputs = Inputs(*(paths[name.replace("-", "_")] for name in read))
    run(inputs, paths["report"], params, longest, load_rules(paths["params"]))


if __name__ == "__main__":
    with one_line_errors():
        main()
