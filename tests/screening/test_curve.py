from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ifcurate.errors import InputError
from ifcurate.screening.curve import SHARES, recall_at, recall_curve, share_for

documents = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=30
).filter(lambda rows: any(min(tokens, selected) for _, tokens, selected in rows))


@given(documents, st.permutations(range(30)))
def test_a_curve_rises_to_all_and_ties_apart_does_not_know_the_order(
    rows: list[tuple[int, int, int]], order: list[int]
) -> None:
    tokens = np.array([tokens for _, tokens, _ in rows])
    selected = np.array([min(tokens, selected) for _, tokens, selected in rows])
    scores = np.arange(len(rows))[::-1] / 7
    curve = recall_curve(scores, tokens, selected)
    recalls = [recall for _, recall in curve]
    assert recalls == sorted(recalls)
    assert curve[-1] == (1.0, 1.0)
    places = [place for place in order if place < len(rows)]
    assert recall_curve(scores[places], tokens[places], selected[places]) == curve


def test_a_share_is_reached_by_whole_documents_from_the_highest_score_down() -> None:
    curve = recall_curve(
        np.array([0.1, 0.9, 0.5]), np.array([50, 20, 30]), np.array([1, 6, 3]), shares=(0.1, 0.2, 0.21, 0.5, 1.0)
    )
    assert curve == [(0.1, 0.6), (0.2, 0.6), (0.21, 0.9), (0.5, 0.9), (1.0, 1.0)]


def test_recall_and_share_are_read_off_both_ways() -> None:
    curve = [(0.1, 0.6), (0.5, 0.8), (1.0, 1.0)]
    assert recall_at(curve, 0.05) == pytest.approx(0.3)
    assert recall_at(curve, 0.3) == pytest.approx(0.7)
    assert share_for(curve, 0.7) == pytest.approx(0.3)
    assert share_for(curve, 0.6) == pytest.approx(0.1)
    assert share_for(curve, 1.0) == pytest.approx(1.0)
    with pytest.raises(InputError, match=r"--recall: the screen reaches 0\.8000 at most, not 0\.9"):
        share_for(curve[:2], 0.9)


def test_curves_are_kept_finely_where_it_matters_and_to_the_end() -> None:
    assert SHARES[0] == 0.005 and SHARES[-1] == 1.0 and list(SHARES) == sorted(set(SHARES))
