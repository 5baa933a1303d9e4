"""How long a person takes: a written model, one log-normal factor per action."""

import numpy as np

from datalab.simulate.profile import Seconds


class Stopwatch:
    """Adds up the seconds one annotator spends on one image."""

    def __init__(self, seconds: Seconds, pace: float, rng: np.random.Generator) -> None:
        """`pace`: factor on every time; the chance in each action comes from `rng`."""
        self.seconds, self.pace, self.rng = seconds, pace, rng
        self.total = 0.0

    def took(self, seconds: float) -> None:
        """Add one action: `seconds` is its median at pace 1."""
        self.total += seconds * self.pace * float(np.exp(self.rng.normal(0, self.seconds.spread)))

    def drew(self, outline_px: float) -> None:
        """Add the drawing of a region whose outline has this length."""
        self.took(self.seconds.draw + self.seconds.draw_per_px * outline_px)
