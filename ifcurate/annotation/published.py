"""What a published data set holds of annotated shards: all of it (`annotated`), or what says nothing of the texts.

The configuration `annotations` has a row for each document: its id, where it has one, the hash of its text, and the
columns that say what was marked. Token ids are texts. So, to whoever has model and direction, are influence and loss of
every token: given the text so far, they single out the token that comes next. They are left out unless asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from ifcurate.annotation.provenance import provenance_of
from ifcurate.annotation.schema import annotation_fields, mask_column
from ifcurate.corpus.documents import ID, document_columns, texts_of
from ifcurate.corpus.formats import ShardReader
from ifcurate.corpus.messages import is_messages
from ifcurate.corpus.parquet import attach
from ifcurate.corpus.shards import Shard, known, open_shard
from ifcurate.corpus.text_hash import hash_text
from ifcurate.errors import InputError, first_line
from ifcurate.selection.scores import FLOAT_LIST, INT_LIST, LOSS, TOKEN_IDS, influence_column

ANNOTATED, ANNOTATIONS = "annotated", "annotations"
"""Names of the configurations."""
TEXT_HASH = "text_hash"
"""`string`: hex SHA-256 of the document's text as UTF-8; null where there is no text."""


@dataclass(frozen=True)
class AnnotatedShards:
    """The annotated shards of one run, with one schema.

    Attributes:
        shards: in the order of the corpus.
        text_column: the column that holds the documents.
        ids_from: name of a shard -> the column that holds their ids, of those that have one.
        said: behaviour -> how its columns were made; the same in every shard.
        behaviours: those that have columns.
        schema: of all columns, metadata included.
        times_in_utc: whether times of day are stored as adjusted to UTC.
    """

    shards: Sequence[Shard]
    text_column: str
    ids_from: Mapping[str, str]
    said: Mapping[str, Any]
    behaviours: Sequence[str]
    schema: pa.Schema
    times_in_utc: bool

    @classmethod
    def open(cls, shards: Sequence[Shard], text_column: str, id_column: str | None) -> AnnotatedShards:
        """Read the schema of every shard; ids come from `id_column`, or from `id` where there is one.

        Raises:
            InputError: a shard cannot be read, or shards differ in how they were annotated or in the type of a column.
        """
        shards = [known(shard) for shard in shards]
        readers = [open_shard(shard) for shard in shards]
        said = provenance_of(shards[0], readers[0].readable)
        for shard, reader in zip(shards, readers, strict=True):
            if provenance_of(shard, reader.readable) != said:
                raise InputError(
                    f"{shard.path}: was annotated otherwise than {shards[0].path}; write both again with "
                    "`ifcurate write`."
                )
        times = {reader.times_in_utc for reader in readers if reader.num_rows}
        if len(times) == 2:
            raise InputError(f"{shards[0].path}: shards differ in whether times of day are in UTC; cast them alike.")
        merged = _merged(shards, readers)
        made = [name for name, entry in said.items() if isinstance(entry, dict)]
        behaviours = [name for name in made if mask_column(name) in merged.names]
        ids_from = {}
        for shard, reader in zip(shards, readers, strict=True):
            if reader.num_rows and (column := document_columns(shard, reader, text_column, id_column)) is not None:
                ids_from[shard.name] = column
        return cls(
            shards, text_column, ids_from, said, behaviours, _typed(merged, behaviours, text_column), True in times
        )

    def saying(self, said: Mapping[str, Any]) -> AnnotatedShards:
        """The same shards, of which `said` is told."""
        return replace(self, said=said, schema=attach(self.schema, said))

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[tuple[Shard, pa.RecordBatch]]:
        """Every row, in order, with the types of `schema`; `columns` picks some."""
        wanted = self.schema if columns is None else pa.schema([self.schema.field(name) for name in columns])
        for shard in self.shards:
            reader = open_shard(shard)
            present = [name for name in wanted.names if name in reader.readable.names]
            for batch in reader.batches(present) if reader.num_rows else ():
                yield shard, self._cast(shard, batch, wanted)

    def _cast(self, shard: Shard, batch: pa.RecordBatch, wanted: pa.Schema) -> pa.RecordBatch:
        arrays = []
        for field in wanted:
            if field.name not in batch.schema.names:
                arrays.append(pa.nulls(batch.num_rows, field.type))
                continue
            try:
                arrays.append(batch.column(field.name).cast(field.type))
            except (pa.ArrowException, NotImplementedError) as error:
                raise InputError(
                    f"{shard.path}: column {field.name!r} cannot be {field.type}, as it is in other shards "
                    f"({first_line(error)}); give the column one type."
                ) from error
        return pa.RecordBatch.from_arrays(arrays, schema=wanted)


@dataclass(frozen=True)
class Annotations:
    """The configuration `annotations` of annotated shards.

    Attributes:
        source: the shards.
        token_scores: whether influence and, where it is stored, loss of every token are part of it.
    """

    source: AnnotatedShards
    token_scores: bool = False

    @property
    def schema(self) -> pa.Schema:
        """Id, text hash, columns; what the shards say of their columns, less what is left out."""
        beside = [pa.field(ID, pa.string())] if self.source.ids_from else []
        fields = [*beside, pa.field(TEXT_HASH, pa.string()), *(self.source.schema.field(name) for name in self.columns)]
        said = {
            name: {**made, "token_ids": False, "with_loss": LOSS in self.columns} if isinstance(made, dict) else made
            for name, made in self.source.said.items()
        }
        return attach(pa.schema(fields), said)

    @property
    def columns(self) -> list[str]:
        """Those of the annotated shards that it has."""
        without = [] if self.token_scores else [influence_column(behaviour) for behaviour in self.source.behaviours]
        names = [field.name for behaviour in self.source.behaviours for field in annotation_fields(behaviour)]
        beside = [LOSS] if self.token_scores and LOSS in self.source.schema.names else []
        return [*beside, *(name for name in names if name in self.source.schema.names and name not in without)]

    @property
    def read(self) -> list[str]:
        """What `of` needs of the shards."""
        return list(dict.fromkeys([self.source.text_column, *self.source.ids_from.values(), *self.columns]))

    def of(self, shard: Shard, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of `batch`, which are of `shard` and have its text, its ids and `columns`."""
        texts = texts_of(batch.column(self.source.text_column))
        made: dict[str, pa.Array] = {
            TEXT_HASH: pa.array([None if text is None else hash_text(text) for text in texts], pa.string())
        }
        if shard.name in self.source.ids_from:
            made[ID] = labels(batch.column(self.source.ids_from[shard.name]))
        schema = self.schema
        arrays = [
            made.get(name, batch.column(name) if name in self.columns else pa.nulls(len(texts), pa.string()))
            for name in schema.names
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)


def labels(column: pa.Array) -> pa.Array:
    """Ids as strings, by which documents are told apart; null stays null."""
    return pa.array([None if value is None else str(value) for value in texts_of(column)], pa.string())


def _merged(shards: Sequence[Shard], readers: Sequence[ShardReader]) -> pa.Schema:
    """One schema for all shards: columns that some lack are null there, and numbers as wide as the widest."""
    merged = readers[0].schema
    for shard, reader in zip(shards[1:], readers[1:], strict=True):
        try:
            merged = pa.unify_schemas([merged, reader.schema], promote_options="permissive")
        except pa.ArrowException as error:
            raise InputError(
                f"{shard.path}: has columns of other types than the shards before it ({first_line(error)}); "
                "give every column one type."
            ) from error
    return merged


def _typed(schema: pa.Schema, behaviours: Sequence[str], text_column: str) -> pa.Schema:
    """`schema` with our columns in the types that we write: JSON Lines do not keep them."""
    messages = text_column in schema.names and is_messages(schema.field(text_column).type)
    ours = {field.name: field.type for behaviour in behaviours for field in annotation_fields(behaviour, messages)}
    ours |= {TOKEN_IDS: INT_LIST, LOSS: FLOAT_LIST} if behaviours else {}
    fields = [field.with_type(ours[field.name]) if field.name in ours else field for field in schema]
    return pa.schema(fields, metadata=schema.metadata)
