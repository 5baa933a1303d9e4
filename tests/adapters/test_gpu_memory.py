import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from datalab.adapters.gpu_memory import Batches, batches_of
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
        done = list(pool.map(lambda _: sum(Batches("images").each(size, size, gpu.work)), range(20)))
    assert done == [size] * 20
    assert gpu.used == 0 < gpu.most <= room


def test_one_that_does_not_fit_alone_is_one_line_and_keeps_nobody_waiting() -> None:
    with ThreadPoolExecutor(4) as pool:
        begun = [pool.submit(list, Batches("boxes").each(2, 2, Gpu(0).work)) for _ in range(4)]
    for one in begun:
        with pytest.raises(InputError, match="holds not even one of the boxes; end what else") as caught:
            one.result()
        assert "\n" not in str(caught.value)
    assert list(Batches("boxes").each(1, 1, Gpu(1).work)) == [1]


def test_what_is_done_with_a_part_keeps_nobody_from_working_alone() -> None:
    """Outlines are traced between two batches."""
    paused = Batches("images").each(2, 1, Gpu(1).work)
    assert next(paused) == 1
    assert list(Batches("images").each(1, 1, Gpu(1).work)) == [1]
    tried = iter((True, False))

    def once(part: slice) -> int:
        return Gpu(0 if next(tried) else 1).work(part)

    assert list(Batches("images").each(1, 1, once)) == [1]
    assert next(paused) == 1


def test_it_says_once_what_it_goes_on_with(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert sum(Batches("images").each(20, 8, Gpu(3).work)) == 20
    assert [one.getMessage().partition(": ")[2] for one in caplog.records] == [
        "going on with 4 images at a time",
        "going on with 2 images at a time",
    ]


def test_a_models_batches_know_from_then_on_what_did_not_fit(caplog: pytest.LogCaptureFixture) -> None:
    model = torch.nn.Identity()
    for _ in range(3):
        assert list(batches_of(model, "images").each(8, 8, Gpu(4).work)) == [4, 4]
    assert len(caplog.records) == 1
    assert list(batches_of(model, "boxes").each(8, 8, Gpu(8).work)) == [8]
    assert list(batches_of(torch.nn.Identity(), "images").each(8, 8, Gpu(8).work)) == [8]
    assert list(batches_of(model, "images").each(3, 1, Gpu(8).work)) == [1, 1, 1]


def test_threads_that_use_the_same_batches_say_once_what_did_not_fit(caplog: pytest.LogCaptureFixture) -> None:
    batches, gpu = Batches("images"), Gpu(3)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: sum(batches.each(8, 8, gpu.work)), range(20))) == [8] * 20
    assert len(caplog.records) == len({one.getMessage() for one in caplog.records}) <= 4


def test_what_is_filled_up_waits_for_the_others_before_it_is_halved() -> None:
    batches, tried = Batches("images"), list[int]()
    batches.least = 8

    def work(part: slice) -> int:
        tried.append(batches.filled(part.stop - part.start))
        if tried[-1] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return int(part.stop - part.start)

    assert list(batches.each(1, 8, work)) == [1]
    assert tried == [8, 8, 4, 2]  # the second time with nothing beside it
    assert list(batches.each(3, 8, work)) == [2, 1]
