from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from drawn_corpora import corpora
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from score_files import Corpus, Offsets, one_character_each, write_scores
from selection_runs import run
from slow_selection import algorithm_1

from ifcurate import progress
from ifcurate.corpus import parquet
from ifcurate.errors import InputError
from ifcurate.selection.algorithm import select
from ifcurate.selection.records import cut_records
from ifcurate.selection.scores import FLOAT_LIST, INT_LIST, TOKEN_ENDS, influence_column
from ifcurate.selection.settings import SelectionSettings
from ifcurate.selection.spans import Ranges
from ifcurate.selection.table import SELECTED, Selection, ShardRecords, records_path, summary_path

Messages = Callable[[], list[str]]


@st.composite
def any_settings(draw: st.DrawFn) -> SelectionSettings:
    return SelectionSettings(
        quantile=draw(st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0])),
        neighbours=draw(st.sampled_from([0, 1, 2, 50])),
        budget=draw(st.one_of(st.integers(0, 15), st.sampled_from(["0%", "35%", 10**12]))),
        budget_ends=draw(st.sampled_from(["token", "neighbourhood"])),
        rank_by=draw(st.sampled_from(["document", "window"])),
        context=draw(st.integers(1, 5)),
        length_exponent=draw(st.sampled_from([0, 0.5, 1])),
    )


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(corpora(), any_settings())
def test_equals_algorithm_1_in_plain_python(corpus: Corpus, chosen: SelectionSettings) -> None:
    selection, mask, ranks = run(corpus, chosen)
    expected = algorithm_1(corpus, chosen, selection.budget_tokens)
    assert ranks == pytest.approx(expected.ranks, abs=1e-12)
    assert mask == expected.mask
    assert selection.tau == expected.tau
    selected = sum(map(sum, mask))
    assert (selection.tokens_selected, selection.shortfall) == (selected, selection.budget_tokens - selected)
    assert selection.documents_selected == sum(map(any, mask))
    assert (selection.documents, selection.tokens) == (len(mask), sum(map(len, mask)))
    assert (selection.shortfall_reason is None) == (selection.shortfall == 0)


@settings(max_examples=25, deadline=None)
@given(corpora(), any_settings())
def test_does_not_depend_on_shards(corpus: Corpus, chosen: SelectionSettings) -> None:
    whole = Corpus(corpus.influence, corpus.offsets)
    assert run(whole, chosen) == run(corpus, chosen)


def test_scores_do_not_depend_on_shards_or_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    influence = [rng.standard_cauchy(length).tolist() for length in rng.integers(0, 400, 200)]
    whole = Corpus(influence, one_character_each(influence))
    chosen = SelectionSettings(quantile=0.7)
    expected = run(whole, chosen)
    monkeypatch.setattr(parquet, "BATCH_BYTES", 5000)
    assert run(Corpus(influence, whole.offsets, (1, 60, 61, 150)), chosen) == expected


@settings(max_examples=20, deadline=None)
@given(corpora(), any_settings(), st.randoms())
def test_the_order_of_documents_only_breaks_ties(corpus: Corpus, chosen: SelectionSettings, random: object) -> None:
    chosen = chosen.model_copy(update={"budget": 10**9})
    order = list(range(len(corpus.influence)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = Corpus([corpus.influence[index] for index in order], [corpus.offsets[index] for index in order])
    selection, mask, _ = run(corpus, chosen)
    shuffled_selection, shuffled_mask, _ = run(shuffled, chosen)
    assert shuffled_selection == selection
    assert shuffled_mask == [mask[index] for index in order]


def test_a_neighbourhood_that_does_not_fit_ends_the_selection() -> None:
    influence = [[0, 0, 5, 0, 6, 0], [0, 0, 0, 4, 0, 0]]
    chosen = SelectionSettings(quantile=0.7, neighbours=1, length_exponent=0, budget_ends="neighbourhood")
    for budget, selected in [(2, 0), (3, 3), (4, 3), (5, 5), (7, 5), (8, 8), (9, 8)]:
        settings = chosen.model_copy(update={"budget": budget})
        selection, mask, _ = run(Corpus(influence, one_character_each(influence)), settings)
        assert sum(map(sum, mask)) == selection.tokens_selected == selected
        assert selection.shortfall == budget - selected
    assert selection.shortfall_reason == "the tokens above tau and their neighbours are fewer than the budget"


def test_by_hand() -> None:
    influence = [[0, 0, 5, 0, 0], [], [9, 0, 0, 0, 7], [1, 0], [0]]
    chosen = SelectionSettings(quantile=0.75, neighbours=1, budget=5, length_exponent=0)
    selection, mask, ranks = run(Corpus(influence, one_character_each(influence)), chosen)
    # Of 13 scores 9 are 0, and 0.75 * 12 = 9 is the place of the 1. Sparsities are 1, 2, 0, 0 and scores 5, 16, 0, 0.
    assert selection.tau == 1.0
    assert ranks == pytest.approx([2 * 0.5 * 0.3125 / 0.8125, 0.0, 1.0, 0.0, 0.0])
    assert [[int(taken) for taken in document] for document in mask] == [
        [0, 1, 0, 0, 0],
        [],
        [1, 1, 0, 1, 1],
        [0, 0],
        [0],
    ]
    assert selection.last_rank == ranks[0]
    assert (selection.tokens_above_tau, selection.documents_selected, selection.shortfall) == (3, 2, 0)


def test_shared_characters_are_not_split() -> None:
    influence = [[0.0, 9.0, 0.0, 0.0, 0.0, 8.0]]
    offsets: list[Offsets] = [[(0, 1), (1, 2), (2, 3), (2, 3), (2, 3), (3, 4)]]
    for budget, expected, shortfall in [
        (6, [1, 1, 1, 1, 1, 1], 0),
        (5, [1, 1, 1, 1, 1, 0], 0),
        (4, [1, 1, 0, 0, 0, 0], 2),
    ]:
        selection, mask, _ = run(Corpus(influence, offsets), SelectionSettings(quantile=0.5, budget=budget))
        assert mask == [[bool(value) for value in expected]]
        assert selection.shortfall == shortfall
    assert selection.shortfall_reason == "the next character is spelled by more tokens than were left of the budget"


def test_a_character_belongs_to_the_window_where_it_begins() -> None:
    tokens = Ranges.of_document([0, 1, 1, 1, 2], [1, 2, 2, 2, 3])
    records = cut_records(tokens, context=2)
    assert records.tokens.tolist() == [4, 0, 1]
    assert records.window.tolist() == [0, 1, 2]
    assert cut_records(tokens, context=None).tokens.tolist() == [5]


def test_progress_counts_every_token_of_both_passes(monkeypatch: pytest.MonkeyPatch, messages: Messages) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0)
    influence = [[0.0, 1.0, 2.0], [], [3.0] * 5]
    run(Corpus(influence, one_character_each(influence), (1,)), SelectionSettings())
    said = [line.split(" tokens, ")[0] for line in messages()]
    assert said == ["select: 18.8%, 3", "select: 50.0%, 8", "select: 68.8%, 11", "select: 100.0%, 16"]


def test_longer_documents_do_not_win_by_length() -> None:
    influence = [[0.0] * 90 + [1.0] * 10, [3.0, 3.0, 3.0, 0.0]]
    corpus = Corpus(influence, one_character_each(influence))
    raw, per_token = (run(corpus, SelectionSettings(quantile=0.5, length_exponent=p))[2] for p in (0, 1))
    assert (raw, per_token) == ([1.0, 0.0], [0.0, 1.0])


def test_same_bytes_again(tmp_path: Path) -> None:
    influence = np.random.default_rng(1).normal(size=(50, 30)).tolist()
    shards = Corpus(influence, one_character_each(influence), (20,)).write(tmp_path / "scores")
    for folder in ("a", "b"):
        select(shards, SelectionSettings(), tmp_path / folder)
    for path in (summary_path, records_path):
        assert path(tmp_path / "a", "toxic").read_bytes() == path(tmp_path / "b", "toxic").read_bytes()
    table = pq.read_table(records_path(tmp_path / "a", "toxic"))
    assert table.schema.equals(SELECTED)
    assert table["shard"].to_pylist() == ["000"] * 20 + ["001"] * 30
    assert json.loads(summary_path(tmp_path / "a", "toxic").read_text())["budget"] == "2%"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"budget": "two"}, "must be a share from 0% to 100%"),
        ({"budget": "101%"}, "must be a share from 0% to 100%"),
        ({"budget": -1}, "must be a share from 0% to 100%"),
        ({"length_exponent": 2}, "must be 0, 0.5 or 1"),
        ({"rank_by": "window"}, "needs --context"),
        ({"quantile": 1.5}, "less than or equal to 1"),
        ({"behaviour": "../x"}, "match"),
    ],
)
def test_settings_that_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SelectionSettings(**wrong)


def refusal(shards: list[tuple[str, Path]], folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        select(shards, SelectionSettings(), folder)
    assert not summary_path(folder, "toxic").exists()
    assert not list(folder.glob("*.part"))
    return str(caught.value)


def test_score_files_that_are_refused(tmp_path: Path) -> None:
    good = write_scores(tmp_path / "good.parquet", [[1.0, 2.0], [3.0]])
    table = pq.read_table(good)
    influence = influence_column("toxic")

    def changed(name: str, values: pa.Array) -> Path:
        path = tmp_path / "bad.parquet"
        pq.write_table(table.set_column(table.schema.names.index(name), pa.field(name, values.type), values), path)
        return path

    missing = tmp_path / "missing.parquet"
    truncated, other = tmp_path / "truncated.parquet", tmp_path / "other.parquet"
    truncated.write_bytes(good.read_bytes()[:-20])
    pq.write_table(pa.table({"text": ["a"]}), other)
    lists = FLOAT_LIST
    bad = {
        "missing; score its shard again": lambda: missing,
        "cannot be read as scores": lambda: truncated,
        "holds no histogram of 'toxic'": lambda: other,
        "not those that its histogram counted": lambda: changed(influence, pa.array([[1.0, 9.0], [3.0]], lists)),
        "1 of 3 scores are NaN or infinite": lambda: changed(influence, pa.array([[1.0, np.nan], [3.0]], lists)),
        "has nulls": lambda: changed(influence, pa.array([[1.0, 2.0], None], lists)),
        "not list<": lambda: changed(influence, pa.array([[1.0, 2.0], [3.0]], pa.list_(pa.float64()))),
        "differ in length": lambda: changed(TOKEN_ENDS, pa.array([[1], [1, 2]], INT_LIST)),
        "ends before it starts": lambda: changed(TOKEN_ENDS, pa.array([[1, 0], [1]], INT_LIST)),
    }
    for expected, make in bad.items():
        path = make()
        message = refusal([("good", good), ("wrong", path)], tmp_path / "selection")
        assert expected in message and str(path) in message and "\n" not in message


def test_an_empty_corpus_is_refused(tmp_path: Path) -> None:
    assert "no tokens" in refusal([], tmp_path)
    assert "no tokens" in refusal([("a", write_scores(tmp_path / "a.parquet", [[], []]))], tmp_path)


def test_empty_shards_and_documents_are_no_error() -> None:
    corpus = Corpus([[], [1.0, 2.0], []], [[], [(0, 1), (1, 2)], []], (0, 1, 3))
    selection, mask, ranks = run(corpus, SelectionSettings(quantile=0.5, budget="100%"))
    assert (selection.documents, selection.records, selection.tokens_selected) == (3, 3, 2)
    assert mask == [[], [True, True], []] and ranks == [0.0, 0.0, 0.0]


def test_a_broken_summary_is_no_selection(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no finished selection"):
        Selection.load(tmp_path, "toxic")
    with pytest.raises(InputError, match="cannot be read"):
        ShardRecords.load(tmp_path, "toxic", "a")
