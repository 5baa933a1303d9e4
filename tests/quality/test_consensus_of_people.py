"""Real people's masks of photographs: together they agree with somebody else better than each does alone."""

import numpy as np
import pytest
from scipy.stats import wilcoxon

from datalab.adapters.files import read_label_map
from datalab.masks import mask_to_rle
from datalab.quality.consensus import Rules, merge_images
from datalab.quality.matching import match_regions
from datalab.quality.rated import RatedImage
from tests.shared_data import shared_data

RULES = Rules(iou_threshold=0.5, outline_iou=0.8, pixels="majority", classes="majority")
IMAGES = 20


def people_of(image_id: str) -> list[RatedImage]:
    paths = sorted((shared_data("bsds500") / "val" / "segmentations").glob(f"{image_id}_*.png"))
    people = []
    for path in paths:
        regions = read_label_map(path)
        masks = [regions == number for number in np.unique(regions)]
        shapes = tuple(("region", mask_to_rle(mask)) for mask in masks if mask.mean() >= 0.002)
        height, width = regions.shape
        people.append(RatedImage(image_id, path.stem, shapes, ("manual",) * len(shapes), height, width, image_id))
    return people


def score(drawn: list[tuple[str, str]], other: RatedImage) -> float:
    matching = match_regions(drawn, other.regions, other.height, other.width, 0.5)
    return matching.iou_sum / matching.objects


@pytest.mark.slow
def test_the_consensus_of_the_others_beats_the_average_person() -> None:
    names = {path.stem.rsplit("_", 1)[0] for path in (shared_data("bsds500") / "val" / "segmentations").glob("*.png")}
    together: list[float] = []
    alone: list[float] = []
    for image_id in sorted(names)[:IMAGES]:
        people = people_of(image_id)
        others_together: list[float] = []
        others_alone: list[float] = []
        for left_out in people:
            others = [one for one in people if one is not left_out]
            merged = merge_images({image_id: others}, {}, RULES)[image_id]
            others_together.append(score([(one.label, one.rle) for one in merged if one.kept], left_out))
            others_alone += [score(list(one.regions), left_out) for one in others]
        together.append(float(np.mean(others_together)))
        alone.append(float(np.mean(others_alone)))
    assert np.mean(together) > np.mean(alone) + 0.02
    assert wilcoxon(together, alone, alternative="greater").pvalue < 0.01
