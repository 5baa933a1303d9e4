"""What a number that people write may be: said in its type, asked where params.yaml is read (config)."""

import math
from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True)
class Within:
    """From `least` to `most`, both included."""

    least: float
    most: float = math.inf


Share = Annotated[float, Within(0, 1)]
Amount = Annotated[float, Within(0)]
Count = Annotated[int, Within(1)]
Natural = Annotated[int, Within(0)]
Seed = Annotated[int, Within(0, 2**32 - 1)]
"""NumPy knows none below 0, and torch none that times the steps is beyond 64 bits."""
