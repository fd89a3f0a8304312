"""What a person looks at: `report.html` with the highest documents, and `README.md`, the dataset card."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import jinja2
import pyarrow as pa
import yaml

from ifcurate import schema
from ifcurate.files import write_text
from ifcurate.parquet import ParquetReader
from ifcurate.run import Run
from ifcurate.run_config import RunConfig
from ifcurate.selected import Selection, records_path
from ifcurate.shards import Shard

HIGHEST = 30
"""Documents shown."""
MOST_CHARACTERS = 2_000
"""Of a document shown; the report says where it is cut."""

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("ifcurate", "templates"),
    autoescape=jinja2.select_autoescape(["html.j2"]),
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)
_TEMPLATES.filters["format_number"] = "{:,}".format


@dataclass(frozen=True)
class Piece:
    """A run of a document's characters, selected or not."""

    text: str
    selected: bool


@dataclass(frozen=True)
class ShownDocument:
    """A document of the report: where it is, its numbers, its text cut into pieces, and how much is left out."""

    shard: str
    row: int
    rank: float
    score: float
    sparsity: int
    pieces: list[Piece]
    left_out: int


@dataclass(frozen=True)
class AnnotatedBehaviour:
    """One behaviour's part of the report."""

    selection: Selection
    metadata: dict[str, Any]
    documents: list[ShownDocument]


def write_report(run: Run, config: RunConfig, shards: Sequence[Shard], selections: Sequence[Selection]) -> None:
    """Write `RUN/report.html` and the dataset card `RUN/README.md`; both depend on the run's settings and data alone.

    Args:
        run: a run whose shards are written.
        config: its settings.
        shards: its corpus.
        selections: one a behaviour.
    """
    metadata = schema.metadata_of(ParquetReader(str(shards[0].output(run.data))).schema)
    annotated = [
        AnnotatedBehaviour(selection, metadata[selection.behaviour], list(_highest_documents(run, config, selection)))
        for selection in selections
    ]
    behaviours = [selection.behaviour for selection in selections]
    facts: dict[str, Any] = {
        "annotated": annotated,
        "behaviours": ", ".join(behaviours),
        "config": config,
        "columns": schema.described_columns(behaviours, config.token_ids),
        "shards": len(shards),
    }
    write_text(run.root / "report.html", _TEMPLATES.get_template("report.html.j2").render(**facts))
    card = {"tags": ["ifcurate", "data-curation"], "configs": [{"config_name": "default", "data_files": "data/**"}]}
    details = {behaviour: metadata[behaviour] for behaviour in behaviours}
    write_text(
        run.root / "README.md",
        _TEMPLATES.get_template("card.md.j2").render(
            **facts,
            head=yaml.safe_dump(card, sort_keys=False),
            details=json.dumps(details, indent=2, sort_keys=True),
        ),
    )


def cut_text(text: str, spans: Sequence[tuple[int, int]]) -> list[Piece]:
    """`text` cut at the borders of `spans`: ranges of characters in order, without overlap."""
    pieces, reached = [], 0
    for start, end in spans:
        pieces += [Piece(text[reached:start], False), Piece(text[start:end], True)]
        reached = end
    pieces.append(Piece(text[reached:], False))
    return [piece for piece in pieces if piece.text]


def _highest_documents(run: Run, config: RunConfig, selection: Selection) -> Iterator[ShownDocument]:
    table = records_path(run.selection, selection.behaviour)
    highest = duckdb.execute(
        "SELECT shard, row FROM read_parquet(?) WHERE selected > 0 "
        "GROUP BY shard, row ORDER BY max(rank) DESC, shard, row LIMIT ?",
        [str(table), HIGHEST],
    ).fetchall()
    for shard, row in highest:
        yield _shown(run.data / f"{shard}.parquet", shard, row, config.text_column, selection.behaviour)


def _shown(file: Path, shard: str, row: int, text_column: str, behaviour: str) -> ShownDocument:
    names = [
        text_column,
        schema.spans_column(behaviour),
        schema.rank_column(behaviour),
        schema.score_column(behaviour),
        schema.sparsity_column(behaviour),
    ]
    text, spans, rank, score, sparsity = (column[0].as_py() for column in _row(file, row, names).columns)
    kept = [(span["start"], min(span["end"], MOST_CHARACTERS)) for span in spans if span["start"] < MOST_CHARACTERS]
    pieces = cut_text(text[:MOST_CHARACTERS], kept)
    return ShownDocument(shard, row, rank, score, sparsity, pieces, max(0, len(text) - MOST_CHARACTERS))


def _row(file: Path, row: int, names: list[str]) -> pa.RecordBatch:
    first = 0
    for batch in ParquetReader(str(file)).batches(names):
        if row < first + batch.num_rows:
            return batch.select(names).slice(row - first, 1)
        first += batch.num_rows
    raise IndexError(f"{file}: has no row {row}")
