"""Shared marks, against sets of characters counted one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ifcurate.evaluation.overlap import count_marked, overlap
from ifcurate.selection.spans import Ranges

TEXT = st.text(st.sampled_from("ab \n\u3000🙂é"), max_size=12)


@st.composite
def documents(draw: st.DrawFn) -> tuple[list[str], list[list[list[tuple[int, int]]]]]:
    """Texts, and for each of two annotations the ranges of every text; ranges may touch, overlap and be empty."""
    texts = draw(st.lists(TEXT, min_size=1, max_size=6))

    def ranges(text: str) -> st.SearchStrategy[list[tuple[int, int]]]:
        border = st.integers(0, len(text))
        return st.lists(st.tuples(border, border).map(lambda pair: (min(pair), max(pair))), max_size=3)

    return texts, [[draw(ranges(text)) for text in texts] for _ in range(2)]


def as_ranges(annotation: list[list[tuple[int, int]]]) -> Ranges:
    sides = [np.array([[pair[side] for pair in pairs] for side in (0, 1)], np.int64) for pairs in annotation]
    return Ranges.of_documents([(starts, ends) for starts, ends in sides])


def characters(text: str, pairs: list[tuple[int, int]]) -> set[int]:
    return {place for start, end in pairs for place in range(start, end) if not text[place].isspace()}


@given(documents())
def test_counts_are_those_of_sets_of_characters(drawn):
    texts, annotations = drawn
    counts = count_marked(texts, [as_ranges(annotation) for annotation in annotations])
    for number, text in enumerate(texts):
        one, other = (characters(text, annotation[number]) for annotation in annotations)
        assert list(counts[number]) == [
            len("".join(text.split())),
            *(len(one), len(one & other)),
            *(len(one & other), len(other)),
        ]


def test_the_share_is_of_the_smaller_and_chance_of_the_larger():
    texts = ["abcd efgh", "ij"]
    wide, narrow = as_ranges([[(0, 9)], []]), as_ranges([[(2, 6)], [(0, 1)]])
    found = overlap(count_marked(texts, [wide, narrow]), 0, 1, seed=0)
    assert (found.first, found.second, found.common, found.characters) == (8, 4, 3, 10)
    assert found.share.value == 3 / 4
    assert found.chance == 8 / 10
    assert found.share.low <= found.share.value <= found.share.high


def test_an_annotation_shares_all_of_itself_and_nothing_with_none():
    texts = ["some text here"] * 5
    some, none = as_ranges([[(0, 4)]] * 5), as_ranges([[]] * 5)
    counts = count_marked(texts, [some, some, none])
    alike = overlap(counts, 0, 1, seed=0).share
    assert (alike.value, alike.low, alike.high) == (1, 1, 1)
    assert np.isnan(overlap(counts, 0, 2, seed=0).share.value)


def test_marks_that_know_nothing_of_each_other_share_what_chance_says():
    generator = np.random.default_rng(0)
    texts = ["x" * 200] * 300

    def drawn(share: float) -> Ranges:
        chosen = [np.flatnonzero(generator.random(200) < share) for _ in texts]
        return Ranges.of_documents([(places, places + 1) for places in chosen])

    found = overlap(count_marked(texts, [drawn(0.1), drawn(0.3)]), 0, 1, seed=0)
    assert found.share.low < found.chance < found.share.high
    assert found.chance == pytest.approx(0.3, abs=0.01)


def test_a_range_behind_its_text_is_refused():
    with pytest.raises(ValueError, match="behind its text"):
        count_marked(["abc"], [as_ranges([[(1, 4)]])])
