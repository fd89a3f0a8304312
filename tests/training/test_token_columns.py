from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from annotated_corpora import annotate, word_tokenizer

from ifcurate.annotation.reader import AnnotatedCorpus
from ifcurate.errors import InputError
from ifcurate.training.packing import INPUT_IDS, Delimiters, PackedTokens, PackingCollator, token_dtype, write_stream
from ifcurate.training.token_columns import LOSS_WEIGHTS, REFERENCE_LOSSES, STORED_LOSSES, influence_weights


def scored_corpus(folder: Path, behaviours: tuple[str, ...]) -> AnnotatedCorpus:
    tokenizer = word_tokenizer(folder / "model")
    data = annotate(folder / "data", tokenizer, behaviours=behaviours, scored=True)
    return AnnotatedCorpus(str(data), behaviours, tokenizer, with_losses=True, with_strengths=True)


def test_lambdas_are_proportional_to_influence_and_their_mean_is_the_given_one(tmp_path: Path) -> None:
    corpus = scored_corpus(tmp_path, ("toxic", "private"))
    column = influence_weights(corpus, [0.6, 2.0])
    by_word: dict[str, set[float]] = {}
    toxic = []
    for document in corpus.documents():
        weights = column.of(document)
        words = corpus.tokenizer.convert_ids_to_tokens(document.token_ids.tolist())
        for word, weight, marks in zip(words, weights.tolist(), document.marks.tolist(), strict=True):
            by_word.setdefault(word, set()).add(round(weight, 6))
            toxic += [-weight] if marks == 1 else []
    assert by_word["vile"] == {round(-0.6 * 4 / 3, 6)}
    assert by_word["scum"] == {round(-0.6 * 2 / 3, 6)}
    assert by_word["dog"] == {-2.0}
    assert by_word["cat"] == {1.0}
    assert np.mean(toxic) == pytest.approx(0.6)


def test_a_behaviour_without_positive_influence_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annotated_corpora.WORD_INFLUENCE", {"vile": -0.5, "scum": -0.5})
    monkeypatch.setattr("annotated_corpora.TAU", -0.75)
    with pytest.raises(InputError, match="no token that 'toxic' marks has a positive influence"):
        influence_weights(scored_corpus(tmp_path, ("toxic",)), [1.0])


@pytest.mark.parametrize("end", [None, 1])
def test_columns_stay_beside_their_tokens_through_stream_and_collator(tmp_path: Path, end: int | None) -> None:
    corpus = scored_corpus(tmp_path, ("toxic",))
    columns = [STORED_LOSSES, influence_weights(corpus, [1.0])]
    write_stream(corpus.documents(), Delimiters(0, end), token_dtype(32), tmp_path / "packed", columns)
    packed = PackedTokens(tmp_path / "packed", token_dtype(32), [1.0], 5, [REFERENCE_LOSSES, LOSS_WEIGHTS])
    expected = []
    for document in corpus.documents():
        expected.append((0, 0.0, 1.0))
        assert document.losses is not None
        expected += zip(document.token_ids.tolist(), document.losses, columns[1].of(document), strict=True)
        expected += [] if end is None else [(end, 0.0, 1.0)]
    rows = [packed[index] for index in range(len(packed))]
    names = (INPUT_IDS, REFERENCE_LOSSES, LOSS_WEIGHTS)
    found = []
    for index, own in enumerate(rows):
        found += list(zip(*(own[name] for name in names), strict=True))[index > 0 :]  # rows overlap by one token
    assert found == expected
    batch = PackingCollator(100, 0)(
        [{name: values[index > 0 :] for name, values in own.items()} for index, own in enumerate(rows)]
    )
    for place, name in enumerate(names):
        assert batch[name][0].tolist() == [row[place] for row in expected]
