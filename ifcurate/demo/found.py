"""How much of the insulting text a selection found: the corpus says where the insults are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ifcurate.annotation.schema import mask_column, rank_column, spans_column
from ifcurate.corpus.documents import ID
from ifcurate.selection.scores import TOKEN_ENDS, TOKEN_STARTS

TOP = 5

Span = tuple[int, int]


@dataclass(frozen=True)
class RankedText:
    """A document, its rank, and the character ranges selected in it."""

    rank: float
    label: str
    text: str
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Found:
    """Token counts of a corpus, and its highest ranked documents.

    Attributes:
        tokens: in the corpus.
        insulting: of them, those that overlap an insult.
        selected: marked for suppression.
        both: marked and insulting.
        top: documents in descending rank.
    """

    tokens: int
    insulting: int
    selected: int
    both: int
    top: tuple[RankedText, ...]

    @property
    def base_rate(self) -> float:
        """Share of all tokens that are insulting: what a random selection would hit."""
        return self.insulting / self.tokens

    @property
    def precision(self) -> float:
        """Share of the selected tokens that are insulting."""
        return self.both / self.selected if self.selected else 0.0

    @property
    def recall(self) -> float:
        """Share of the insulting tokens that are selected."""
        return self.both / self.insulting if self.insulting else 0.0


def measure(annotated: Path, scores: Path, behaviour: str) -> Found:
    """Compare the masks in `annotated/*.parquet` with the column `insult_spans`; token offsets come from `scores`."""
    tokens = insulting = selected = both = 0
    top: list[RankedText] = []
    for row in _rows(annotated, scores, behaviour):
        mask = row[mask_column(behaviour)]
        insults = _ranges(row["insult_spans"])
        bad = [overlaps(token, insults) for token in zip(row[TOKEN_STARTS], row[TOKEN_ENDS], strict=True)]
        tokens += len(mask)
        insulting += sum(bad)
        selected += sum(mask)
        both += sum(in_mask and in_insult for in_mask, in_insult in zip(mask, bad, strict=True))
        spans = tuple(_ranges(row[spans_column(behaviour)]))
        top.append(RankedText(row[rank_column(behaviour)], row["label"], row["text"], spans))
    top.sort(key=lambda ranked: -ranked.rank)
    return Found(tokens, insulting, selected, both, tuple(top[:TOP]))


def overlaps(token: Span, spans: list[Span]) -> bool:
    """Whether the characters of `token` and one of `spans` have any in common; ends are exclusive."""
    return any(token[0] < end and start < token[1] for start, end in spans)


def _ranges(spans: list[dict[str, int]]) -> list[Span]:
    return [(span["start"], span["end"]) for span in spans]


def _rows(annotated: Path, scores: Path, behaviour: str) -> Iterator[dict[str, Any]]:
    """Every document with its annotations and its token offsets, shard by shard."""
    columns = ["text", "label", "insult_spans", mask_column(behaviour), spans_column(behaviour), rank_column(behaviour)]
    for shard in sorted(annotated.glob("*.parquet")):
        documents = pq.read_table(shard, columns=[ID, *columns]).to_pylist()
        offsets = pq.read_table(scores / shard.name, columns=[TOKEN_STARTS, TOKEN_ENDS]).to_pylist()
        for document, offset in zip(documents, offsets, strict=True):
            yield {**document, **offset}
