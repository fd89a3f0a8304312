"""Exports of tokens and their weights: what of an annotated corpus goes into them, and in which tokenization."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ifcurate.annotation.reader import AnnotatedCorpus, MarkedDocument
from ifcurate.corpus.shards import Shard
from ifcurate.errors import InputError
from ifcurate.export import EXPORTERS
from ifcurate.export.config import ExportConfig
from ifcurate.export.readback.batch import Batch, compare
from ifcurate.export.treated import Treated
from ifcurate.export.weights import Exporter, ExportSummary, WeightedDocument, weighted
from ifcurate.model.checkpoints import vocabulary_size
from ifcurate.pipelines.asked_tokenizer import asked_tokenizer
from ifcurate.registry import load
from ifcurate.training.forms import parse_penalties
from ifcurate.training.marked import require_texts
from ifcurate.training.packing import token_dtype, weight_table
from ifcurate.training.token_columns import influence_weights

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

WeightsOf = Callable[[MarkedDocument], NDArray[np.float32]]
Content = Callable[[Iterable[MarkedDocument]], Iterator[WeightedDocument]]
TOKENIZER_FOLDER = "tokenizer"
"""Below an export with control tokens: the tokenizer that knows them."""


MOST_TOKENS = 4096
"""What `verified` compares."""


class TokenExport:
    """An export in one of `EXPORTERS`.

    Every document keeps its place and ends with the tokenizer's EOS token, which has weight 1.
    """

    summary = ExportSummary

    def __init__(self, config: ExportConfig) -> None:
        self._tokenizer = asked_tokenizer(config)
        self._penalties = _penalties(config)
        self._treated = _treated(config)
        self._by_influence = config.penalty_weights == "influence"
        self._exporter = load(EXPORTERS[config.format])
        self._corpus = AnnotatedCorpus(
            config.data,
            list(self._penalties),
            self._tokenizer,
            config.text_column,
            with_strengths=self._by_influence,
        )
        if self._treated:
            require_texts(self._corpus)

    def shards(self) -> list[Shard]:
        """The corpus."""
        return self._corpus.shards()

    def write(self, folder: Path) -> ExportSummary:
        """Write all shards below `folder`, and count what was written.

        Raises:
            InputError: the format cannot hold a penalty, nothing is marked, or see `AnnotatedCorpus`.
        """
        known = self._treated.tokenizer if self._treated else self._tokenizer
        exporter: Exporter = self._exporter(folder, token_dtype(vocabulary_size(known)), self._penalties.values())
        summary, content = ExportSummary(), self._content()
        for shard in self._corpus.shards():
            exporter.write(shard.name, summary.counting(content(self._corpus.documents_of(shard))))
        exporter.finish()
        self._corpus.require_marks()
        if self._treated:
            known.save_pretrained(folder / TOKENIZER_FOLDER)
        return summary

    def _content(self) -> Content:
        """From marked documents to what is written of them."""
        end = _end_token(self._tokenizer)
        if self._treated:
            return partial(self._treated.documents, end=end)
        by_influence = self._by_influence
        weights_of = _by_influence(self._corpus, self._penalties) if by_influence else _by_marks(self._penalties)
        return partial(weighted, weights_of=weights_of, end=end)

    def verified(self, folder: Path, read: Callable[[Path, str, int], Batch]) -> str:
        """Compare the first tokens below `folder`, as `read` gives them, with the corpus.

        Raises:
            InputError: they are others.
        """
        content = self._content()
        for shard in self.shards():
            source = list(_beginning(content(replace(self._corpus).documents_of(shard))))
            if source:
                break
        most = min(MOST_TOKENS, sum(len(document.token_ids) for document in source))
        return compare(read(folder, shard.name, most), source, f"{folder}, shard {shard.name}")

    def sentences(self) -> list[str]:
        """What was marked, and what the format carries, after `write`."""
        counted = [count.sentence(behaviour) for behaviour, count in self._corpus.counts.items()]
        if self._treated:
            counted.append(
                f"{self._treated.treatment.description}, without a loss; {TOKENIZER_FOLDER}/ knows their ids"
            )
        return [*counted, self._exporter.carries]


def _beginning(documents: Iterable[WeightedDocument]) -> Iterator[WeightedDocument]:
    """Documents of at least `MOST_TOKENS` tokens together, or all."""
    tokens = 0
    for document in documents:
        yield document
        tokens += len(document.token_ids)
        if tokens >= MOST_TOKENS:
            return


def _penalties(config: ExportConfig) -> dict[str, float]:
    """Lambda by behaviour; 0 where control tokens, which have no loss, stand instead of penalties."""
    if config.marked == "penalize":
        return parse_penalties(config.penalty, config.behaviour)
    for name in ("penalty", "penalty_weights"):
        if getattr(config, name) != ExportConfig.model_fields[name].default:
            raise InputError(f"option --marked {config.marked} has no penalty; leave out --{name.replace('_', '-')}.")
    return dict.fromkeys(config.behaviour, 0.0)


def _treated(config: ExportConfig) -> Treated | None:
    """Reads the tokenizer once more: the one that reads texts may not know control tokens."""
    return None if config.marked == "penalize" else Treated.named(config.marked, asked_tokenizer(config))


def _by_marks(penalties: Mapping[str, float]) -> WeightsOf:
    table = weight_table(list(penalties.values()))
    return lambda document: table[document.marks]


def _by_influence(corpus: AnnotatedCorpus, penalties: Mapping[str, float]) -> WeightsOf:
    """Reads the corpus once more, for the mean."""
    return influence_weights(replace(corpus), list(penalties.values())).of


def _end_token(tokenizer: PreTrainedTokenizerFast) -> int:
    if tokenizer.eos_token_id is None:
        raise InputError(f"{tokenizer.name_or_path}: has no EOS token to end documents with; set one.")
    return int(tokenizer.eos_token_id)
