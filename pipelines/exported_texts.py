"""Exports of texts, or of their ids, and the characters that are marked in them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

from ifcurate.annotation.messages import holds_messages
from ifcurate.annotation.run_folder import annotated_folder
from ifcurate.annotation.texts import AnnotatedTexts
from ifcurate.corpus.ids import require_unique_ids
from ifcurate.corpus.shards import Shard, list_shards, open_shard
from ifcurate.errors import InputError
from ifcurate.export import EXPORTERS, TEXT_EXPORTERS
from ifcurate.export.config import ExportConfig
from ifcurate.export.readback.marked import ReadText, compare
from ifcurate.export.texts import TextExporter, TextSummary
from ifcurate.pipelines.asked_tokenizer import asked_tokenizer
from ifcurate.registry import load
from ifcurate.training.forms import parse_penalties

MOST_DOCUMENTS = 256
"""What `verified` compares."""


class TextExport:
    """An export in one of `TEXT_EXPORTERS`. Every document keeps its place."""

    summary = TextSummary

    def __init__(self, config: ExportConfig) -> None:
        if config.penalty_weights != "equal":
            raise InputError(
                f"option --penalty-weights: {config.format} holds no weights; leave it out, or give another --format."
            )
        if config.marked != "penalize":
            raise InputError(
                f"option --marked: {config.format} holds texts, which control tokens cannot stand in; leave it out, or "
                "give another --format."
            )
        if holds_messages(list_shards(annotated_folder(config.data)), config.text_column):
            raise InputError(
                f"option --format: {config.format} marks characters of texts, and the documents of {config.data} are "
                f"messages; give a format of tokens, which carries them ({', '.join(EXPORTERS)})."
            )
        self._exporter = load(TEXT_EXPORTERS[config.format])
        self._corpus = AnnotatedTexts(
            config.data,
            list(parse_penalties(config.penalty, config.behaviour)),
            config.text_column,
            config.id_column if self._exporter.needs_ids else None,
            asked_tokenizer(config) if self._exporter.needs_scores else None,
        )

    def shards(self) -> list[Shard]:
        """The corpus."""
        return self._corpus.shards()

    def write(self, folder: Path) -> TextSummary:
        """Write all shards below `folder`, and count what was written.

        Raises:
            InputError: an id is there twice, nothing is marked, or see `AnnotatedTexts`.
        """
        exporter: TextExporter = self._exporter(folder)
        corpus, summary = self._corpus, TextSummary()
        if corpus.id_column is not None:
            require_unique_ids(corpus.shards(), corpus.id_column)
        for shard in corpus.shards():
            exporter.write(shard.name, summary.counting(corpus.documents_of(shard)))
        if not summary.spans:
            raise InputError(
                f"{corpus.source}: no character is marked for {' or '.join(corpus.behaviours)}; select with a larger "
                "budget."
            )
        return summary

    def verified(self, folder: Path, read: Callable[[Path, str, int], list[ReadText]]) -> str:
        """Compare the first documents below `folder`, as `read` gives them, with the corpus.

        Raises:
            InputError: they are others.
        """
        shard = next(shard for shard in self.shards() if open_shard(shard).num_rows)
        documents = islice(self._corpus.documents_of(shard), MOST_DOCUMENTS)
        source = [self._exporter.read_back(document) for document in documents]
        return compare(read(folder, shard.name, MOST_DOCUMENTS), source, f"{folder}, shard {shard.name}")

    def sentences(self) -> list[str]:
        """What the format carries."""
        return [self._exporter.carries]
