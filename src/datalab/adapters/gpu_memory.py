"""Work in batches that are halved where a GPU's memory is full, and that wait for one another where one is too many."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition, Lock
from typing import TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import nn

from datalab.errors import InputError

LOGGER = logging.getLogger(__name__)
Result = TypeVar("Result")


class Memory:
    """Shared by threads that work side by side, or had by one of them alone."""

    def __init__(self) -> None:
        """Nobody works yet."""
        self._changed = Condition()
        self._sharing = 0
        self._is_claimed = False

    @contextmanager
    def used(self, alone: bool) -> Iterator[None]:
        """Once nobody has it alone; `alone`: and once nobody else uses it. Not to be asked for within the block."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_claimed)
            self._is_claimed = alone
            self._changed.wait_for(lambda: not alone or self._sharing == 0)
            self._sharing += 1
        try:
            yield
        finally:
            with self._changed:
                self._sharing -= 1
                if alone:
                    self._is_claimed = False
                self._changed.notify_all()


MEMORY = Memory()
"""Of the one GPU that is worked with."""


class Batches:
    """How many at a time: fewer from the time on when they did not fit, alone when one did not fit beside others.

    Several threads may use it at the same time, and each profits from what another had to find out.
    """

    def __init__(self, what: str) -> None:
        """`what` they are, in messages."""
        self.most = sys.maxsize
        self.least = 1
        """To so many `work` fills up a part. They fit alone: rather than to halve them, the others are waited for."""
        self._what = what
        self._is_alone = False
        self._learning = Lock()

    def each(self, count: int, size: int, work: Callable[[slice], Result]) -> Iterator[Result]:
        """`work` of one part after the other of `count` things, which it may be asked for again after it ran out.

        `size` at a time, or fewer. InputError where one does not fit although the other threads were waited for.
        """
        start = 0
        while start < count:
            stop, alone = min(start + min(size, self.most), count), self._is_alone
            try:
                with MEMORY.used(alone):
                    tried = self.filled(stop - start)  # as of now: another thread may find out that so many do not fit
                    done = work(slice(start, stop))
            except torch.OutOfMemoryError as exc:
                if alone and tried == 1:
                    raise self._too_little() from exc
            else:
                yield done
                start = stop
                continue
            # only here: inside of `except` the error keeps alive what filled the memory
            torch.cuda.empty_cache()
            with self._learning:
                self._go_on_with_less(tried, alone)

    def filled(self, count: int) -> int:
        """How many a part of `count` is filled up to, where `work` wants always as many."""
        return max(count, min(self.least, self.most))

    def _go_on_with_less(self, failed: int, alone: bool) -> None:
        """Now that so many did not fit; nothing changes where another thread has found out already."""
        if failed <= self.least and not alone:
            if not self._is_alone:
                LOGGER.warning("the GPU's memory is full: going on with %s while nothing else is on it", self._what)
            self._is_alone = True
        elif failed // 2 < self.most:
            self.most = failed // 2
            LOGGER.warning("the GPU's memory is full: going on with %d %s at a time", self.most, self._what)

    def _too_little(self) -> InputError:
        return InputError(
            f"the GPU's memory holds not even one of the {self._what}; end what else runs on the GPU, or set "
            "sam.checkpoint to a smaller model"
        )


_KNOWN: WeakKeyDictionary[nn.Module, dict[str, Batches]] = WeakKeyDictionary()
_KNOWING = Lock()


def batches_of(model: nn.Module, what: str) -> Batches:
    """Those of a model and a kind of work, the same ones whenever it is asked: what did not fit is tried once."""
    with _KNOWING:
        return _KNOWN.setdefault(model, {}).setdefault(what, Batches(what))
