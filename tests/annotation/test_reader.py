from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from annotated_corpora import TEXTS, annotate, letter_tokenizer, word_tokenizer

from ifcurate.annotation.reader import AnnotatedCorpus
from ifcurate.annotation.run_folder import annotated_folder
from ifcurate.errors import InputError


def marked_words(corpus: AnnotatedCorpus, bit: int = 0) -> list[str]:
    """Each document's marked tokens, joined."""
    words = []
    for document in corpus.documents():
        marked = [int(token) for token, mark in zip(document.token_ids, document.marks, strict=True) if mark >> bit & 1]
        words.append("".join(corpus.tokenizer.convert_ids_to_tokens(marked)))
    return words


def rewrite(path: Path, change: object) -> None:
    table = pq.read_table(path)
    pq.write_table(change(table), path)


def test_reads_the_masks_of_the_same_tokenizer(tmp_path: Path) -> None:
    tokenizer = word_tokenizer(tmp_path / "model")
    corpus = AnnotatedCorpus(str(annotate(tmp_path / "data", tokenizer)), ["toxic"], tokenizer)
    assert marked_words(corpus) == ["", "", "", "", "vilescum", "", "vile", "scum"]
    count = corpus.counts["toxic"]
    tokens = sum(len(text.split()) for text in TEXTS)
    assert (count.annotated, count.annotated_marked) == (count.trained, count.trained_marked) == (tokens, 4)
    assert f"{4 / tokens:.2%} of {tokens}" in count.sentence("toxic")


@pytest.mark.parametrize("token_ids", [True, False])
def test_projects_the_mask_onto_another_tokenizer(tmp_path: Path, token_ids: bool) -> None:
    proxy = word_tokenizer(tmp_path / "proxy")
    data = annotate(tmp_path / "data", proxy, token_ids=token_ids)
    corpus = AnnotatedCorpus(str(data), ["toxic"], letter_tokenizer(tmp_path / "other"))
    assert marked_words(corpus) == ["", "", "", "", "vilescum", "", "vile", "scum"]
    count = corpus.counts["toxic"]
    assert count.annotated_marked == 4
    assert count.trained_marked == len("vilescumvilescum")
    assert count.trained == sum(len(text) for text in TEXTS)


def content(corpus: AnnotatedCorpus) -> list[tuple[list[int], list[int]]]:
    return [(document.token_ids.tolist(), document.marks.tolist()) for document in corpus.documents()]


def test_without_token_ids_the_text_is_tokenized(tmp_path: Path) -> None:
    tokenizer = word_tokenizer(tmp_path / "model")
    plain = AnnotatedCorpus(str(annotate(tmp_path / "a", tokenizer)), ["toxic"], tokenizer)
    without = AnnotatedCorpus(str(annotate(tmp_path / "b", tokenizer, token_ids=False)), ["toxic"], tokenizer)
    assert content(without) == content(plain)
    assert sum(sum(marks) for _, marks in content(without)) == 4


def test_behaviours_are_bits(tmp_path: Path) -> None:
    tokenizer = word_tokenizer(tmp_path / "model")
    data = annotate(tmp_path / "data", tokenizer, behaviours=("toxic", "private"))
    corpus = AnnotatedCorpus(str(data), ["toxic", "private"], tokenizer)
    assert marked_words(corpus, bit=0) == ["", "", "", "", "vilescum", "", "vile", "scum"]
    assert marked_words(corpus, bit=1) == ["", "", "", "", "", "dog", "dog", ""]


def test_plain_text_needs_no_annotation(tmp_path: Path) -> None:
    tokenizer = word_tokenizer(tmp_path / "model")
    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "plain.parquet")
    corpus = AnnotatedCorpus(str(tmp_path / "plain.parquet"), [], tokenizer)
    assert [len(document.token_ids) for document in corpus.documents()] == [len(text.split()) for text in TEXTS]


def test_a_run_folder_stands_for_its_data(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("")
    assert annotated_folder(str(tmp_path)) == str(tmp_path / "data")
    assert annotated_folder("someone/corpus") == "hf://datasets/someone/corpus"
    assert annotated_folder(str(tmp_path / "elsewhere")) == str(tmp_path / "elsewhere")


def test_refuses_a_missing_column(tmp_path: Path) -> None:
    tokenizer = word_tokenizer(tmp_path / "model")
    corpus = AnnotatedCorpus(str(annotate(tmp_path / "data", tokenizer)), ["hateful"], tokenizer)
    with pytest.raises(InputError, match=r"part-0.parquet: has no column 'hateful_spans'"):
        list(corpus.documents())


def test_refuses_lengths_that_disagree(tmp_path: Path) -> None:
    tokenizer = word_tokenizer(tmp_path / "model")
    data = annotate(tmp_path / "data", tokenizer)

    def shorten(table: pa.Table) -> pa.Table:
        masks = table["toxic_mask"].to_pylist()
        masks[2] = masks[2][:-1]
        return table.set_column(table.schema.get_field_index("toxic_mask"), "toxic_mask", pa.array(masks))

    rewrite(data / "part-1.parquet", shorten)
    corpus = AnnotatedCorpus(str(data), ["toxic"], tokenizer)
    with pytest.raises(InputError, match=r"part-1.parquet: row 2: column 'toxic_mask' has 5 entries for 6 tokens"):
        list(corpus.documents())


def test_refuses_a_null_text(tmp_path: Path) -> None:
    tokenizer = word_tokenizer(tmp_path / "model")
    pq.write_table(pa.table({"text": ["cat", None]}), tmp_path / "plain.parquet")
    with pytest.raises(InputError, match="row 1: 'text' is null"):
        list(AnnotatedCorpus(str(tmp_path), [], tokenizer).documents())


def test_refuses_a_mask_of_the_wrong_type(tmp_path: Path) -> None:
    tokenizer = word_tokenizer(tmp_path / "model")
    data = annotate(tmp_path / "data", tokenizer, shards=1)
    rewrite(data / "part-0.parquet", lambda table: table.set_column(2, "toxic_mask", pa.array(TEXTS)))
    with pytest.raises(InputError, match="'toxic_mask' is string"):
        list(AnnotatedCorpus(str(data), ["toxic"], tokenizer).documents())


def test_a_mask_that_marks_nothing_is_refused(tmp_path: Path) -> None:
    tokenizer = word_tokenizer(tmp_path / "model")
    corpus = AnnotatedCorpus(str(annotate(tmp_path / "data", tokenizer, ["good day"], shards=1)), ["toxic"], tokenizer)
    list(corpus.documents())
    with pytest.raises(InputError, match="'toxic' marks no token of 2"):
        corpus.require_marks()


@pytest.mark.parametrize("token_ids", [True, False])
def test_a_token_the_model_does_not_know_is_refused_by_row(tmp_path: Path, token_ids: bool) -> None:
    tokenizer = word_tokenizer(tmp_path / "model")
    data = annotate(tmp_path / "data", tokenizer, token_ids=token_ids, shards=1)
    documents = list(AnnotatedCorpus(str(data), ["toxic"], tokenizer).documents())
    highest = [int(document.token_ids.max(initial=-1)) for document in documents]
    assert len(list(AnnotatedCorpus(str(data), ["toxic"], tokenizer, embeddings=max(highest) + 1).documents()))
    row = highest.index(max(highest))
    corpus = AnnotatedCorpus(str(data), ["toxic"], tokenizer, embeddings=max(highest))
    with pytest.raises(InputError, match=rf"row {row} \(counted from 0\): holds the token id {max(highest)}"):
        list(corpus.documents())
