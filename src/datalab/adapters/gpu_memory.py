"""Work in batches that are halved where a GPU's memory is full."""

import logging
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

LOGGER = logging.getLogger(__name__)
Result = TypeVar("Result")


class Batches:
    """How many at a time: fewer from the time on when they did not fit."""

    def __init__(self, size: int, what: str) -> None:
        """`size` at first; `what` they are, in the warning."""
        self.size = size
        self._what = what

    def each(self, count: int, work: Callable[[slice], Result]) -> Iterator[Result]:
        """`work` of one part after the other of `count` things, which it may be asked for again after it ran out.

        Raises torch.OutOfMemoryError where one alone does not fit.
        """
        start = 0
        while start < count:
            stop = min(start + self.size, count)
            try:
                done = work(slice(start, stop))
            except torch.OutOfMemoryError:
                if stop - start == 1:
                    raise
            else:
                yield done
                start = stop
                continue
            # only here: inside of `except` the error keeps alive what filled the memory
            torch.cuda.empty_cache()
            self.size = (stop - start) // 2
            LOGGER.warning("the GPU's memory is full: going on with %d %s at a time", self.size, self._what)
