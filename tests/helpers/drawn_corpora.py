"""Corpora of scores for property tests."""

from __future__ import annotations

from hypothesis import strategies as st
from score_files import Corpus


@st.composite
def corpora(draw: st.DrawFn) -> Corpus:
    """Small corpora full of ties, empty documents, shared characters and empty tokens, cut into shards anywhere."""
    influence, offsets = [], []
    scores = st.sampled_from(draw(st.sampled_from([[-1.0, 0.0, 0.5, 2.0], [-3.0, -2.0, -1.5, -0.1], [1.0]])))
    for _ in range(draw(st.integers(1, 7))):
        tokens, start, end = [], 0, 0
        for _ in range(draw(st.integers(0, 8))):
            start = max(start, end + draw(st.sampled_from([-1, 0, 0, 0, 1])))
            end = max(end, start + draw(st.sampled_from([0, 1, 1, 2])))
            tokens.append((start, end if draw(st.integers(0, 9)) else start))
        offsets.append(tokens)
        influence.append([draw(scores) for _ in tokens])
    if not any(influence):
        influence, offsets = [*influence, [1.0]], [*offsets, [(0, 1)]]
    ends = sorted(draw(st.lists(st.integers(0, len(influence)), max_size=3)))
    return Corpus(influence, offsets, tuple(ends))
