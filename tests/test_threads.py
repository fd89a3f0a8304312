"""Results keep the order of the items, however long each takes, and errors come where their item stands."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from ifcurate.threads import in_order


def test_results_keep_the_order_and_items_are_taken_as_they_are_needed() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(20):
            taken.append(item)
            yield item

    def work(item: int) -> int:
        time.sleep(0.002 * (item % 3))
        return item * item

    results = in_order(work, items(), threads=3)
    assert next(results) == 0
    assert len(taken) == 4, "no more than are worked on, and one that waits"
    assert list(results) == [item * item for item in range(1, 20)]


def test_an_error_comes_in_the_place_of_its_result() -> None:
    def work(item: int) -> int:
        if item == 2:
            raise ValueError("two")
        return item

    results = in_order(work, range(100), threads=2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(results)


def test_threads_work_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=30)
    assert len(list(in_order(lambda item: together.wait(), range(3), threads=3))) == 3


def test_nothing_to_do() -> None:
    assert list(in_order(str, [])) == []
