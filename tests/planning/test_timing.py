"""What is timed on a few batches stands for all of them."""

import numpy as np
import pytest

from ifcurate.model.windows import Window
from ifcurate.planning import durations, timing
from ifcurate.planning.durations import Took
from ifcurate.planning.timing import batches_of, shortened, timed, tokens_in
from ifcurate.planning.work import StageWork, least_sure

A_BATCH, A_TOKEN = 2e-3, 5e-5


class Clock:
    """Time that passes while work is done, and at no other moment; `run` has batches done."""

    def __init__(self):
        self.now, self.seen = 0.0, []

    def run(self, batches):
        self.seen.append(tokens_in(batches))
        self.now += A_BATCH * len(batches) + A_TOKEN * tokens_in(batches)

    def perf_counter(self):
        return self.now

    def process_time(self):
        return self.now / 2


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(durations, "time", found)
    return found


def windows_of(lengths):
    return [Window(number, 0, np.zeros(length, np.int32)) for number, length in enumerate(lengths)]


def test_batches_and_tokens_are_told_apart(clock, monkeypatch):
    monkeypatch.setattr(timing, "SECONDS_A_PART", 0.1)
    windows = windows_of(np.random.default_rng(0).integers(10, 200, 400).tolist())
    batches = batches_of(windows, 512)
    rate = timed(batches, shortened(windows[0], 8), clock.run)
    assert rate.token.seconds == pytest.approx(A_TOKEN, rel=1e-6)
    assert rate.batch.seconds == pytest.approx(A_BATCH, rel=1e-6)
    assert rate.of(batches).cpu == pytest.approx((A_BATCH * len(batches) + A_TOKEN * tokens_in(batches)) / 2)
    assert rate.a_token(batches).seconds * tokens_in(batches) == pytest.approx(rate.of(batches).seconds)
    assert 512 < clock.seen[-1] < tokens_in(batches) / 10


def test_of_a_batch_that_is_too_much_some_windows_are_timed(clock, monkeypatch):
    monkeypatch.setattr(timing, "SECONDS_A_PART", 0.01)
    windows = windows_of([100] * 80)
    timed([windows], shortened(windows[0], 8), clock.run)
    assert clock.seen == [8, 8, 1000]


def test_the_shortest_windows_do_not_stand_for_long_ones(clock, monkeypatch):
    """Of a sample of which one batch can be afforded, the last one is a single short window."""
    monkeypatch.setattr(timing, "SECONDS_A_PART", 0.05)
    windows = windows_of([1024] * 8 + [20])
    batches = batches_of(windows, 2048)
    assert [sum(map(len, batch)) for batch in batches] == [2048] * 4 + [20]
    timed(batches, shortened(windows[0], 8), clock.run)
    assert clock.seen[2:] == [1024]


def test_starts_are_every_processes_and_tokens_are_shared():
    stage = StageWork("score", 1000, Took(10, 5), Took(0.2, 0.1), 4, "measured here", Took(0.05, 0.02))
    assert stage.seconds == pytest.approx(10 + 1000 * 0.25 / 4)
    assert stage.device_seconds == pytest.approx(4 * 5 + 1000 * 0.12)
    assert stage.with_model(2).seconds == pytest.approx(10 + 1000 * 0.45 / 4)
    assert stage.at_rate(100).of(500).seconds == pytest.approx(10 + 500 / 100 / 4)
    assert least_sure(["given", "measured here", "measured elsewhere"]) == "measured elsewhere"
