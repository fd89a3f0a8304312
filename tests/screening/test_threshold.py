from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ifcurate.screening.threshold import draw_of, find_threshold

said = st.one_of(st.floats(-1, 1, width=32), st.sampled_from([-0.5, 0.0, 0.25]))
documents = st.lists(st.tuples(said, st.integers(0, 50)), min_size=1, max_size=40)


@given(documents, st.floats(0.001, 1), st.integers(1, 5))
def test_no_higher_threshold_has_the_share_above_it(rows: list[tuple[float, int]], share: float, pieces: int) -> None:
    scores = np.array([score for score, _ in rows], np.float32)
    characters = np.array([count for _, count in rows])
    parts = np.array_split(np.arange(len(rows)), pieces)
    found = find_threshold(lambda: ((scores[part], characters[part]) for part in parts), share)
    above, total = characters[scores >= np.float32(found.value)].sum(), characters.sum()
    assert above >= share * total - 1e-9
    if total:
        assert found.share == above / total
        if share < 1:
            assert characters[scores > np.float32(found.value)].sum() < share * total


def test_a_share_of_one_is_every_document() -> None:
    scores = np.array([0.5, -2.0, 0.1], np.float32)
    found = find_threshold(lambda: [(scores, np.array([5, 0, 7]))], 1.0)
    assert (found.value, found.share) == (-2.0, 1.0)


def test_draws_depend_on_text_and_seed_alone_and_are_even() -> None:
    draws = np.array([draw_of(f"text {number}", 0) for number in range(4000)])
    assert draw_of("text 7", 0) == draws[7] != draw_of("text 7", 1)
    assert draws.min() >= 0 and draws.max() < 1
    assert np.abs(np.histogram(draws, bins=10, range=(0, 1))[0] - 400).max() < 80
