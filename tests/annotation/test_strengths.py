from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from annotated_corpora import TEXTS, annotate, letter_tokenizer, word_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st

from ifcurate.annotation.reader import AnnotatedCorpus
from ifcurate.annotation.strengths import strengths
from ifcurate.corpus.parquet import attach, metadata_of
from ifcurate.errors import InputError

TAU = 0.25
documents = st.lists(
    st.lists(st.tuples(st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1.0, 2.0]), st.booleans()), max_size=12),
    min_size=1,
    max_size=4,
)


def slowly(influence: list[float], marked: list[bool], window: int | None) -> list[float]:
    """One document, token by token: the nearest trigger of the window, else of the document; ties to the larger."""
    found = []
    for token, is_marked in enumerate(marked):
        candidates = [other for other, value in enumerate(influence) if value > TAU]
        own = [other for other in candidates if window is None or other // window == token // window]
        best = sorted(own or candidates, key=lambda other: (abs(other - token), -influence[other]))
        found.append(0.0 if not is_marked else influence[best[0]] if best else np.nan)
    return found


@given(documents=documents, window=st.sampled_from([None, 1, 3, 5]))
@settings(max_examples=100, deadline=None)
def test_a_marked_token_is_as_strong_as_its_nearest_trigger(
    documents: list[list[tuple[float, bool]]], window: int | None
) -> None:
    flat = [token for document in documents for token in document]
    influence, mask = np.array([s for s, _ in flat], np.float32), np.array([m for _, m in flat], np.bool_)
    rows = np.cumsum([0, *(len(document) for document in documents)])
    found = strengths(influence, mask, rows, TAU, window)
    expected = [
        value for document in documents for value in slowly([s for s, _ in document], [m for _, m in document], window)
    ]
    np.testing.assert_array_equal(found, np.array(expected, np.float32))


def test_negative_triggers_are_clipped() -> None:
    """Where tau is negative, tokens may be selected that make the behaviour less likely."""
    found = strengths(np.array([-0.5, -2.0], np.float32), np.array([True, True]), np.array([0, 2]), -1.0)
    assert found.tolist() == [0.0, 0.0]


def rewrite(path: Path, **said: object) -> None:
    table = pq.read_table(path)
    entries = {name: {**entry, **said} for name, entry in metadata_of(table.schema).items()}
    pq.write_table(table.replace_schema_metadata(attach(table.schema, entries).metadata), path)


def test_the_corpus_reads_strengths_and_losses_of_its_own_tokenizer(tmp_path: Path) -> None:
    tokenizer = word_tokenizer(tmp_path / "model")
    data = annotate(tmp_path / "data", tokenizer, behaviours=("toxic", "private"), scored=True)
    corpus = AnnotatedCorpus(str(data), ["private", "toxic"], tokenizer, with_losses=True, with_strengths=True)
    assert corpus.lacking_losses() is None
    found = {}
    for document in corpus.documents():
        text = " ".join(tokenizer.convert_ids_to_tokens(document.token_ids.tolist()))
        assert document.losses is not None and document.strengths is not None
        assert document.losses.tolist() == list(range(len(document.token_ids)))
        found[text] = document.strengths.tolist()
    assert set(found) == set(TEXTS)
    assert found["the vile dog sat on you"] == [[0, 0, 3, 0, 0, 0], [0, 4, 0, 0, 0, 0]]
    assert found["you are vile scum"] == [[0, 0, 0, 0], [0, 0, 4, 2]]


def test_another_tokenizer_and_unknown_selections_are_refused(tmp_path: Path) -> None:
    tokenizer = word_tokenizer(tmp_path / "model")
    data = annotate(tmp_path / "data", tokenizer, scored=True)
    other = AnnotatedCorpus(str(data), ["toxic"], letter_tokenizer(tmp_path / "other"), with_strengths=True)
    with pytest.raises(InputError, match=r"part-0.parquet: has no tokens of .*, and the spans of another tokenizer's"):
        list(other.documents())
    assert "spans of another tokenizer's carry neither" in str(other.lacking_losses())
    rewrite(data / "part-1.parquet", tau=3.0)
    own = AnnotatedCorpus(str(data), ["toxic"], tokenizer, with_strengths=True)
    with pytest.raises(InputError, match=r"part-1.parquet: row 3: a token is marked for 'toxic', and none of its doc"):
        list(own.documents())
    rewrite(data / "part-0.parquet", rank_by="window")
    with pytest.raises(InputError, match=r"part-0.parquet: does not say above which influence tokens were selected"):
        list(own.documents())


def test_losses_are_ours_or_lacking(tmp_path: Path) -> None:
    tokenizer = word_tokenizer(tmp_path / "model")
    data = annotate(tmp_path / "data", tokenizer, scored=True)
    corpus = AnnotatedCorpus(str(data), ["toxic"], tokenizer, with_losses=True)
    rewrite(data / "part-1.parquet", with_loss=False)  # a column `loss` of somebody else
    assert str(corpus.lacking_losses()) == f"{data}/part-1.parquet: holds no losses; annotate the corpus --with-loss."
    table = pq.read_table(data / "part-1.parquet")
    place = table.schema.get_field_index("loss")
    pq.write_table(table.set_column(place, "loss", pa.array([[0.0]] * 4)), data / "part-1.parquet")
    with pytest.raises(InputError, match=r"part-1.parquet: row 0: column 'loss' has 1 entries for 4 tokens"):
        list(corpus.documents())
