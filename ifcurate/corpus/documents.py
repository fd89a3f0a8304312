"""Documents: the ids and texts of a shard, and the check that a corpus has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from ifcurate.corpus.formats import ShardReader
from ifcurate.corpus.messages import as_text, is_messages
from ifcurate.corpus.settings import BadRows, On
from ifcurate.corpus.shards import Shard, open_shard
from ifcurate.corpus.sources import BATCH_ROWS
from ifcurate.errors import InputError

ID = "id"
"""Column of ids, where nobody names another."""

_BAD_ROW = "fill or remove the row, or give --bad-rows skip"


@dataclass(frozen=True)
class DocumentBatch:
    """Consecutive documents of a shard.

    Attributes:
        first_row: row of the first one, counted from 0.
        ids: one a document.
        texts: one a document; may be empty. Of documents that are messages, see `messages.as_text`.
        skipped: which of them, counted from 0, stand for a text that is null or not UTF-8; theirs are empty.
    """

    first_row: int
    ids: list[str]
    texts: list[str]
    skipped: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return len(self.texts)


def read_documents(
    shard: Shard,
    text_column: str = "text",
    id_column: str | None = None,
    rows: int = BATCH_ROWS,
    bad_rows: BadRows = "refuse",
) -> Iterator[DocumentBatch]:
    """The documents of `shard` in order, at most `rows` a batch.

    Ids come from `id_column`; without one from the column `id`. They are labels, by which nothing is joined: they may
    repeat, and where there is none it is `<shard name>:<row>`, rows counted from 0.

    Raises:
        InputError: a column is missing or of the wrong type, or a text is null or not UTF-8 and not skipped; names
            file and row.
    """
    reader = open_shard(shard)
    if reader.num_rows == 0:
        return
    ids_from = document_columns(shard, reader, text_column, id_column)
    first_row = 0
    columns = list(dict.fromkeys([text_column] if ids_from is None else [text_column, ids_from]))
    for batch in reader.batches(columns, rows):
        column = batch.column(text_column)
        texts = texts_of(column)
        skipped = frozenset(index for index, text in enumerate(texts) if text is None)
        if skipped and bad_rows == "refuse":
            raise _bad_row(shard, text_column, column, first_row, min(skipped))
        ids = [f"{shard.name}:{row}" for row in range(first_row, first_row + len(texts))]
        if ids_from is not None:
            ids = _labels(batch.column(ids_from), ids)
        yield DocumentBatch(first_row, ids, [text or "" for text in texts], skipped)
        first_row += len(texts)


def document_columns(shard: Shard, reader: ShardReader, text_column: str, id_column: str | None) -> str | None:
    """Check the columns that `read_documents` needs, before any row is read; returns where ids come from, if anywhere.

    Raises:
        InputError: a column is missing, there twice, or of the wrong type.
    """
    _require(shard, reader.readable, text_column, "--text-column", is_document, "strings or messages")
    if id_column is None and ID not in reader.readable.names:
        return None
    ids_from = id_column or ID
    fits: Callable[[pa.DataType], bool] = lambda kind: is_text(kind) or pa.types.is_integer(kind)  # noqa: E731
    _require(shard, reader.readable, ids_from, "--id-column", fits, "strings")
    return ids_from


def is_document(kind: pa.DataType) -> bool:
    """Whether values of an Arrow type are documents: strings, or lists of messages."""
    return is_text(kind) or is_messages(kind)


def is_text(kind: pa.DataType) -> bool:
    """Whether values of an Arrow type are strings, in any of their layouts."""
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def on_messages(shards: Sequence[Shard], text_column: str, on: On) -> On | None:
    """`on` where the documents of a corpus that `check_documents` has seen are messages; None where they are texts."""
    kinds = (kind for shard in shards if (kind := _kind_of(open_shard(shard), text_column)) is not None)
    return on if (kind := next(kinds, None)) is not None and is_messages(kind) else None


def _kind_of(reader: ShardReader, column: str) -> pa.DataType | None:
    """The type of a column; None where it has no value."""
    if reader.num_rows == 0 or column not in reader.readable.names:
        return None
    kind = reader.readable.field(column).type
    return None if pa.types.is_null(kind) else kind


def check_documents(
    shards: Sequence[Shard], text_column: str = "text", id_column: str | None = None, bad_rows: BadRows = "refuse"
) -> None:
    """Open every shard and check its columns, before anything expensive is done with the corpus.

    Unless bad rows are skipped, no text may be null; where a Parquet footer counts nulls, its texts are not read.

    Raises:
        InputError: a shard cannot be opened, a column is missing or of the wrong type, texts are null, or documents
            are messages in some shards only; names file, row and how many there are.
    """
    before: tuple[Shard, bool] | None = None
    for shard in shards:
        reader = open_shard(shard)
        if reader.num_rows == 0:
            continue
        document_columns(shard, reader, text_column, id_column)
        if (kind := _kind_of(reader, text_column)) is not None:
            if before is not None and before[1] != is_messages(kind):
                raise InputError(
                    f"{shard.path}: column {text_column!r} holds {kind}, and messages and texts cannot be mixed "
                    f"({before[0].path} holds the other); give one kind at a time."
                )
            before = shard, is_messages(kind)
        if bad_rows == "refuse" and (nulls := reader.nulls(text_column)):
            row = _first_null(reader, text_column)
            raise InputError(
                f"{shard.path}, row {row} (counted from 0): column {text_column!r} is null, as it is in {nulls:,} "
                f"of {reader.num_rows:,} rows; {_BAD_ROW}."
            )


def _first_null(reader: ShardReader, column: str) -> int:
    first_row = 0
    for batch in reader.batches([column]):
        missing = batch.column(column).is_null().to_pylist()
        if True in missing:
            return first_row + missing.index(True)
        first_row += len(missing)
    return 0


def _require(
    shard: Shard, schema: pa.Schema, name: str, option: str, fits: Callable[[pa.DataType], bool], wanted: str
) -> None:
    """Check that `schema` has one column `name`, of a type that `fits` or without any value."""
    count = len(schema.get_all_field_indices(name))
    if count == 0:
        names = ", ".join(schema.names) or "none"
        raise InputError(f"{shard.path}: has no column {name!r}; give {option} one of its columns ({names}).")
    if count > 1:
        raise InputError(f"{shard.path}: has {count} columns named {name!r}; rename all but one.")
    kind = schema.field(name).type
    if not (fits(kind) or pa.types.is_null(kind)):
        raise InputError(
            f"{shard.path}: column {name!r} holds {kind}, not {wanted}; give {option} a column of {wanted}."
        )


def texts_of(column: pa.Array) -> list[str | None]:
    """The strings of a column, or its messages as `messages.as_text` makes them; None where one is null, not UTF-8 or
    no list of messages."""
    if is_messages(column.type):
        return [as_text(value) for value in column.to_pylist()]
    try:
        values: list[str | None] = column.to_pylist()
    except UnicodeDecodeError:
        values = [scalar.as_py() if _is_utf8(scalar) else None for scalar in column]
    return values


def _bad_row(shard: Shard, name: str, column: pa.Array, first_row: int, index: int) -> InputError:
    fault = "is not UTF-8" if is_text(column.type) else "holds a message whose role or content is no string"
    if not column[index].is_valid:
        fault = "is null"
    return InputError(f"{shard.path}, row {first_row + index} (counted from 0): column {name!r} {fault}; {_BAD_ROW}.")


def _labels(column: pa.Array, made_up: list[str]) -> list[str]:
    """Ids as strings; where one is null or not UTF-8, that which is made up."""
    return [name if value is None else str(value) for value, name in zip(texts_of(column), made_up, strict=True)]


def _is_utf8(scalar: pa.Scalar) -> bool:
    try:
        scalar.as_py()
    except UnicodeDecodeError:
        return False
    return True
