"""Influence rounded to fewer significant bits is what the smaller format would hold, wherever that has the range."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ifcurate.influence.precision import SIGNIFICANT_BITS, rounded

finite = arrays(np.float32, st.integers(0, 30), elements=st.floats(-(2.0**127), 2.0**127, width=32))


@settings(max_examples=200, deadline=None)
@given(finite)
def test_bfloat16_is_torchs(values: np.ndarray) -> None:
    expected = torch.from_numpy(values).to(torch.bfloat16).float().numpy()
    assert np.array_equal(rounded(values, "bfloat16"), expected)


@settings(max_examples=200, deadline=None)
@given(arrays(np.float32, st.integers(0, 30), elements=st.floats(-60000.0, 60000.0, width=32)))
def test_float16_is_numpys_where_that_is_normal(values: np.ndarray) -> None:
    normal = (np.abs(values) >= 2.0**-14) | (values == 0)
    expected = values.astype(np.float16).astype(np.float32)
    assert np.array_equal(rounded(values, "float16")[normal], expected[normal])


@settings(max_examples=200, deadline=None)
@given(finite.map(lambda values: values[np.abs(values) >= 1e-37]))
def test_what_is_lost_is_what_is_said_and_order_is_kept(values: np.ndarray) -> None:
    assert rounded(values, "float32") is values
    for precision, bits in SIGNIFICANT_BITS.items():
        found = rounded(values, precision).astype(np.float64)
        assert np.all(np.abs(found - values) <= 2.0**-bits * np.abs(values.astype(np.float64)))
        assert np.all(np.diff(rounded(np.sort(values), precision)) >= 0)
        assert np.array_equal(rounded(rounded(values, precision), precision), rounded(values, precision))
