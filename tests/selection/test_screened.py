"""Selections of which some documents have no score: what they hold, and what the audit says of the rest."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from score_files import Corpus, one_character_each, write_scores
from selection_runs import run

from ifcurate.annotation.columns import annotation_columns
from ifcurate.corpus.parquet import ParquetReader
from ifcurate.errors import InputError
from ifcurate.selection.algorithm import select
from ifcurate.selection.scores import Sidecar
from ifcurate.selection.screened import Screened
from ifcurate.selection.settings import SelectionSettings
from ifcurate.selection.summation import sum_sidecars
from ifcurate.selection.table import Selection, ShardRecords

AUDIT = 0.2
CHOSEN = SelectionSettings(quantile=0.9, budget="10%")
FEW = Corpus([[9.0, 0.0], [8.0, 0.0, 0.0], [0.0, 7.0], [0.0]], one_character_each([[0] * 2, [0] * 3, [0] * 2, [0]]))


def drawn(seed: int, documents: int = 300) -> tuple[list[list[float]], np.ndarray]:
    """Documents of which a tenth holds high scores, and what a screen that is often right says of each."""
    generator = np.random.default_rng(seed)
    bad = generator.random(documents) < 0.1
    influence = [
        (generator.standard_normal(int(generator.integers(1, 40))) + 4 * rude * (generator.random() < 0.9)).tolist()
        for rude in bad
    ]
    return influence, bad + generator.normal(0, 0.45, documents)


def screened(influence: list[list[float]], said: np.ndarray, seed: int, share: float = 0.2) -> Corpus:
    draws = np.random.default_rng(1000 + seed).random(len(said))
    weights = np.where(said >= np.quantile(said, 1 - share), 1.0, np.where(draws < AUDIT, 1 / AUDIT, 0.0))
    return Corpus(influence, one_character_each(influence), (), weights.tolist(), 1 / AUDIT)


def judged(selection: Selection) -> Screened:
    assert selection.screened is not None
    return selection.screened


def test_everything_scored_selects_as_without_a_screen() -> None:
    influence, _ = drawn(0)
    plain = Corpus(influence, one_character_each(influence), (50, 200))
    whole = dataclasses.replace(plain, weights=[1.0] * len(influence))
    for chosen in (CHOSEN, SelectionSettings(quantile=0.8, budget="35%", rank_by="window", context=7)):
        expected, mask, ranks = run(plain, chosen)
        selection, screened_mask, screened_ranks = run(whole, chosen)
        assert (screened_mask, screened_ranks) == (mask, ranks)
        assert dataclasses.replace(selection, screened=None) == expected
        found = judged(selection)
        assert (found.recall, found.recall_low, found.recall_high) == (1.0, 1.0, 1.0)
        assert found.tau_low == found.tau_high == selection.tau


def test_an_audit_of_everything_is_everything() -> None:
    """Of weight 1, audited documents are as those above the threshold."""
    influence, said = drawn(1)
    corpus = dataclasses.replace(screened(influence, said, 0), weights=[1.0] * len(said), audit_weight=1.0)
    assert run(corpus, CHOSEN)[1] == run(Corpus(influence, corpus.offsets), CHOSEN)[1]


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 50), st.lists(st.integers(0, 60), max_size=3).map(sorted), st.randoms())
def test_neither_shards_nor_order_matter(seed: int, ends: list[int], random: object) -> None:
    influence, said = drawn(seed, 60)
    corpus = screened(influence, said, seed)
    selection, mask, _ = run(corpus, CHOSEN)
    cut, cut_mask, _ = run(dataclasses.replace(corpus, shard_ends=tuple(ends)), CHOSEN)
    assert (cut, cut_mask) == (selection, mask)
    order = list(range(60))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert corpus.weights is not None
    shuffled = Corpus(
        [influence[place] for place in order],
        [corpus.offsets[place] for place in order],
        (),
        [corpus.weights[place] for place in order],
        corpus.audit_weight,
    )
    again, again_mask, _ = run(shuffled, CHOSEN)
    assert again.screened == selection.screened
    assert again_mask == [mask[place] for place in order]


def test_the_budget_is_of_all_tokens_and_what_is_not_scored_is_not_selected() -> None:
    influence, said = drawn(2)
    corpus = screened(influence, said, 2)
    selection, mask, ranks = run(corpus, CHOSEN)
    assert selection.budget_tokens == int(0.1 * sum(map(len, influence)))
    assert corpus.weights is not None
    unscored = [place for place, weight in enumerate(corpus.weights) if weight == 0]
    assert unscored and not any(any(mask[place]) or ranks[place] for place in unscored)
    found = judged(selection)
    weighed = found.selected_above + found.selected_below
    assert 0.98 * selection.budget_tokens <= weighed <= selection.budget_tokens
    assert found.recall == pytest.approx(found.selected_above / weighed)
    assert selection.shortfall_reason == "the rest is what documents without a score are estimated to hold"
    assert found.documents_above + found.documents_audited == np.count_nonzero(corpus.weights)


@pytest.mark.parametrize(("corpus", "budget"), [(3, "10%"), pytest.param(4, "5%", id="above the threshold fills it")])
def test_the_audit_is_right_on_average_and_its_interval_holds_the_truth(corpus: int, budget: str) -> None:
    """Over the draws of an audit of one corpus, whose documents are all scored too, so that the truth is known.

    Where the documents above the threshold nearly fill the budget, recall hangs on tau more than on what was drawn.
    """
    influence, said = drawn(corpus)
    chosen = CHOSEN.model_copy(update={"budget": budget})
    selection, truth, _ = run(Corpus(influence, one_character_each(influence)), chosen)
    above = said >= np.quantile(said, 0.8)
    selected = np.array([sum(document) for document in truth])
    recall = selected[above].sum() / selected.sum()
    found = [judged(run(screened(influence, said, seed), chosen)[0]) for seed in range(8, 16)]
    estimates = np.array([each.recall for each in found])
    assert abs(estimates.mean() - recall) < 2.5 * estimates.std() / np.sqrt(len(found)) + 0.01
    assert sum(each.recall_low <= recall <= each.recall_high for each in found) >= 7
    assert sum(each.tau_low <= selection.tau <= each.tau_high for each in found) >= 7


def test_the_columns_of_documents_without_a_score_are_null_but_for_their_spans(tmp_path: Path) -> None:
    weights = [1.0, 0.0, 5.0, 0.0]
    file = write_scores(tmp_path / "s.parquet", FEW.influence, weights=weights, audit_weight=5.0)
    selection = select([("s", file)], SelectionSettings(quantile=0.5, budget="50%"), tmp_path / "selection")
    (batch,) = ParquetReader(str(file)).batches()
    records = ShardRecords.load(tmp_path / "selection", "toxic", "s").of_rows(0, 4)
    columns = {name: column.to_pylist() for name, column in annotation_columns(batch, records, selection, "s").items()}
    assert columns.pop("token_ids") == [[0, 1], [0, 1, 2], [0, 1], [0]]
    spans = columns.pop("toxic_spans")
    assert (spans[1], spans[3]) == ([], []) and spans[0]
    assert len(columns) == 5
    for name, values in columns.items():
        assert [value is None for value in values] == [weight == 0 for weight in weights], name


def test_refusals(tmp_path: Path) -> None:
    one = write_scores(tmp_path / "1.parquet", [[1.0]], weights=[1.0], audit_weight=5.0)
    other = write_scores(tmp_path / "2.parquet", [[1.0]], weights=[1.0], audit_weight=9.0)
    with pytest.raises(InputError, match="screened otherwise than those of"):
        select([("1", one), ("2", other)], CHOSEN, tmp_path / "selection")
    with pytest.raises(InputError, match="has scores of a part of its documents"):
        sum_sidecars([one, one], "toxic", tmp_path / "sum.parquet")
    none = write_scores(tmp_path / "3.parquet", [[1.0, 2.0]], weights=[0.0], audit_weight=5.0)
    with pytest.raises(InputError, match="none of the 2 tokens of the corpus has a score"):
        select([("3", none)], CHOSEN, tmp_path / "selection")
    assert [len(values) for _, values in Sidecar("3", none, "toxic").influence()] == [0, 0]
