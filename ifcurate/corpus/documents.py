"""Documents: the ids and texts of a shard, and the check that no id occurs twice in a corpus."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from ifcurate.corpus.shards import Shard, ShardReader, open_shard
from ifcurate.corpus.sources import BATCH_ROWS
from ifcurate.errors import InputError, first_line

ID = "id"
"""Column of ids, where nobody names another."""

MEMORY_FOR_IDS = "512MB"
"""What DuckDB may hold before it spills to disk."""

IDS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class DocumentBatch:
    """Consecutive documents of a shard.

    Attributes:
        first_row: row of the first one, counted from 0.
        ids: one a document.
        texts: one a document; may be empty.
    """

    first_row: int
    ids: list[str]
    texts: list[str]

    def __len__(self) -> int:
        return len(self.texts)


def read_documents(
    shard: Shard, text_column: str = "text", id_column: str | None = None, rows: int = BATCH_ROWS
) -> Iterator[DocumentBatch]:
    """The documents of `shard` in order, at most `rows` a batch.

    Ids come from `id_column`; without one from the column `id`; where the shard has none either, they are
    `<shard name>:<row>`, rows counted from 0.

    Raises:
        InputError: a column is missing or of the wrong type, or a text or id is null; names file and row.
    """
    reader = open_shard(shard)
    if reader.num_rows == 0:
        return
    ids_from = document_columns(shard, reader, text_column, id_column)
    first_row = 0
    columns = list(dict.fromkeys([text_column] if ids_from is None else [text_column, ids_from]))
    for batch in reader.batches(columns, rows):
        texts = _strings(batch.column(text_column), shard, text_column, first_row)
        if ids_from is None:
            ids = [f"{shard.name}:{row}" for row in range(first_row, first_row + len(texts))]
        else:
            ids = _strings(batch.column(ids_from), shard, ids_from, first_row)
        yield DocumentBatch(first_row, ids, texts)
        first_row += len(texts)


def document_columns(shard: Shard, reader: ShardReader, text_column: str, id_column: str | None) -> str | None:
    """Check the columns that `read_documents` needs, before any row is read; returns where ids come from, if anywhere.

    Raises:
        InputError: a column is missing, there twice, or of the wrong type.
    """
    _require(shard, reader.schema, text_column, "--text-column", is_text)
    if id_column is None and ID not in reader.schema.names:
        return None
    ids_from = id_column or ID
    _require(shard, reader.schema, ids_from, "--id-column", lambda kind: is_text(kind) or pa.types.is_integer(kind))
    return ids_from


def is_text(kind: pa.DataType) -> bool:
    """Whether values of an Arrow type are strings, in any of their layouts."""
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def check_documents(shards: Sequence[Shard], text_column: str = "text", id_column: str | None = None) -> None:
    """Open every shard, check its columns and compare all ids, before anything expensive is done with the corpus.

    Reads no texts of Parquet shards. Memory is bounded: DuckDB spills ids to the folder for temporary files.

    Raises:
        InputError: a shard cannot be opened, a column is missing or of the wrong type, an id is null or occurs twice,
            or there is no space to spill to; names file and row.
    """
    repeated = find_duplicate_id(shards, text_column, id_column)
    if repeated is not None:
        identifier, first, second = repeated
        raise InputError(
            f"{second}: its id {identifier!r} is that of {first}, too; give every document an id of its own, "
            "or another --id-column."
        )


def find_duplicate_id(
    shards: Sequence[Shard], text_column: str = "text", id_column: str | None = None
) -> tuple[str, str, str] | None:
    """An id that occurs more than once in a corpus, with its first two places.

    Shards without a column of ids are left out: theirs are made of the shard's name, which is unique.

    Returns:
        The id (the smallest, if several occur twice), and two places written as `FILE, row N`, rows counted from 0;
        None when every id is unique.

    Raises:
        InputError: see `check_documents`.
    """
    with tempfile.TemporaryDirectory(prefix="ifcurate-") as spill:
        try:
            repeated = _smallest_repeated(_ids(shards, text_column, id_column), spill)
        except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
            raise InputError(
                f"{spill}: no space left to check that ids are unique ({first_line(error)}); "
                "set TMPDIR to a folder on a larger disk."
            ) from error
    if repeated is None:
        return None
    places = (
        f"{shard.path}, row {row}"
        for shard, first_row, ids in _ids(shards, text_column, id_column)
        for row, identifier in enumerate(ids, start=first_row)
        if identifier == repeated
    )
    return repeated, next(places), next(places)


def _ids(shards: Sequence[Shard], text_column: str, id_column: str | None) -> Iterator[tuple[Shard, int, list[str]]]:
    """The ids that stand in the shards, with shard and first row of each batch."""
    for shard in shards:
        reader = open_shard(shard)
        ids_from = document_columns(shard, reader, text_column, id_column) if reader.num_rows else None
        if ids_from is None:
            continue
        first_row = 0
        for batch in reader.batches([ids_from], rows=IDS_AT_ONCE):
            ids = _strings(batch.column(ids_from), shard, ids_from, first_row)
            yield shard, first_row, ids
            first_row += len(ids)


def _smallest_repeated(batches: Iterator[tuple[Shard, int, list[str]]], folder: str) -> str | None:
    settings = {"memory_limit": MEMORY_FOR_IDS, "threads": "2", "temp_directory": folder}
    with duckdb.connect(f"{folder}/ids.duckdb", config=settings) as database:
        database.execute("SET preserve_insertion_order = false; CREATE TABLE ids (id VARCHAR)")
        for _, _, ids in batches:
            database.from_arrow(pa.table({"id": pa.array(ids, pa.string())})).insert_into("ids")
        query = "SELECT min(id) FROM (SELECT id FROM ids GROUP BY id HAVING count(*) > 1)"
        row = database.execute(query).fetchone()
    return None if row is None else row[0]


def _require(shard: Shard, schema: pa.Schema, name: str, option: str, fits: Callable[[pa.DataType], bool]) -> None:
    """Check that `schema` has one column `name`, of a type that `fits` or without any value."""
    count = len(schema.get_all_field_indices(name))
    if count == 0:
        names = ", ".join(schema.names) or "none"
        raise InputError(f"{shard.path}: has no column {name!r}; give {option} one of its columns ({names}).")
    if count > 1:
        raise InputError(f"{shard.path}: has {count} columns named {name!r}; rename all but one.")
    kind = schema.field(name).type
    if not (fits(kind) or pa.types.is_null(kind)):
        raise InputError(f"{shard.path}: column {name!r} holds {kind}, not strings; give {option} a column of strings.")


def _strings(column: pa.Array, shard: Shard, name: str, first_row: int) -> list[str]:
    """The values of a column as strings, none of them null."""
    try:
        values = column.to_pylist()
    except UnicodeDecodeError:
        values = None
    if values is None:
        row = first_row + next(row for row in range(len(column)) if not _is_utf8(column[row]))
        raise InputError(
            f"{shard.path}, row {row} (counted from 0): column {name!r} is not UTF-8; correct or remove it."
        )
    if None in values:
        row = first_row + values.index(None)
        raise InputError(f"{shard.path}, row {row} (counted from 0): column {name!r} is null; fill or remove the row.")
    return values if is_text(column.type) else [str(value) for value in values]


def _is_utf8(scalar: pa.Scalar) -> bool:
    try:
        scalar.as_py()
    except UnicodeDecodeError:
        return False
    return True
