"""What one annotator makes of one image: truth and proposals in, regions and seconds out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from datalab.masks import BoolMask, iou_matrix, mask_to_rle, rle_area, rle_to_mask
from datalab.simulate.drawing import draw, invent, perimeter_px
from datalab.simulate.profile import Profile

SMALL_SHARE = 0.005
LOOK_S, KEEP_S, DELETE_S, RELABEL_S = 4.0, 1.0, 1.5, 2.0
CORRECT_S, DRAW_S, DRAW_S_PER_PX = 6.0, 3.0, 0.06
"""Correcting is short brush work; drawing grows with the outline: about 14 to 34 seconds a mask (SAM paper)."""
SPREAD = 0.25
"""Standard deviation of the logarithm of every time."""


@dataclass(frozen=True)
class Region:
    """One object on an image. `origin`: "proposal" (untouched), "edited" or "manual"; unused for truth."""

    region_id: str
    label: str
    rle: str
    origin: str = "manual"


@dataclass(frozen=True)
class Labeled:
    """What was submitted and how long it took, in seconds."""

    regions: list[Region]
    seconds: float


class Annotator:
    """One person at one image: sees, errs and takes time by a profile, all randomness from `rng`."""

    def __init__(
        self, profile: Profile, classes: Sequence[str], height: int, width: int, rng: np.random.Generator
    ) -> None:
        """`classes`: every name of the ontology, to be mistaken for one another."""
        self.profile, self.classes = profile, classes
        self.height, self.width, self.rng = height, width, rng

    def label(self, truth: Sequence[Region], proposals: Sequence[Region]) -> Labeled:
        """Go through the image once, starting from the proposals."""
        regions: list[Region] = []
        seconds = self._takes(LOOK_S)
        fits = self._fits(truth, proposals)
        for place, item in enumerate(truth):
            if self.rng.random() < self._miss_probability(item):
                # who does not see an object leaves its proposal where it is
                if place in fits:
                    regions.append(replace(proposals[fits[place][0]], origin="proposal"))
                continue
            region, taken = self._mark(item, self._seen_class(item), place, fits, proposals)
            regions.append(region)
            seconds += taken
        used = {proposal for proposal, _ in fits.values()}
        for place, proposal in enumerate(proposals):
            if place not in used:
                if self.rng.random() < self.profile.keep_wrong:
                    regions.append(replace(proposal, origin="proposal"))
                else:
                    seconds += self._takes(DELETE_S)
        for number in range(int(self.rng.poisson(self.profile.spurious))):
            blob = invent(self.height, self.width, self.rng)
            regions.append(Region(f"s{number}", str(self.rng.choice(self.classes)), mask_to_rle(blob)))
            seconds += self._drawing(blob)
        return Labeled(regions, round(seconds, 1))

    def _fits(self, truth: Sequence[Region], proposals: Sequence[Region]) -> dict[int, tuple[int, float]]:
        """Object -> (proposal, IoU), one to one, where a proposal is good enough to start from."""
        overlap = iou_matrix([one.rle for one in truth], [one.rle for one in proposals], self.height, self.width)
        rows, columns = linear_sum_assignment(-overlap)
        pairs = (
            (int(row), int(column), float(overlap[row, column])) for row, column in zip(rows, columns, strict=True)
        )
        return {row: (column, iou) for row, column, iou in pairs if iou >= max(self.profile.correct_iou, 1e-9)}

    def _mark(
        self, item: Region, label: str, place: int, fits: dict[int, tuple[int, float]], proposals: Sequence[Region]
    ) -> tuple[Region, float]:
        """The region for an object that was seen, and the time it took."""
        if place not in fits:
            mask = self._drawn(item)
            return Region(f"d{place}", label, mask_to_rle(mask)), self._drawing(mask)
        number, iou = fits[place]
        proposal = proposals[number]
        taken = 0.0 if proposal.label == label else self._takes(RELABEL_S)
        if iou < self.profile.keep_iou:
            corrected = replace(proposal, label=label, rle=mask_to_rle(self._drawn(item)), origin="edited")
            return corrected, taken + self._takes(CORRECT_S)
        kept = replace(proposal, label=label, origin="proposal" if proposal.label == label else "edited")
        return kept, taken + self._takes(KEEP_S)

    def _drawn(self, item: Region) -> BoolMask:
        mask = rle_to_mask(item.rle, self.height, self.width)
        return draw(mask, self.profile.bias_px, self.profile.jitter_px, self.rng)

    def _drawing(self, mask: BoolMask) -> float:
        return self._takes(DRAW_S + DRAW_S_PER_PX * perimeter_px(mask))

    def _takes(self, seconds: float) -> float:
        return seconds * self.profile.pace * float(np.exp(self.rng.normal(0, SPREAD)))

    def _miss_probability(self, item: Region) -> float:
        small = rle_area(item.rle, self.height, self.width) < SMALL_SHARE * self.height * self.width
        return self.profile.miss_small if small else self.profile.miss

    def _seen_class(self, item: Region) -> str:
        others = [name for name in self.classes if name != item.label]
        if others and self.rng.random() < self.profile.wrong_class:
            return str(self.rng.choice(others))
        return item.label
