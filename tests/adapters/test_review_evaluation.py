from dataclasses import dataclass
from typing import Any

import numpy as np

from datalab.adapters.review_evaluation import unmark_specks


@dataclass
class Judged:
    """Stands for an object that FiftyOne has evaluated."""

    id: str
    eval: str | None
    pixels: int

    @property
    def mask(self) -> Any:
        return np.ones((1, self.pixels), dtype=bool)

    def __getitem__(self, key: str) -> Any:
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        setattr(self, key, value)


def test_a_speck_without_a_partner_is_neither_missed_nor_wrong() -> None:
    # 0.05% of 640 x 480 are 153.6 pixels
    objects = [
        Judged("small and found", "tp", 10),
        Judged("small and missed", "fn", 153),
        Judged("small and wrong", "fp", 100),
        Judged("missed", "fn", 154),
        Judged("wrong", "fp", 900),
    ]
    assert [one.id for one in unmark_specks(objects, 640 * 480, "eval")] == ["small and missed", "small and wrong"]
    assert [one.eval for one in objects] == ["tp", None, None, "fn", "fp"]
