"""What the formats for texts are written from, for stacks that tokenize for themselves: marked characters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ifcurate.annotation.texts import MarkedText
from ifcurate.export.readback.marked import ReadText


class TextExporter(Protocol):
    """Writes shards of texts in one format below a folder, from which it is made."""

    needs_ids: bool
    needs_scores: bool

    @property
    def carries(self) -> str:
        """What of the marks it holds, and where."""

    def write(self, name: str, documents: Iterable[MarkedText]) -> None:
        """Write one shard; `name` may contain slashes."""

    @staticmethod
    def read_back(document: MarkedText) -> ReadText:
        """What a reader of the format gives for it."""


@dataclass
class TextSummary:
    """What was written: documents, spans, characters, and how many of them are in a span."""

    documents: int = 0
    spans: int = 0
    characters: int = 0
    marked: int = 0

    def counting(self, documents: Iterable[MarkedText]) -> Iterator[MarkedText]:
        """Pass documents through and count them; characters marked for two behaviours count twice."""
        for document in documents:
            self.documents += 1
            self.characters += len(document.text)
            for spans in document.spans.values():
                self.spans += len(spans.starts)
                self.marked += int(np.sum(spans.ends - spans.starts))
            yield document

    def sentence(self) -> str:
        """For people."""
        return (
            f"{self.documents:,} documents, {self.spans:,} spans, {self.marked:,} of {self.characters:,} characters "
            "in them"
        )
