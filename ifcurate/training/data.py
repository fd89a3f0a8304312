"""The data of a training: annotated shards and held-out text, packed on disk by one process and read by all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ifcurate.annotation.reader import AnnotatedCorpus
from ifcurate.corpus.shards import corpus_fingerprint
from ifcurate.errors import InputError
from ifcurate.files import remove
from ifcurate.model.checkpoints import start_token
from ifcurate.progress import log
from ifcurate.training.config import TrainConfig
from ifcurate.training.learned import Learned
from ifcurate.training.marked import require_texts
from ifcurate.training.packing import Delimiters, PackedTokens, token_dtype, write_stream
from ifcurate.training.token_columns import (
    LOSS_WEIGHTS,
    REFERENCE_LOSSES,
    STORED_LOSSES,
    TokenColumn,
    influence_weights,
)

STREAMS_FOLDER = "packed"
"""Below the training's output folder while it runs."""


@dataclass
class TrainingData:
    """Packed rows of the corpus and of the held-out file.

    Attributes:
        config: names both, and the behaviours that are penalised.
        learned: the model to train, and its tokenizer.
        length: tokens a row.
        stored_losses: pack the losses that the corpus holds, for a penalty that compares with them.
    """

    config: TrainConfig
    learned: Learned
    length: int
    stored_losses: bool = False
    corpus: AnnotatedCorpus = field(init=False)

    def __post_init__(self) -> None:
        self.corpus = self._penalised()
        if self.learned.edit is not None:
            require_texts(self.corpus)

    def pack(self) -> None:
        """Write both streams; says for each behaviour which share of tokens is marked.

        Raises:
            InputError: see `AnnotatedCorpus`; a behaviour marks no token; there is no text.
        """
        columns = [STORED_LOSSES] if self.stored_losses else []
        if self._by_influence:
            columns.append(influence_weights(self._penalised(), list(self.config.penalties.values())))
        self._write(self.corpus, self._train_folder, columns)
        for behaviour, count in self.corpus.counts.items():
            log.info(count.sentence(behaviour))
        self.corpus.require_marks()
        if self.config.eval_file is not None:
            held_out = AnnotatedCorpus(
                self.config.eval_file, [], self.learned.tokenizer, self.config.text_column, self.learned.vocabulary
            )
            self._write(held_out, self._held_out_folder, [])

    def rows(self) -> PackedTokens:
        """The corpus, packed."""
        penalties = list(self.config.penalties.values())
        columns = [REFERENCE_LOSSES] * self.stored_losses + [LOSS_WEIGHTS] * self._by_influence
        return PackedTokens(self._train_folder, self._dtype, penalties, self.length, columns, self.learned.control)

    def held_out_rows(self) -> PackedTokens | None:
        """The held-out text, packed; None where none is given."""
        if self.config.eval_file is None:
            return None
        return PackedTokens(self._held_out_folder, self._dtype, [], self.length, unlabelled=self.learned.control)

    def fingerprint(self) -> dict[str, Any]:
        """What tells this corpus from another; see `corpus_fingerprint`."""
        return corpus_fingerprint(self.corpus.shards())

    def marked_shares(self) -> dict[str, float]:
        """Behaviour to its share of marked tokens; known to the process that packed."""
        return {name: count.trained_marked / max(count.trained, 1) for name, count in self.corpus.counts.items()}

    def remove(self) -> None:
        """Delete the streams, if there are any: they are made again from the shards whenever they are needed."""
        remove(Path(self.config.out) / STREAMS_FOLDER)

    @property
    def _by_influence(self) -> bool:
        return self.config.penalty_weights == "influence"

    def _penalised(self) -> AnnotatedCorpus:
        return AnnotatedCorpus(
            self.config.data,
            self.config.marking_behaviours,
            self.learned.tokenizer,
            self.config.text_column,
            self.learned.vocabulary,
            self.stored_losses,
            self._by_influence,
        )

    def _write(self, corpus: AnnotatedCorpus, folder: Path, columns: Sequence[TokenColumn]) -> None:
        start, end = start_token(self.learned.tokenizer), self.learned.tokenizer.eos_token_id
        delimiters = Delimiters(start, None if end == start else end)
        if write_stream(corpus.documents(), delimiters, self._dtype, folder, columns, self.learned.edit) == 0:
            raise InputError(f"{corpus.source}: holds no text to train on; every document is empty.")

    @property
    def _dtype(self) -> np.dtype[Any]:
        return token_dtype(self.learned.vocabulary)

    @property
    def _train_folder(self) -> Path:
        return Path(self.config.out) / STREAMS_FOLDER / "train"

    @property
    def _held_out_folder(self) -> Path:
        return Path(self.config.out) / STREAMS_FOLDER / "held-out"
