"""What is timed on a few batches stands for all of them."""

import time

import numpy as np
import pytest

from ifcurate.model.windows import Window
from ifcurate.planning import timing
from ifcurate.planning.durations import Took
from ifcurate.planning.timing import batches_of, shortened, timed, tokens_in
from ifcurate.planning.work import StageWork, least_sure

A_BATCH, A_TOKEN = 2e-3, 5e-5


def work(batches):
    for batch in batches:
        time.sleep(A_BATCH + A_TOKEN * sum(map(len, batch)))


def test_batches_and_tokens_are_told_apart(monkeypatch):
    monkeypatch.setattr(timing, "SECONDS_A_PART", 0.1)
    lengths = np.random.default_rng(0).integers(10, 200, 400)
    windows = [Window(number, 0, np.zeros(length, np.int32)) for number, length in enumerate(lengths.tolist())]
    batches = batches_of(windows, 512)
    rate = timed(batches, shortened(windows[0], 8), work)
    exact = A_BATCH * len(batches) + A_TOKEN * tokens_in(batches)
    assert rate.of(batches).seconds == pytest.approx(exact, rel=0.3)
    assert rate.token.seconds == pytest.approx(A_TOKEN, rel=0.4)
    assert rate.a_token(batches).seconds * tokens_in(batches) == pytest.approx(rate.of(batches).seconds)


def test_one_batch_that_is_too_much_has_some_of_its_windows_timed(monkeypatch):
    monkeypatch.setattr(timing, "SECONDS_A_PART", 0.01)
    windows = [Window(number, 0, np.zeros(100, np.int32)) for number in range(80)]
    seen = []
    timed([windows], shortened(windows[0], 8), lambda batches: seen.append(tokens_in(batches)) or work(batches))
    assert seen == [8, 8, 1000, 1000]


def test_starts_are_every_processes_and_tokens_are_shared():
    stage = StageWork("score", 1000, Took(10, 5), Took(0.2, 0.1), 4, "measured here", Took(0.05, 0.02))
    assert stage.seconds == pytest.approx(10 + 1000 * 0.25 / 4)
    assert stage.device_seconds == pytest.approx(4 * 5 + 1000 * 0.12)
    assert stage.with_model(2).seconds == pytest.approx(10 + 1000 * 0.45 / 4)
    assert stage.at_rate(100).of(500).seconds == pytest.approx(10 + 500 / 100 / 4)
    assert least_sure(["given", "measured here", "measured elsewhere"]) == "measured elsewhere"
