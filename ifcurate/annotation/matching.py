"""Which published annotation belongs to which document: by id and text, or by text alone, in a database on disk.

A document and an annotation are a pair when their texts have the same hash and, where both sides have ids, their ids
are the same. Of several that are alike the first belongs to the first, the second to the second, and so on. Neither
side has to fit into memory, and neither has to be in the other's order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from ifcurate.errors import InputError, first_line

MEMORY = "256MB"
"""What DuckDB holds before it spills to disk."""
PART_ROWS = 4 << 20
"""Documents and annotations that are joined at once, which takes some 200 MB."""
SIDES = ("documents", "annotations")
KEY_BYTES = 16
TEXT_KEY, ID_KEY = ("text0", "text1"), ("id0", "id1")
KEYS = pa.schema({name: pa.int64() for name in ("place", *TEXT_KEY, *ID_KEY)} | {"named": pa.bool_()})
"""A row a document or annotation: its place in the order of its side, 128 bits of its text's hash, 128 of its id's, and
whether it has an id."""
DOCUMENTS = pa.schema({"document": pa.int64()})
NOTHING = b"\xff"
"""In place of a text or id that is null: no UTF-8, so none is the same."""

_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Matched:
    """How many documents and annotations belong together.

    Attributes:
        pairs: documents that have their annotation.
        documents: those that have none.
        changed: of them, those whose id has an annotation of another text.
        annotations: those that belong to no document.
        by_id: whether ids were compared, or texts alone.
    """

    pairs: int
    documents: int
    changed: int
    annotations: int
    by_id: bool

    def sentence(self) -> str:
        """All of it, in one line."""
        changed = f", {self.changed:,} of them with an id that has another text there" if self.changed else ""
        how = "id and text" if self.by_id else "text alone"
        return (
            f"{self.pairs:,} documents have their annotation (by {how}), {self.documents:,} have none{changed}, "
            f"{self.annotations:,} annotations belong to no document"
        )


def keys(first: int, ids: Sequence[str | None] | None, hashes: Sequence[str | None], where: str) -> pa.RecordBatch:
    """Consecutive rows as `KEYS`.

    Args:
        first: place of the first.
        ids: of each; None where there are none at all.
        hashes: of each text, see `hash_text`; None of a row without text.
        where: the file, for messages.

    Raises:
        InputError: a hash is none.
    """
    texts = []
    for number, text in enumerate(hashes):
        if text is not None and not _HASH.fullmatch(text):
            raise InputError(
                f"{where}: {text!r}, hash {number} of those at {first:,}, is no SHA-256 in hexadecimal; "
                "give annotations made by `ifcurate publish`."
            )
        texts.append(_key(NOTHING) if text is None else bytes.fromhex(text)[:KEY_BYTES])
    labels: Sequence[str | None] = [None] * len(texts) if ids is None else ids
    columns = [
        pa.array(np.arange(first, first + len(texts))),
        *_halves(texts),
        *_halves([_key(NOTHING if label is None else label.encode("utf-8", "surrogatepass")) for label in labels]),
        pa.array([label is not None for label in labels], pa.bool_()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=KEYS)


class Matching:
    """Documents and annotations in a database on disk, which finds the pairs."""

    def __init__(self, database: duckdb.DuckDBPyConnection, part_rows: int = PART_ROWS) -> None:
        self._database, self._part_rows = database, part_rows
        self._by_id = False
        with _telling():
            for name in SIDES:
                database.register("keys_of_none", KEYS.empty_table())
                database.execute(f"CREATE TABLE {name} AS SELECT * FROM keys_of_none")

    def add_documents(self, rows: Iterable[pa.RecordBatch]) -> None:
        """Batches of `KEYS`, in order."""
        self._insert("documents", rows)

    def add_annotations(self, rows: Iterable[pa.RecordBatch]) -> None:
        """Batches of `KEYS`, in order."""
        self._insert("annotations", rows)

    def find_pairs(self) -> Matched:
        """To be called once, when all rows are there.

        Raises:
            InputError: the disk is full.
        """
        with _telling():
            named = [self._count(f"SELECT count(*) FROM {table} WHERE named") for table in SIDES]
            self._by_id = all(named)
            parts = list(self._parts())
            self._database.execute("CREATE TABLE pairs (document BIGINT, annotation BIGINT, id0 BIGINT, id1 BIGINT)")
            for part in parts:
                self._find_pairs_within(part)
            return Matched(
                pairs=self._count("SELECT count(*) FROM pairs WHERE document + annotation IS NOT NULL"),
                documents=self._count("SELECT count(*) FROM pairs WHERE annotation IS NULL"),
                changed=sum(map(self._count_changed, parts)) if self._by_id else 0,
                annotations=self._count("SELECT count(*) FROM pairs WHERE document IS NULL"),
                by_id=self._by_id,
            )

    def _parts(self) -> Iterator[str]:
        """Conditions on a key that cut both sides into equal parts of so few rows that they can be joined in memory.

        DuckDB's windows and joins spill to disk, but not without end; its sorting does, and finds the part again.
        """
        count = -(-sum(self._count(f"SELECT count(*) FROM {table}") for table in SIDES) // self._part_rows)
        if count > 1:
            for table in SIDES:
                self._database.execute(f"CREATE TABLE ordered AS SELECT * FROM {table} ORDER BY {TEXT_KEY[0]}")
                self._database.execute(f"DROP TABLE {table}")
                self._database.execute(f"ALTER TABLE ordered RENAME TO {table}")
        limits = [-(1 << 63) + (number << 64) // max(count, 1) for number in range(1, count)]
        for first, last in pairwise([None, *limits, None]):
            after = "true" if first is None else f"{{key}} >= {first}"
            before = "true" if last is None else f"{{key}} < {last}"
            yield f"{after} AND {before}"

    def _find_pairs_within(self, part: str) -> None:
        """Join one part; a document without an annotation keeps its id."""
        key = ", ".join((*TEXT_KEY, *ID_KEY) if self._by_id else TEXT_KEY)
        numbered = (
            f"SELECT *, row_number() OVER (PARTITION BY {key} ORDER BY place) AS nth FROM {{}} "
            f"WHERE {part.format(key=TEXT_KEY[0])}"
        )
        ids = (f"CASE WHEN other.place IS NULL AND one.named THEN one.{name} END" for name in ID_KEY)
        self._database.execute(
            f"INSERT INTO pairs SELECT one.place, other.place, {', '.join(ids)} "
            f"FROM ({numbered.format('documents')}) AS one FULL JOIN ({numbered.format('annotations')}) AS other "
            f"USING ({key}, nth)"
        )

    def documents(self) -> Iterator[pa.RecordBatch]:
        """The document of each annotation, in the order of the annotations, as `DOCUMENTS`: null where it has none."""
        yield from self._stream("SELECT document FROM pairs WHERE annotation IS NOT NULL ORDER BY annotation")

    def without_annotation(self) -> Iterator[int]:
        """The places of documents that have none, in order."""
        query = "SELECT document FROM pairs WHERE annotation IS NULL ORDER BY document"
        for batch in self._stream(query):
            yield from batch.column(0).to_pylist()

    def _count_changed(self, part: str) -> int:
        """Documents without an annotation, of those whose id is in `part`, whose id has one of another text."""
        return self._count(
            f"SELECT count(*) FROM pairs SEMI JOIN (SELECT id0, id1 FROM annotations WHERE named AND "
            f"{part.format(key=ID_KEY[0])}) AS theirs USING (id0, id1) WHERE annotation IS NULL"
        )

    def _stream(self, query: str) -> Iterator[pa.RecordBatch]:
        """The result, while others are read, too."""
        with _telling(), self._database.cursor() as cursor:
            yield from pa.RecordBatchReader.from_stream(cursor.sql(query))

    def _insert(self, table: str, rows: Iterable[pa.RecordBatch]) -> None:
        for batch in rows:
            with _telling():
                self._database.register("rows_to_add", pa.Table.from_batches([batch], schema=KEYS))
                self._database.execute(f"INSERT INTO {table} SELECT * FROM rows_to_add")
                self._database.unregister("rows_to_add")

    def _count(self, query: str) -> int:
        ((count,),) = self._database.execute(query).fetchall()
        return int(count)


@contextmanager
def matching(folder: Path, memory: str = MEMORY, part_rows: int = PART_ROWS) -> Iterator[Matching]:
    """A `Matching` whose database and temporary files lie in `folder`, which must exist."""
    settings = {"memory_limit": memory, "threads": 2, "temp_directory": str(folder / "spill")}
    with duckdb.connect(str(folder / "pairs.duckdb"), config=settings) as database:
        yield Matching(database, part_rows)


@contextmanager
def _telling() -> Iterator[None]:
    try:
        yield
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        raise InputError(
            f"documents and annotations cannot be matched here ({first_line(error)}); free some disk space."
        ) from error


def _key(content: bytes) -> bytes:
    return blake2b(content, digest_size=KEY_BYTES).digest()


def _halves(digests: Sequence[bytes]) -> list[pa.Array]:
    numbers = np.frombuffer(b"".join(digests), dtype="<i8").reshape(-1, 2)
    return [pa.array(np.ascontiguousarray(numbers[:, half])) for half in range(2)]
