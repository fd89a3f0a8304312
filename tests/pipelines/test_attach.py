"""Published annotations beside one's own copy of the corpus: whose annotation is whose."""

from __future__ import annotations

import gzip
import json
import random
import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published_annotations import COLUMNS, SAID, Document, publish_annotations, write_corpus

from ifcurate.annotation.published import TEXT_HASH
from ifcurate.corpus.parquet import metadata_of
from ifcurate.errors import InputError
from ifcurate.pipelines.attach import attach
from ifcurate.pipelines.attach_config import AttachConfig

TEXTS = st.sampled_from(["", "a", "b", "ab", "the same", "日本", None])
DOCUMENTS = st.lists(st.tuples(TEXTS, st.sampled_from(["1", "2", "3", None])), min_size=1, max_size=12)


def documents(*pairs: tuple[str | None, str | None]) -> list[Document]:
    return [Document(text, label, number) for number, (text, label) in enumerate(pairs)]


def cut(rows: Sequence[Document], shards: int) -> list[list[Document]]:
    """`rows` in order, as so many shards."""
    size = max(1, -(-len(rows) // shards))
    return [list(rows[first : first + size]) for first in range(0, len(rows), size)]


def attached(folder: Path, theirs: Path, mine: Path, **changes: Any) -> list[dict[str, Any]]:
    """The rows of the corpus with the columns that it got."""
    out = folder / "out"
    attach(AttachConfig(annotations=str(theirs), to=str(mine), out=str(out), **changes))
    return [row for file in sorted(out.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def expected(annotated: Sequence[Document], mine: Sequence[Document], by_id: bool) -> list[dict[str, Any] | None]:
    """By a table in memory: the first annotation of a text (and id) to the first document that has them."""
    waiting: dict[Any, list[Document]] = defaultdict(list)
    for one in annotated:
        waiting[one.text, one.id if by_id else None].append(one)
    found = []
    for one in mine:
        own = waiting[one.text, one.id if by_id else None]
        found.append(own.pop(0).annotated() if own else None)
    return found


@given(pairs=DOCUMENTS, ids=st.booleans(), shards=st.integers(1, 3), again=st.integers(1, 3), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_attaching_what_was_published_gives_the_columns_again(
    tmp_path_factory: pytest.TempPathFactory,
    pairs: list[tuple[str | None, str | None]],
    ids: bool,
    shards: int,
    again: int,
    seed: int,
) -> None:
    """Whatever the order of documents, the shards and the files: each gets the annotation of its like."""
    folder = tmp_path_factory.mktemp("attach")
    theirs = documents(*pairs)
    mine = random.Random(seed).sample(theirs, len(theirs)) if seed else theirs
    data = write_corpus(folder / "data", cut(theirs, shards), ids, annotated=True)
    published = publish_annotations(data, folder / "published", file_bytes=1 if seed % 2 else 1 << 20)
    corpus = write_corpus(folder / "corpus", cut(mine, again), ids)
    rows = attached(folder, published, corpus)
    by_id = ids and any(label is not None for _, label in pairs)
    assert [{name: row[name] for name in COLUMNS} for row in rows] == expected(theirs, mine, by_id)
    assert [row["text"] for row in rows] == [one.text for one in mine]
    if not seed:
        whole = [row for file in sorted(data.iterdir()) for row in pq.read_table(file).to_pylist()]
        assert rows == whole


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Annotations of five documents, of which one text occurs twice and one id twice."""
    theirs = documents(("a", "1"), ("a", "2"), ("b", "3"), ("c", "3"), ("d", "4"))
    return publish_annotations(write_corpus(tmp_path / "data", [theirs], annotated=True), tmp_path / "published")


MINE = documents(("e", "9"), ("a", "2"), ("changed", "4"), ("c", "3"), ("a", "1"))
"""One that is new, one changed text; `b` is missing."""


def test_rows_that_do_not_match_are_refused_with_counts(tmp_path: Path, published: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", [MINE[:2], [], MINE[2:]])
    wanted = (
        r"option --unmatched: 3 documents have their annotation \(by id and text\), 2 have none, 1 of them with an id "
        r"that has another text there, 2 annotations belong to no document; "
    )
    with pytest.raises(InputError, match=wanted):
        attached(tmp_path, published, corpus)
    assert not list(tmp_path.glob("out*"))


def test_they_are_kept_with_nulls_or_dropped(tmp_path: Path, published: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", [MINE[:2], [], MINE[2:]])
    for choice, ids in (("keep", ["9", "2", "4", "3", "1"]), ("drop", ["2", "3", "1"])):
        folder = tmp_path / choice
        rows, out = attached(folder, published, corpus, unmatched=choice), folder / "out"
        assert sorted(file.name for file in out.glob("*.parquet")) == [f"part-{n:03d}.parquet" for n in range(3)]
        assert [row["id"] for row in rows] == ids
        scores = {row["id"]: row["toxic_score"] for row in rows}
        assert scores == {label: {"1": 0.0, "2": 1.0, "3": 3.0}.get(label) for label in ids}
        table = pq.read_table(out / "part-000.parquet")
        assert metadata_of(table.schema)["toxic"]["tau"] == SAID["toxic"]["tau"]
        assert [table.schema.field(name).type for name in COLUMNS] == [
            pq.read_schema(tmp_path / "data" / "part-000.parquet").field(name).type for name in COLUMNS
        ]


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
@pytest.mark.parametrize("choice", ["keep", "drop"])
def test_lines_stay_lines(tmp_path: Path, published: Path, suffix: str, choice: str) -> None:
    lines = [json.dumps({"text": one.text, "id": one.id, "odd": [1, "x"]}) for one in MINE]
    content = "\n\n".join(lines).encode() + b"\n"
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / f"a{suffix}").write_bytes(gzip.compress(content) if "gz" in suffix else content)
    attached(tmp_path, published, tmp_path / "corpus", unmatched=choice)
    raw = (tmp_path / "out" / f"a{suffix}").read_bytes()
    rows = [json.loads(line) for line in (gzip.decompress(raw) if "gz" in suffix else raw).splitlines() if line]
    kept = [one for one in MINE if choice == "keep" or one.id in "123"]
    assert [(row["id"], row["text"], row["odd"]) for row in rows] == [(one.id, one.text, [1, "x"]) for one in kept]
    assert [row["toxic_score"] for row in rows] == [{"1": 0.0, "2": 1.0, "3": 3.0}.get(one.id) for one in kept]
    assert json.loads((tmp_path / "out" / "_ifcurate.json").read_text())["toxic"]["tau"] == 1.0


@pytest.mark.parametrize("choice", ["keep", "drop"])
def test_csv_becomes_parquet_and_arrow_stays(tmp_path: Path, published: Path, choice: str) -> None:
    table = pa.table({"id": [one.id for one in MINE], "text": [one.text for one in MINE]})
    (tmp_path / "corpus").mkdir()
    with pa.ipc.new_file(tmp_path / "corpus" / "a.arrow", table.schema) as file:
        file.write_table(table.slice(0, 3))
    csv.write_csv(table.slice(3), tmp_path / "corpus" / "b.csv")
    attached(tmp_path, published, tmp_path / "corpus", unmatched=choice)
    first = pa.ipc.open_file(tmp_path / "out" / "a.arrow").read_all()
    rows = [*first.to_pylist(), *pq.read_table(tmp_path / "out" / "b.parquet").to_pylist()]
    kept = [one for one in MINE if choice == "keep" or one.id in "123"]
    found = [(str(row["id"]), row["text"], row["toxic_score"]) for row in rows]
    assert found == [(one.id, one.text, {"1": 0.0, "2": 1.0, "3": 3.0}.get(str(one.id))) for one in kept]


def test_without_ids_texts_alone_are_compared(tmp_path: Path, published: Path) -> None:
    mine = [Document(one.text, None, 0) for one in documents(("a", ""), ("d", ""), ("c", ""), ("b", ""), ("a", ""))]
    rows = attached(tmp_path, published, write_corpus(tmp_path / "corpus", [mine], ids=False))
    assert [row["toxic_score"] for row in rows] == [0.0, 4.0, 3.0, 2.0, 1.0]


def test_numbers_are_ids_and_another_column_may_hold_them(tmp_path: Path, published: Path) -> None:
    (tmp_path / "corpus").mkdir()
    columns = {"text": ["d", "c", "b", "a", "a"], "key": [4, 3, 3, 2, 1], "id": ["x"] * 5}
    pq.write_table(pa.table(columns), tmp_path / "corpus" / "a.parquet")
    rows = attached(tmp_path, published, tmp_path / "corpus", id_column="key")
    assert [row["toxic_score"] for row in rows] == [4.0, 3.0, 2.0, 1.0, 0.0]


def test_what_cannot_be_attached_is_refused(tmp_path: Path, published: Path) -> None:
    theirs = documents(("a", "1"), ("a", "2"), ("b", "3"), ("c", "3"), ("d", "4"))
    corpus = write_corpus(tmp_path / "corpus", [theirs])
    with pytest.raises(InputError, match=r"part-000\.parquet: has no column 'text_hash'"):
        attached(tmp_path, tmp_path / "data", corpus)
    with pytest.raises(InputError, match=r"corpus.*has no column 'text_hash'|has no annotation"):
        attached(tmp_path, corpus, corpus)
    with pytest.raises(InputError, match=r"has a column 'toxic_influence' already"):
        attached(tmp_path, published, tmp_path / "data")
    with pytest.raises(InputError, match="lies inside the corpus"):
        attached(corpus, published, corpus)
    (file,) = (published / "annotations").iterdir()
    table = pq.read_table(file)
    pq.write_table(
        table.set_column(table.schema.get_field_index("toxic_mask"), "toxic_mask", pa.array(["x"] * 5)), file
    )
    with pytest.raises(InputError, match="its columns are not those of annotations"):
        attached(tmp_path, published, corpus)
    column = table.schema.get_field_index(TEXT_HASH)
    pq.write_table(table.set_column(column, TEXT_HASH, pa.array(["f00"] * 5)), file)
    with pytest.raises(InputError, match=r"'f00', hash 0 .* is no SHA-256"):
        attached(tmp_path, published, corpus)
    assert not list(tmp_path.glob("out*"))


def test_the_same_again_is_done(tmp_path: Path, published: Path, messages: Callable[[], list[str]]) -> None:
    corpus = write_corpus(tmp_path / "corpus", [MINE])
    given = AttachConfig(annotations=str(published), to=str(corpus), out=str(tmp_path / "out"), unmatched="keep")
    first = attach(given)
    assert (first.pairs, first.documents, first.changed, first.annotations) == (3, 2, 1, 2)
    assert attach(given) == first
    assert messages()[-1].endswith("is written already; --overwrite writes it anew")
    with pytest.raises(InputError, match=r"option --unmatched: .* was made with 'keep', not 'drop'"):
        attach(given.model_copy(update={"unmatched": "drop"}))
    assert attach(given.model_copy(update={"unmatched": "drop", "overwrite": True})) == first
    shutil.copy(corpus / "part-000.parquet", corpus / "part-001.parquet")
    with pytest.raises(InputError, match="was made from what was there before"):
        attach(given.model_copy(update={"unmatched": "drop"}))
