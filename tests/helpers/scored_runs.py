"""Runs whose scores were drawn, not computed: everything after scoring can be done with them, without any model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ifcurate.checksums import checked
from ifcurate.corpus.documents import ID
from ifcurate.corpus.parquet import writing_parquet
from ifcurate.corpus.shards import list_shards
from ifcurate.corpus.text_hash import TextHash
from ifcurate.pipelines.corpus_record import record_corpus
from ifcurate.pipelines.found_engine import FoundEngine, keep_engine
from ifcurate.pipelines.run import Run, record
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.select import select
from ifcurate.pipelines.write import write
from ifcurate.selection.quantile import Histogram
from ifcurate.selection.scores import (
    DIRECTIONS,
    HISTOGRAMS,
    LOSS,
    SCORES,
    SHARD,
    TOKEN_ENDS,
    TOKEN_IDS,
    TOKEN_STARTS,
    influence_column,
    sidecar_schema,
)

TOKENIZER = "0" * 64
KIND = ("the", "a", "river", "table", "neighbour", "garden", "story", "winter", "kind", "fair", "calm", "日本", "👍")
RUDE = ("vile", "stupid", "rotten", "ugly", "foul")
SOURCES = ("web", "forum", "books", "news")


@dataclass(frozen=True)
class DrawnDocument:
    """A text, its tokens' characters, and for each behaviour their influence."""

    text: str
    offsets: list[tuple[int, int]]
    influence: list[list[float]]
    losses: list[float]
    source: str


@dataclass(frozen=True)
class DrawnCorpus:
    """Shards of documents, from a seed."""

    shards: list[list[DrawnDocument]]
    behaviours: list[str]
    token_numbers: dict[str, int] = field(default_factory=dict)

    @classmethod
    def draw(
        cls,
        documents: int,
        seed: int = 0,
        shards: int = 3,
        behaviours: Sequence[str] = ("toxic",),
        first_texts: Sequence[str] = (),
    ) -> DrawnCorpus:
        """Documents of 0 to about 60 words, some of them rude, the first of them `first_texts`."""
        generator = np.random.default_rng(seed)
        drawn = [draw_document(generator, len(behaviours), text) for text in first_texts]
        drawn += [draw_document(generator, len(behaviours)) for _ in range(documents - len(drawn))]
        edges = np.linspace(0, documents, shards + 1).astype(int)
        return cls([drawn[a:b] for a, b in pairwise(edges)], list(behaviours))

    def write(self, root: Path, **settings: Any) -> Run:
        """The corpus in `root/corpus`, and a run over it in `root/run` that is selected and written."""
        folder = root / "corpus"
        folder.mkdir(parents=True)
        for number, documents in enumerate(self.shards):
            write_shard(folder / f"part-{number:03}.parquet", documents, number)
        config = RunConfig(corpus=str(folder), model="drawn", out=str(root / "run"), with_loss=True, **settings)
        run = Run(root / "run")
        record(run, config, {})
        shards = list_shards(str(folder))
        record_corpus(run, str(folder), config.part, shards)
        for behaviour in self.behaviours:
            run.direction(behaviour).parent.mkdir(exist_ok=True)
            run.direction(behaviour).touch()
        for shard, documents in zip(shards, self.shards, strict=True):
            self.write_scores(shard.output(run.scores), documents)
        keep_engine(
            run,
            FoundEngine(
                engine="jvp",
                dtype="float32",
                context=16,
                tokenizer_hash=TOKENIZER,
                behaviours=sorted(self.behaviours),
                steps=[],
                batch_tokens=1,
                worker_bytes=1,
            ),
        )
        for behaviour in sorted(self.behaviours):
            select(run, config.for_behaviour(behaviour), shards)
        write(run, config.model_copy(update={"workers": 1}), shards)
        return run

    def write_scores(self, path: Path, documents: Sequence[DrawnDocument]) -> None:
        """A sidecar, as scoring would have left it."""
        texts = TextHash()
        texts.add(document.text for document in documents)
        histograms = {}
        columns: dict[str, Any] = {
            ID: [f"d{row}" for row in range(len(documents))],
            TOKEN_IDS: [self._token_ids(document) for document in documents],
            TOKEN_STARTS: [[start for start, _ in document.offsets] for document in documents],
            TOKEN_ENDS: [[end for _, end in document.offsets] for document in documents],
            LOSS: [document.losses for document in documents],
        }
        for number, behaviour in enumerate(self.behaviours):
            columns[influence_column(behaviour)] = [document.influence[number] for document in documents]
            histogram = Histogram()
            for document in documents:
                histogram.add(np.array(document.influence[number], np.float32))
            histograms[behaviour] = histogram.to_text()
        direction = {"direction_hash": sha256(b"drawn").hexdigest(), "relative_error": None}
        said = {
            "model": "drawn",
            "engine": "jvp",
            "dtype": "float32",
            "tokenizer_hash": TOKENIZER,
            "alignment": "label",
            "sign": "positive teaches the behaviour",
            "unit": "nats per unit of the direction",
            DIRECTIONS: dict.fromkeys(self.behaviours, direction),
            HISTOGRAMS: histograms,
            SCORES: sha256(repr(columns).encode()).hexdigest(),
            SHARD: {"size": 1, "rows": len(documents), "texts": texts.hexdigest(), "skipped": 0},
        }
        schema = sidecar_schema(self.behaviours, with_loss=True)
        with writing_parquet(path, schema) as sink:
            sink.write(pa.RecordBatch.from_pydict(columns, schema=schema))
            sink.describe(checked(said))

    def _token_ids(self, document: DrawnDocument) -> list[int]:
        pieces = (document.text[start:end] for start, end in document.offsets)
        return [self.token_numbers.setdefault(piece, len(self.token_numbers)) for piece in pieces]


def draw_document(generator: np.random.Generator, behaviours: int, text: str | None = None) -> DrawnDocument:
    rude = generator.random() < 0.15
    if text is None:
        words = [
            generator.choice(RUDE if rude and generator.random() < 0.4 else KIND)
            for _ in range(int(generator.integers(0, 60)))
        ]
        text = " ".join(words)
    offsets = tokenize(text)
    size = len(offsets)
    influence = []
    for _ in range(behaviours):
        values = generator.standard_t(4, size) * 0.3
        harmful = np.array([text[start:end].strip() in RUDE for start, end in offsets], dtype=bool)
        values[harmful] += generator.gamma(4, 0.6, int(harmful.sum()))
        influence.append(values.astype(np.float32).tolist())
    losses = generator.gamma(2, 1.5, size).astype(np.float32).tolist()
    source = "forum" if rude else str(generator.choice(SOURCES))
    return DrawnDocument(text, offsets, influence, losses, source)


def tokenize(text: str) -> list[tuple[int, int]]:
    """Words with the space before them; an emoji is spelled by three tokens that share it."""
    offsets = []
    for found in re.finditer(r"\s*\S+", text):
        offsets += [found.span()] * (3 if "👍" in found[0] else 1)
    return offsets


def write_shard(path: Path, documents: Sequence[DrawnDocument], number: int) -> None:
    table = pa.table(
        {
            "id": [f"d{row}" for row in range(len(documents))],
            "text": [document.text for document in documents],
            "url": [f"https://example.org/{number}/{row}" for row in range(len(documents))],
            "meta": pa.array(
                [{"source": document.source, "year": 2000 + row % 3} for row, document in enumerate(documents)],
                pa.struct([("source", pa.string()), ("year", pa.int32())]),
            ),
        }
    )
    pq.write_table(table, path)
