"""How torch shares the cores: images side by side, each on one thread.

Threads within one small network mostly wait for each other, and on busy cores they wait in vain: two threads embedded
24 images in 78 s where one thread took 5.3 s, while other programs ran on the same two cores. Images side by side need
no waiting, and sums come out the same whatever the number of cores.
"""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import torch

WITH_GPU = 4
"""Some images are read and some outlines traced while the GPU works on another; each takes a batch of its memory."""
Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def single_thread() -> Iterator[None]:
    """One thread for torch within the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def side_by_side(work: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result, None, None]:
    """`work` of each item, in their order, as many at a time as there are cores, on a GPU at most WITH_GPU.

    As many again wait for whoever asks, and no more, since results take memory. The first error ends it: what has not
    begun is not begun.
    """
    cores = len(os.sched_getaffinity(0))
    workers = min(cores, WITH_GPU) if torch.cuda.is_available() else cores
    begun: deque[Future[Result]] = deque()
    with single_thread(), ThreadPoolExecutor(workers, initializer=partial(torch.set_num_threads, 1)) as pool:
        try:
            for item in items:
                begun.append(pool.submit(work, item))
                if len(begun) >= 2 * workers:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
