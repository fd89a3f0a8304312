from __future__ import annotations

import threading
import time

from ifcurate.repeating import repeating


def test_works_while_the_block_runs_and_not_after_it() -> None:
    enough, calls = threading.Event(), []

    def work() -> bool:
        calls.append(threading.current_thread().name)
        if len(calls) == 3:
            enough.set()
        return True

    with repeating(work, 0.001, "clock"):
        assert enough.wait(10)
    assert set(calls) == {"clock"}
    done = len(calls)
    time.sleep(0.02)
    assert len(calls) == done


def test_ends_itself_when_its_work_is_over() -> None:
    calls: list[int] = []
    with repeating(lambda: calls.append(1) or len(calls) < 2, 0.001, "clock"):  # type: ignore[func-returns-value]
        while any(thread.name == "clock" for thread in threading.enumerate()):
            time.sleep(0.001)
    assert len(calls) == 2
