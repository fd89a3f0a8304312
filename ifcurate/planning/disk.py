"""Bytes on disk: factors and directions from a model's shape, score files and columns by writing those of a sample."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from ifcurate.annotation.schema import SPAN_LIST, annotation_fields
from ifcurate.corpus.compressed import writing_bytes
from ifcurate.corpus.documents import ID
from ifcurate.corpus.parquet import writing_parquet
from ifcurate.influence.precision import Precision, rounded
from ifcurate.model.windows import Encoding
from ifcurate.planning.durations import Took, clocked
from ifcurate.planning.shapes import ModelShape
from ifcurate.selection.scores import (
    FLOAT_LIST,
    LOSS,
    TOKEN_ENDS,
    TOKEN_IDS,
    TOKEN_STARTS,
    influence_column,
    sidecar_schema,
    writing_scores,
)
from ifcurate.selection.spans import Ranges, mask_to_spans

FLOAT = 4
MARKED = 0.02
"""Share of the tokens that are taken to be marked, in runs of `RUN` tokens: the default budget, with its neighbours."""
RUN = 3
ROWS_A_BATCH = 256


def factors_bytes(shape: ModelShape) -> int:
    """Of the files in `RUN/factors`: eigenvectors and eigenvalues of both sides of each layer, and the corrected ones.

    Layers that read the same inputs have a copy each.
    """
    return FLOAT * sum(
        count * (layer.inputs**2 + layer.outputs**2 + layer.inputs + layer.outputs + layer.values)
        for layer, count in shape.layers.items()
    )


def direction_bytes(shape: ModelShape) -> int:
    """Of a direction's file."""
    return FLOAT * shape.tracked


@dataclass(frozen=True)
class Asked:
    """What is stored of each token.

    Attributes:
        behaviours: whose influence.
        precision: of it.
        with_loss: each token's own loss too.
        token_ids: in the annotated corpus.
        suffix: of its shards, as of `corpus.formats`.
    """

    behaviours: Sequence[str]
    precision: Precision = "float32"
    with_loss: bool = False
    token_ids: bool = True
    suffix: str = ".parquet"


@dataclass(frozen=True)
class Stored:
    """Bytes a token of a sample that was written, and what writing its score files took.

    Attributes:
        scores: of the score files.
        columns: that the annotated corpus gains.
        writing: of the score files, for all tokens of the sample.
    """

    scores: float
    columns: float
    writing: Took


def stored_sample(encodings: Sequence[Encoding], asked: Asked, seed: int = 0) -> Stored:
    """Write a sample's score file and columns as a run would, and remove them again.

    Tokens and characters are the sample's own. Influence and marks are drawn: influence from Student's distribution
    with three degrees of freedom, whose last bits are as random as those of real scores.
    """
    tokens = sum(map(len, encodings))
    generator = np.random.default_rng(seed)
    drawn = {name: generator.standard_t(3, tokens).astype(np.float32) for name in _floats(asked)}
    values = {name: rounded(floats, asked.precision) if name != LOSS else floats for name, floats in drawn.items()}
    with tempfile.TemporaryDirectory() as folder:
        scores, columns = Path(folder, "scores.parquet"), Path(folder, f"columns{asked.suffix}")
        _, writing = clocked(lambda: _write_scores(scores, encodings, values, asked))
        _write_columns(columns, encodings, values, asked, generator)
        return Stored(scores.stat().st_size / tokens, columns.stat().st_size / tokens, writing)


def _floats(asked: Asked) -> list[str]:
    return [*map(influence_column, asked.behaviours), *([LOSS] if asked.with_loss else [])]


def _write_scores(
    path: Path, encodings: Sequence[Encoding], values: dict[str, NDArray[np.float32]], asked: Asked
) -> None:
    schema = sidecar_schema(asked.behaviours, asked.with_loss)
    ends = np.cumsum([len(encoding) for encoding in encodings])[:-1]
    floats = {name: np.split(found, ends) for name, found in values.items()}
    with writing_scores(path, schema) as sink:
        for first in range(0, len(encodings), ROWS_A_BATCH):
            part = encodings[first : first + ROWS_A_BATCH]
            rows = {ID: [f"{first + row}" for row in range(len(part))]}
            rows |= {
                TOKEN_IDS: [encoding.token_ids.tolist() for encoding in part],
                TOKEN_STARTS: [encoding.starts.tolist() for encoding in part],
                TOKEN_ENDS: [encoding.ends.tolist() for encoding in part],
            }
            rows |= {
                name: [each.tolist() for each in found[first : first + len(part)]] for name, found in floats.items()
            }
            sink.write(pa.RecordBatch.from_pydict(rows, schema=schema))


def _write_columns(
    path: Path,
    encodings: Sequence[Encoding],
    values: dict[str, NDArray[np.float32]],
    asked: Asked,
    generator: np.random.Generator,
) -> None:
    """What `write` appends to a shard, in the format of its annotated shards; Arrow's are as large as in memory."""
    batch = _columns(encodings, values, asked, generator)
    if ".jsonl" in path.name:
        with writing_bytes(path, asked.suffix) as out:
            out.writelines(orjson.dumps(row)[1:-1] for row in _rows(batch))
    elif asked.suffix == ".arrow":
        with pa.OSFile(str(path), "wb") as stored, pa.ipc.new_file(stored, batch.schema) as writer:
            writer.write_batch(batch)
    else:
        with writing_parquet(path, batch.schema) as sink:
            sink.write(batch)


def _columns(
    encodings: Sequence[Encoding],
    values: dict[str, NDArray[np.float32]],
    asked: Asked,
    generator: np.random.Generator,
) -> pa.RecordBatch:
    lengths = [len(encoding) for encoding in encodings]
    offsets = pa.array(np.cumsum([0, *lengths]), pa.int32())
    tokens = Ranges.of_documents([(encoding.starts, encoding.ends) for encoding in encodings])
    begins = generator.random(sum(lengths)) < MARKED / RUN
    mask = np.convolve(begins, np.ones(RUN))[: len(begins)] > 0
    spans = mask_to_spans(mask, tokens)
    ranges = [pa.array(side.astype(np.int32)) for side in (spans.starts, spans.ends)]
    found: dict[str, pa.Array] = {}
    if asked.token_ids:
        ids = np.concatenate([encoding.token_ids for encoding in encodings])
        found[TOKEN_IDS] = pa.ListArray.from_arrays(offsets, pa.array(ids))
    if asked.with_loss:
        found[LOSS] = pa.ListArray.from_arrays(offsets, pa.array(values[LOSS]))
    for behaviour in asked.behaviours:
        sparsity = pa.array(generator.poisson(MARKED * np.array(lengths)).astype(np.int32))
        columns = [
            pa.ListArray.from_arrays(offsets, pa.array(values[influence_column(behaviour)])),
            pa.ListArray.from_arrays(offsets, pa.array(mask)),
            pa.ListArray.from_arrays(
                pa.array(spans.rows.astype(np.int32)),
                pa.StructArray.from_arrays(ranges, fields=list(SPAN_LIST.value_type)),
            ),
            *(sparsity, *map(pa.array, generator.random((2, len(encodings))).astype(np.float32))),
        ]
        fields = annotation_fields(behaviour)
        found |= {field.name: column.cast(field.type) for field, column in zip(fields, columns, strict=True)}
    return pa.RecordBatch.from_pydict(found)


def _rows(batch: pa.RecordBatch) -> Iterator[dict[str, object]]:
    """Rows with influence as the fewest digits that give back its float32, as `annotation.lines` writes it."""
    for first in range(0, batch.num_rows, ROWS_A_BATCH):
        for row in batch.slice(first, ROWS_A_BATCH).to_pylist():
            yield {
                name: [float(str(np.float32(number))) for number in value]
                if batch.schema.field(name).type == FLOAT_LIST
                else value
                for name, value in row.items()
            }
