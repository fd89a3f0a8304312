"""Small annotated corpora and what is published of them, made without any model."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ifcurate.annotation.numbered_files import NumberedFiles
from ifcurate.annotation.published import AnnotatedShards, Annotations
from ifcurate.annotation.schema import annotation_fields
from ifcurate.corpus.parquet import attach as saying
from ifcurate.corpus.shards import list_shards

SAID = {
    "toxic": {"version": "0", "tokenizer_hash": "0" * 64, "alignment": "label", "sign": "+", "unit": "nats", "tau": 1.0}
}
FIELDS = annotation_fields("toxic")
COLUMNS = [field.name for field in FIELDS]


@dataclass(frozen=True)
class Document:
    """A text, its id or None, and a number that its annotation is made of."""

    text: str | None
    id: str | None
    number: int

    def annotated(self) -> dict[str, Any]:
        draw = random.Random(self.number)
        mask = [draw.random() < 0.5 for _ in range(draw.randint(0, 4))]
        spans = [{"start": at, "end": at + 1} for at, marked in enumerate(mask) if marked]
        influence = [float(draw.randint(-9, 9)) for _ in mask]
        values = (influence, mask, spans, sum(mask), float(self.number), draw.randint(0, 8) / 8)
        return dict(zip(COLUMNS, values, strict=True))


def schema(ids: bool, annotated: bool) -> pa.Schema:
    fields = [*([pa.field("id", pa.string())] if ids else []), pa.field("text", pa.string())]
    return saying(pa.schema([*fields, *FIELDS]), SAID) if annotated else pa.schema(fields)


def write_corpus(folder: Path, shards: Sequence[Sequence[Document]], ids: bool = True, annotated: bool = False) -> Path:
    """Parquet shards of documents, with or without our columns."""
    folder.mkdir(parents=True)
    for number, documents in enumerate(shards):
        rows = [{"id": one.id, "text": one.text, **(one.annotated() if annotated else {})} for one in documents]
        table = pa.Table.from_pylist(rows, schema=schema(ids, annotated))
        pq.write_table(table, folder / f"part-{number:03d}.parquet")
    return folder


def publish_annotations(data: Path, out: Path, file_bytes: int = 1 << 20, token_scores: bool = True) -> Path:
    """The configuration `annotations` of the annotated shards in `data`."""
    source = AnnotatedShards.open(list_shards(str(data)), "text", None)
    annotations = Annotations(source, token_scores)
    with NumberedFiles(out / "annotations", annotations.schema, file_bytes) as files:
        for shard, batch in source.rows(annotations.read):
            files.write(annotations.of(shard, batch))
    return out
