"""Query sets: completions that show a behaviour, or its contrast, each after a prompt."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import orjson
import pyarrow as pa

from ifcurate.corpus.documents import is_text
from ifcurate.corpus.formats import ShardReader
from ifcurate.corpus.shards import Shard, list_shards, open_shard
from ifcurate.errors import InputError

PROMPT, COMPLETION, TEXT, WEIGHT = "prompt", "completion", "text", "weight"


@dataclass(frozen=True)
class Query:
    """A text of which only the completion carries loss; the prompt may be empty.

    `weight` says how strongly it shows what its set is of; below zero it shows the contrast, and zero is neither.
    """

    prompt: str
    completion: str
    weight: float = 1.0


def read_queries(path: str, limit: int, seed: int) -> list[Query]:
    """The queries at `path`, at most `limit`: of more, a sample drawn with `seed` without replacement, in file order.

    Args:
        path: JSON Lines or Parquet, as `list_shards` takes it, with string columns `prompt` and `completion`, or with
            `text` alone, which becomes the completion of an empty prompt; and, if the queries are soft, with a column
            of numbers `weight`.
        limit: most queries to return.
        seed: of the sample.

    Raises:
        InputError: there is no query, a column is missing, a value is null, not a string, or an empty completion, or a
            weight is null, not a number, NaN or infinite.
    """
    opened = [(shard, open_shard(shard)) for shard in list_shards(path)]
    total = sum(reader.num_rows for _, reader in opened)
    if total == 0:
        raise InputError(f"{path}: holds no query; give lines of prompt and completion.")
    drawn = None if total <= limit else set(random.Random(seed).sample(range(total), limit))
    queries = (query for shard, reader in opened for query in _queries(shard, reader))
    # Every row is checked, drawn or not: whether a file is accepted does not depend on the seed.
    return [query for row, query in enumerate(queries) if drawn is None or row in drawn]


def hash_queries(queries: Sequence[Query]) -> str:
    """Hex SHA-256 of the texts of `queries` in their order, and of the weights that are not 1."""
    digest = hashlib.sha256()
    for query in queries:
        weight = [] if query.weight == 1 else [query.weight or 0.0]  # -0.0 is 0.0
        digest.update(orjson.dumps([query.prompt, query.completion, *weight]) + b"\n")
    return digest.hexdigest()


def _queries(shard: Shard, reader: ShardReader) -> Iterator[Query]:
    if reader.num_rows == 0:
        return
    columns = _columns(shard, reader.schema)
    soft = _is_soft(shard, reader.schema)
    row = 0
    for batch in reader.batches([*columns, WEIGHT] if soft else columns):
        values = [batch.column(name).to_pylist() for name in columns]
        weights = batch.column(WEIGHT).to_pylist() if soft else [1.0] * batch.num_rows
        for weight, *texts in zip(weights, *values, strict=True):
            for name, text in zip(columns, texts, strict=True):
                if text is None or (text == "" and name != PROMPT):
                    problem = "null" if text is None else "empty"
                    raise InputError(
                        f"{shard.path}, row {row} (counted from 0): {name!r} is {problem}, which is no query; "
                        "fill or remove the row."
                    )
            if weight is None or not math.isfinite(weight):
                raise InputError(
                    f"{shard.path}, row {row} (counted from 0): {WEIGHT!r} is {'null' if weight is None else weight}; "
                    "give every query a finite weight, or none of them."
                )
            prompt, completion = texts if len(columns) == 2 else ("", texts[0])
            yield Query(prompt, completion, float(weight))
            row += 1


def _columns(shard: Shard, schema: pa.Schema) -> list[str]:
    """`[prompt, completion]` or `[text]`, whichever the file has."""
    if PROMPT in schema.names and COMPLETION in schema.names:
        columns = [PROMPT, COMPLETION]
    elif TEXT in schema.names and PROMPT not in schema.names and COMPLETION not in schema.names:
        columns = [TEXT]
    else:
        found = ", ".join(schema.names) or "none"
        raise InputError(
            f"{shard.path}: has the columns {found}; write queries as {PROMPT!r} and {COMPLETION!r}, or {TEXT!r} alone."
        )
    for name in columns:
        kind = schema.field(name).type
        if not (is_text(kind) or pa.types.is_null(kind)):
            raise InputError(f"{shard.path}: column {name!r} holds {kind}, not strings; write it as strings.")
    return columns


def _is_soft(shard: Shard, schema: pa.Schema) -> bool:
    """Whether the file gives weights."""
    if WEIGHT not in schema.names:
        return False
    kind = schema.field(WEIGHT).type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
        raise InputError(f"{shard.path}: column {WEIGHT!r} holds {kind}, not numbers; rename it if it is no weight.")
    return True
