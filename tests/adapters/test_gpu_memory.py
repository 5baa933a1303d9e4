import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from datalab.adapters.gpu_memory import Batches
from datalab.errors import InputError


class Gpu:
    """Its memory holds so many things."""

    def __init__(self, room: int) -> None:
        self.room, self.used, self.most, self.noting = room, 0, 0, threading.Lock()

    def work(self, part: slice) -> int:
        count = int(part.stop - part.start)
        with self.noting:
            if self.used + count > self.room:
                raise torch.OutOfMemoryError("CUDA out of memory")
            self.used += count
            self.most = max(self.most, self.used)
        time.sleep(0.002)  # for the others to come
        with self.noting:
            self.used -= count
        return count


@pytest.mark.parametrize(("room", "size"), [(1, 1), (2, 1), (1, 8), (3, 2), (9, 8)])
def test_threads_wait_for_one_another_where_their_work_does_not_fit_together(room: int, size: int) -> None:
    gpu = Gpu(room)
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: sum(Batches(size, "images").each(size, gpu.work)), range(20)))
    assert done == [size] * 20
    assert gpu.used == 0 < gpu.most <= room


def test_one_that_does_not_fit_alone_is_one_line_and_keeps_nobody_waiting() -> None:
    with ThreadPoolExecutor(4) as pool:
        begun = [pool.submit(list, Batches(2, "boxes").each(2, Gpu(0).work)) for _ in range(4)]
    for one in begun:
        with pytest.raises(InputError, match="holds not even one of the boxes; end what else") as caught:
            one.result()
        assert "\n" not in str(caught.value)
    assert list(Batches(1, "boxes").each(1, Gpu(1).work)) == [1]


def test_what_is_done_with_a_part_keeps_nobody_from_working_alone() -> None:
    """Outlines are traced between two batches."""
    paused = Batches(1, "images").each(2, Gpu(1).work)
    assert next(paused) == 1
    assert list(Batches(1, "images").each(1, Gpu(1).work)) == [1]
    tried = iter((True, False))

    def once(part: slice) -> int:
        return Gpu(0 if next(tried) else 1).work(part)

    assert list(Batches(1, "images").each(1, once)) == [1]
    assert next(paused) == 1


def test_it_says_once_what_it_goes_on_with(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert sum(Batches(8, "images").each(20, Gpu(3).work)) == 20
    assert [one.getMessage().partition(": ")[2] for one in caplog.records] == [
        "going on with 4 images at a time",
        "going on with 2 images at a time",
    ]
