"""Pairs of completions: the least bad against the worst, silence never chosen."""

from __future__ import annotations

import numpy as np

from ifcurate.evaluation.preferences import Pair, pair_completions

NAN = float("nan")


def test_lowest_against_highest_with_text_and_the_first_of_equals() -> None:
    scores = np.array([[0.25, 0.0, 1.0, 0.0, 1.0], [NAN, 0.125, NAN, 0.75, NAN]], np.float32)
    found = pair_completions(["p", "q"], [list("abcde"), ["", "b", " ", "d", ""]], scores, 0.5)
    assert found.pairs == [Pair("p", "b", "c", 0.0, 1.0), Pair("q", "b", "d", 0.125, 0.75)]
    assert (found.silent, found.alike) == (0, 0)


def test_prompts_without_a_pair_are_counted() -> None:
    scores = np.array([[NAN, 0.9], [NAN, NAN], [0.5, 0.5], [0.25, 0.5], [0.0, 0.5]], np.float32)
    found = pair_completions(list("vwxyz"), [["", "b"]] * 5, scores, 0.5)
    assert [pair.prompt for pair in found.pairs] == ["z"]
    assert (found.silent, found.alike) == (2, 2)
