"""Peaks of fitting and of a direction against those of the real thing, in this process."""

import ctypes
import gc
import re
from pathlib import Path

import pytest
import torch
from tiny_models import tiny_model

from ifcurate.influence.curvature.fit import fit_factors
from ifcurate.influence.query_gradient import QueryWindow, query_gradient
from ifcurate.model.windows import Window
from ifcurate.planning.disk import factors_bytes
from ifcurate.planning.memory import Peak, direct_peak, fit_peak, largest_that_fits, matrices_bytes, vectors_bytes
from ifcurate.planning.shapes import shape_of

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
POSITIONS = 512
FACTOR = 1.5
"""By which an estimate may be off, either way."""


def resident(what):
    """VmRSS or VmHWM of this process, in bytes."""
    return 1024 * int(re.search(rf"{what}:\s+(\d+) kB", STATUS.read_text())[1])


def peak_of(work):
    """What `work` holds at most, beside what this process held before."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # else what was freed before is taken again, unseen
    RESET.write_text("5")
    before = resident("VmRSS")
    work()
    return resident("VmHWM") - before


@pytest.mark.skipif(not RESET.exists(), reason="resets its peak memory in /proc")
def test_peaks_are_near_those_of_the_real_thing(tmp_path):
    shape_given = {"hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 2, "max_position_embeddings": 256}
    model = tiny_model("llama", **shape_given)
    held = 4 * sum(parameter.numel() for parameter in model.parameters())
    shape = shape_of(tiny_model("llama", **shape_given).to("meta"))
    ids = torch.randint(300, (2, 256), generator=torch.Generator().manual_seed(0)).int().numpy()
    windows = [Window(number, 0, row) for number, row in enumerate(ids)]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        queries = [QueryWindow(window, 0) for window in windows]
        direct = peak_of(lambda: query_gradient(model, queries, 0, POSITIONS))
        fit = peak_of(lambda: fit_factors(model, windows, 0, tmp_path / "factors", POSITIONS, 0))
    finally:
        torch.set_num_threads(threads)
    small = 64 << 20  # of logits, which are few here
    of_fit = fit_peak(shape, POSITIONS, matrices_bytes(shape, 1), vectors_bytes(shape))
    for found, planned in ((fit, of_fit), (direct, direct_peak(shape, POSITIONS, factors_bytes(shape)))):
        expected = planned.bytes - held - small
        assert expected / FACTOR < found < expected * FACTOR, (planned.mostly, found >> 20, expected >> 20)


def test_batches_are_halved_until_they_fit():
    def peak(positions):
        return Peak(100 + positions, "activations")

    assert largest_that_fits(peak, 64, 8, room=150) == (32, Peak(132, "activations"))
    assert largest_that_fits(peak, 64, 8, room=90) == (8, Peak(108, "activations"))
