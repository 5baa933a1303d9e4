import os
import threading
import time

import pytest
import torch

from datalab.adapters.torch_threads import side_by_side, single_thread


def test_one_thread_within_and_as_before_behind() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ValueError, match="stop"), single_thread():
        assert torch.get_num_threads() == 1
        raise ValueError("stop")
    assert torch.get_num_threads() == before


def test_results_keep_their_order_and_every_worker_has_one_thread() -> None:
    def work(number: int) -> tuple[int, int, str]:
        return number, torch.get_num_threads(), threading.current_thread().name

    found = list(side_by_side(work, range(20)))
    assert [number for number, _, _ in found] == list(range(20))
    assert {threads for _, threads, _ in found} == {1}
    assert "MainThread" not in {name for _, _, name in found}


def test_the_first_error_ends_it() -> None:
    begun = []

    def work(number: int) -> None:
        begun.append(number)
        if number == 3:
            raise ValueError("number 3")
        time.sleep(0.001)  # the one who hears of the error is given the time to stop the others

    with pytest.raises(ValueError, match="number 3"):
        list(side_by_side(work, range(10_000)))
    assert len(begun) < 10_000


def test_no_more_is_begun_than_will_soon_be_asked_for() -> None:
    begun: list[int] = []
    results = side_by_side(begun.append, iter(range(10_000)))
    for taken in range(1, 5):
        next(results)
        time.sleep(0.01)  # for those who begin
        assert len(begun) < taken + 2 * len(os.sched_getaffinity(0))
    results.close()
    assert len(begun) < 10_000
    assert list(side_by_side(str, [])) == []
