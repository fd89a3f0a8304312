"""What training without some tokens costs: the rise of the loss on held-out texts, with intervals.

Three arms are trained from one checkpoint on the same rows in the same order: with all tokens, without the marked
ones, and without as many random ones. The rise of an arm is its loss minus that of the first, in nats per token:
positive where the model predicts the texts worse than it would have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from ifcurate.annotation.reader import MarkedDocument
from ifcurate.artifacts import Artifact
from ifcurate.errors import InputError
from ifcurate.evaluation.bootstrap import Interval, Values, crossed_intervals
from ifcurate.evaluation.fluency import Reader, Target, slide
from ifcurate.influence.queries import Query
from ifcurate.influence.query_gradient import query_windows
from ifcurate.model.checkpoints import start_token
from ifcurate.model.token_loss import token_losses


class Piece(Artifact):
    """One model: which, and its summed loss on every held-out text.

    Attributes:
        arm: what was left out.
        seed: of the order of rows, and of the random tokens.
        left_out: tokens without a loss, in one pass over the rows.
        steps: optimizer steps.
        tokens: of all steps.
        seconds: of the training loop, at the rate at which the last process trained, and of measuring.
        queries: nats of every query's completion.
        ordinary: nats of every ordinary document.
    """

    arm: str
    seed: int
    left_out: int
    steps: int
    tokens: int
    seconds: float
    queries: list[float]
    ordinary: list[float]


@dataclass(frozen=True)
class HeldOutTexts:
    """Texts whose loss is measured, each in one or several windows.

    Attributes:
        targets: the windows.
        owners: number of the text that each is of.
        counted: bool [labels] a window: whether a label's loss counts.
    """

    targets: list[Target]
    owners: list[int]
    counted: list[NDArray[np.bool_]]

    @property
    def tokens(self) -> Values:
        """Tokens that count, float64 [texts]."""
        return self._sums([counted.astype(np.float64) for counted in self.counted])

    def nats(self, reader: Reader, stage: str) -> Values:
        """Summed loss of the tokens that count, float64 [texts].

        Raises:
            InputError: the model emits NaN or Inf.
        """
        losses = reader.judge(stage, self.targets, token_losses)
        return self._sums(
            [loss.astype(np.float64) * counted for loss, counted in zip(losses, self.counted, strict=True)]
        )

    def _sums(self, parts: Sequence[Values]) -> Values:
        sums = np.zeros(max(self.owners) + 1)
        np.add.at(sums, self.owners, [part.sum() for part in parts])
        return sums


def query_texts(
    queries: Sequence[Query], tokenizer: PreTrainedTokenizerFast, context: int, source: str, embeddings: int
) -> HeldOutTexts:
    """The completions of `queries`, each after its prompt, as `query_windows` cuts them.

    Raises:
        InputError: a query has no completion token, or the model has no embedding for one.
    """
    start = start_token(tokenizer)
    targets, owners = [], []
    for query in query_windows(queries, tokenizer, context, source, embeddings).windows:
        ids = query.window.token_ids.tolist()
        targets.append(Target([start, *ids[:-1]], ids[query.completion :]))
        owners.append(query.window.document)
    return HeldOutTexts(targets, owners, [np.ones(len(target.labels), np.bool_) for target in targets])


def ordinary_texts(documents: Sequence[MarkedDocument], start: int, context: int, source: str) -> HeldOutTexts:
    """The tokens of `documents` that are not marked, read through windows that overlap by half.

    Raises:
        InputError: there is none.
    """
    targets, owners, counted = [], [], []
    unmarked = [document for document in documents if not document.marks.all()]
    if not unmarked:
        raise InputError(f"{source}: holds no unmarked token to measure on; give another --eval-file.")
    for number, document in enumerate(unmarked):
        windows = slide(document.token_ids.tolist(), start, context, max(context // 2, 1))
        ends = np.cumsum([len(window.labels) for window in windows])[:-1]
        targets += windows
        owners += [number] * len(windows)
        counted += np.split(document.marks == 0, ends)
    return HeldOutTexts(targets, owners, counted)


@dataclass(frozen=True)
class Rise:
    """Of the loss on one kind of text; intervals over texts and seeds, in nats per token.

    Attributes:
        texts: how many.
        tokens: that count, in all of them.
        loss: with no token left out.
        marked: rise without the marked tokens.
        random: rise without as many random ones.
        difference: the first minus the second: what the marked tokens teach beyond what any tokens do.
    """

    texts: int
    tokens: int
    loss: Interval
    marked: Interval
    random: Interval
    difference: Interval


def rise(none: Values, marked: Values, random: Values, tokens: Values, seed: int) -> Rise:
    """The rises of two arms over the first, from summed losses in nats.

    Args:
        none: float64 [seeds, texts], nothing left out.
        marked: the same, trained without the marked tokens.
        random: the same, trained without as many random ones.
        tokens: float64 [texts], tokens that count.
        seed: of the bootstrap.
    """
    columns = np.stack([none, marked - none, random - none, marked - random], axis=-1)
    return Rise(len(tokens), int(tokens.sum()), *crossed_intervals(columns, tokens, seed))
