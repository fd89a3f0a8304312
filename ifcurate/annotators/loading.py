"""From settings to an annotator that marks documents, in the place of a scorer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from transformers import PreTrainedTokenizerFast

from ifcurate.annotators.base import Annotator, Asked, Document, read_text
from ifcurate.annotators.kept import read_annotator
from ifcurate.corpus.settings import On
from ifcurate.influence.scorer import DocumentScores, Work
from ifcurate.model.checkpoints import load_tokenizer
from ifcurate.model.conversations import encode, require_template
from ifcurate.model.windows import Encoding


@dataclass(frozen=True)
class MarkSettings:
    """What decides marks, all of it.

    Attributes:
        annotator: file of the annotator that a run keeps.
        asked: what it was asked for.
        on: see `ScoreSettings`.
        threads: CPU threads of this process.
    """

    annotator: Path
    asked: Asked
    on: On | None = None
    threads: int = 1


@dataclass(frozen=True)
class LoadedAnnotator:
    """An annotator with its tokenizer, which is asked as a `LoadedScorer` is."""

    annotator: Annotator
    tokenizer: PreTrainedTokenizerFast
    behaviours: list[str]
    on: On | None

    def encode(self, texts: Sequence[str], names: Sequence[str]) -> list[Document]:
        """See `conversations.encode`."""
        encodings = encode(self.tokenizer, texts, names, self.on)
        read = [read_text(text, self.on is not None) for text in texts]
        return [
            Document(one.token_ids, one.starts, one.ends, one.scored, text)
            for one, text in zip(encodings, read, strict=True)
        ]

    def score(
        self, encodings: Sequence[Encoding], names: Sequence[str], on_batch: Callable[[int], None]
    ) -> tuple[list[DocumentScores], Work]:
        """The marks of documents that were encoded here, as influence has its scores; there are no losses."""
        before = self.annotator.texts_cut
        marks = self.annotator.marks(cast(Sequence[Document], encodings))
        tokens = sum(map(len, marks))
        on_batch(tokens)
        work = Work(tokens=tokens, positions=tokens, cut=self.annotator.texts_cut - before)
        return [DocumentScores(own[None], own) for own in marks], work


def load_annotator(settings: MarkSettings) -> LoadedAnnotator:
    """Load what `settings` name; sets this process's CPU threads.

    Raises:
        InputError: something cannot be loaded.
    """
    asked = settings.asked
    torch.set_num_threads(settings.threads)
    tokenizer = load_tokenizer(asked.model, asked.revision, asked.trust, asked.stored)
    if settings.on is not None:
        require_template(tokenizer)
    kept = read_annotator(settings.annotator)
    return LoadedAnnotator(kept.load(settings.asked), tokenizer, [kept.behaviour], settings.on)
