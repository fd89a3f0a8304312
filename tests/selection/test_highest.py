from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn_corpora import corpora
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from score_files import Corpus, Offsets, one_character_each, write_scores
from selection_runs import run
from slow_selection import groups_by_hand

from ifcurate.errors import InputError
from ifcurate.selection.algorithm import select
from ifcurate.selection.settings import SelectionSettings


def highest(budget: int | str) -> SelectionSettings:
    return SelectionSettings(rank_by="token", neighbours=0, budget=budget)


def by_hand(corpus: Corpus, budget: int) -> list[list[bool]]:
    """Groups that have characters, the highest score first, then in the order of the corpus, until one does not fit."""
    mask = [[False] * len(document) for document in corpus.influence]
    groups = []
    for number, (document, offsets) in enumerate(zip(corpus.influence, corpus.offsets, strict=True)):
        numbers = groups_by_hand(offsets)
        for group in dict.fromkeys(numbers):
            tokens = [token for token, own in enumerate(numbers) if own == group]
            if any(offsets[token][1] > offsets[token][0] for token in tokens):
                groups.append((-max(np.float32(document[token]) for token in tokens), number, tokens))
    for _, number, tokens in sorted(groups, key=lambda each: each[0]):
        if len(tokens) > budget:
            break
        budget -= len(tokens)
        for token in tokens:
            mask[number][token] = True
    return mask


@settings(max_examples=20, deadline=None)
@given(corpora(), st.integers(0, 40))
def test_equals_a_sort_of_all_groups_however_the_corpus_is_cut_into_shards(corpus: Corpus, budget: int) -> None:
    selection, mask, _ = run(corpus, highest(budget))
    assert mask == by_hand(corpus, budget)
    assert selection.shortfall == budget - sum(map(sum, mask))
    assert (selection.shortfall_reason is None) == (selection.shortfall == 0)


@settings(max_examples=6, deadline=None)
@given(corpora(), st.integers(0, 40), st.randoms())
def test_takes_exactly_the_budget_and_the_order_of_documents_only_breaks_ties(
    corpus: Corpus, budget: int, random: object
) -> None:
    corpus = replace(corpus, offsets=one_character_each(corpus.influence))
    selection, mask, _ = run(corpus, highest(budget))
    assert sum(map(sum, mask)) == selection.tokens_selected == min(budget, selection.tokens)
    order = list(range(len(mask)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = Corpus([corpus.influence[index] for index in order], [corpus.offsets[index] for index in order])
    other, other_mask, _ = run(shuffled, highest(budget))

    def taken(of: Corpus, masks: list[list[bool]]) -> list[float]:
        pairs = (zip(*document, strict=True) for document in zip(of.influence, masks, strict=True))
        return sorted(score for document in pairs for score, marked in document if marked)

    assert taken(shuffled, other_mask) == taken(corpus, mask)
    assert other.tau == selection.tau


def test_a_document_gives_up_its_highest_tokens_not_its_first() -> None:
    influence = [[1.0, 0.5, 3.0], [2.0, 3.0, -1.0], [3.0, 2.0, 2.0]]
    selection, mask, _ = run(Corpus(influence, one_character_each(influence), (1,)), highest(5))
    assert mask == [[False, False, True], [True, True, False], [True, True, False]]
    assert selection.tau == np.nextafter(np.float32(2), np.float32(0)) and selection.tokens_above_tau == 6
    assert selection.tau_is == "just below the 5 highest"


def test_a_character_that_does_not_fit_ends_it() -> None:
    offsets: list[Offsets] = [[(0, 1), (1, 2), (1, 2), (2, 3)]]
    selection, mask, _ = run(Corpus([[1.0, 0.0, 2.0, 1.5]], offsets), highest(1))
    assert mask == [[False] * 4] and selection.shortfall == 1
    assert selection.shortfall_reason == "the next character is spelled by more tokens than were left of the budget"


def test_negative_scores_and_a_budget_beyond_the_corpus() -> None:
    corpus = Corpus([[-5.0, -2.0], [-9.0]], [[(0, 1), (1, 2)], [(0, 1)]])
    assert run(corpus, highest(2))[1] == [[True, True], [False]]
    selection, mask, _ = run(corpus, highest(7))
    assert mask == [[True, True], [True]] and selection.shortfall == 4
    assert selection.shortfall_reason == "the corpus has no more tokens that characters belong to"


def test_a_threshold_stands_in_place_of_a_quantile() -> None:
    influence = [[0, 1, 0, 0, 0], [], [0, 0, 0], [1, 0, 0]]
    chosen = SelectionSettings(threshold=0, neighbours=1, budget="100%")
    selection, mask, _ = run(Corpus(influence, one_character_each(influence), (2,)), chosen)
    assert mask == [[True] * 3 + [False] * 2, [], [False] * 3, [True, True, False]]
    assert (selection.tau, selection.threshold, selection.tau_is) == (0, 0, "a given value")
    nothing, mask, _ = run(Corpus(influence, one_character_each(influence)), SelectionSettings(threshold=1))
    assert nothing.tokens_selected == 0 and not any(map(any, mask))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rank_by": "token"}, "give --neighbours 0"),
        ({"rank_by": "token", "neighbours": 0, "threshold": 1}, "leave out --threshold"),
        ({"rank_by": "token", "neighbours": 0, "max_repetition": 0.3}, "and --max-repetition"),
        ({"threshold": float("nan")}, "finite"),
    ],
)
def test_settings_that_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SelectionSettings(**wrong)


def test_documents_without_a_score_are_refused_by_token_and_not_above_a_threshold(tmp_path: Path) -> None:
    scores = write_scores(tmp_path / "a.parquet", [[1.0, 2.0], [3.0]], weights=[1.0, 0.0])
    with pytest.raises(InputError, match="a screen left documents without a score"):
        select([("a", scores)], highest(1), tmp_path / "selection")
    chosen = SelectionSettings(threshold=1.5, neighbours=0, budget="100%")
    selection = select([("a", scores)], chosen, tmp_path / "selection")
    assert selection.tokens_selected == 1 and selection.screened is not None
    assert (selection.screened.tau_low, selection.screened.tau_high) == (1.5, 1.5)


def test_tau_is_said_in_one_way() -> None:
    with pytest.raises(ValidationError, match="leave one of them out"):
        SelectionSettings(threshold=1.5, quantile=0.9)
