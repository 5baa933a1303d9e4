"""What one annotator makes of one image: truth and proposals in, regions and seconds out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from datalab.masks import BoolMask, iou_matrix, label_map, mask_to_rle, rle_area, rle_to_mask
from datalab.simulate.drawing import draw, invent, outline_px
from datalab.simulate.profile import Profile
from datalab.simulate.timing import Stopwatch


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


@dataclass(frozen=True)
class Fit:
    """A proposal good enough to start from, and its IoU with the object."""

    proposal: Region
    iou: float


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
        clock = Stopwatch(self.profile.seconds, self.profile.pace, self.rng)
        clock.took(clock.seconds.look)
        fits = self._fits(truth, proposals)
        regions: list[Region] = []
        for place, item in enumerate(truth):
            regions += self._at_object(item, fits.get(place), f"d{place}", clock)
        used = {fit.proposal.region_id for fit in fits.values()}
        for proposal in proposals:
            if proposal.region_id not in used:
                regions += self._at_leftover(proposal, clock)
        regions += self._invented(truth, clock)
        return Labeled(regions, round(clock.total, 1))

    def _fits(self, truth: Sequence[Region], proposals: Sequence[Region]) -> dict[int, Fit]:
        """Place of an object -> its proposal, one to one."""
        overlap = iou_matrix([one.rle for one in truth], [one.rle for one in proposals], self.height, self.width)
        pairs = zip(*linear_sum_assignment(-overlap), strict=True)
        fits = {int(row): Fit(proposals[int(column)], float(overlap[row, column])) for row, column in pairs}
        least = max(self.profile.correct_iou, 1e-9)
        return {place: fit for place, fit in fits.items() if fit.iou >= least}

    def _at_object(self, item: Region, fit: Fit | None, name: str, clock: Stopwatch) -> list[Region]:
        """The region for an object; none where it was missed."""
        if self.rng.random() < self._miss_probability(item):
            # who does not see an object leaves its proposal where it is
            return self._untouched(fit.proposal) if fit else []
        label = self._seen_class(item)
        if fit is None:
            drawn = self._drawn(item)
            clock.drew(outline_px(drawn))
            return [Region(name, label, mask_to_rle(drawn))]
        if fit.proposal.label != label:
            clock.took(clock.seconds.relabel)
        if fit.iou < self.profile.keep_iou:
            clock.took(clock.seconds.correct)
            return [replace(fit.proposal, label=label, rle=mask_to_rle(self._drawn(item)), origin="edited")]
        clock.took(clock.seconds.keep)
        return [replace(fit.proposal, label=label, origin="proposal" if fit.proposal.label == label else "edited")]

    def _at_leftover(self, proposal: Region, clock: Stopwatch) -> list[Region]:
        """A proposal that fits no object: left or deleted."""
        if self.rng.random() < self.profile.keep_wrong:
            return self._untouched(proposal)
        clock.took(clock.seconds.delete)
        return []

    def _untouched(self, proposal: Region) -> list[Region]:
        """As it was proposed; without a class of the ontology it cannot be submitted."""
        return [replace(proposal, origin="proposal")] if proposal.label in self.classes else []

    def _invented(self, truth: Sequence[Region], clock: Stopwatch) -> list[Region]:
        """Things marked where nothing is."""
        count = int(self.rng.poisson(self.profile.spurious))
        if count == 0:
            return []
        free = label_map(((1, item.rle) for item in truth), self.height, self.width) == 0
        blobs = [blob for blob in (invent(free, self.rng) for _ in range(count)) if blob.any()]
        for blob in blobs:
            clock.drew(outline_px(blob))
        return [
            Region(f"s{number}", str(self.rng.choice(self.classes)), mask_to_rle(blob))
            for number, blob in enumerate(blobs)
        ]

    def _drawn(self, item: Region) -> BoolMask:
        mask = rle_to_mask(item.rle, self.height, self.width)
        return draw(mask, self.profile.bias_px, self.profile.jitter_px, self.rng)

    def _miss_probability(self, item: Region) -> float:
        small = rle_area(item.rle, self.height, self.width) < self.profile.small_share * self.height * self.width
        return self.profile.miss_small if small else self.profile.miss

    def _seen_class(self, item: Region) -> str:
        others = [name for name in self.classes if name != item.label]
        if others and self.rng.random() < self.profile.wrong_class:
            return str(self.rng.choice(others))
        return item.label
