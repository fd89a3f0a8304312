"""How well a model still predicts text: perplexity and bits per byte of held-out documents, and LAMBADA."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ifcurate.errors import InputError
from ifcurate.evaluation.bootstrap import Interval, mean_interval, ratio_intervals
from ifcurate.model.checkpoints import check_token_ids, embedding_rows, start_token
from ifcurate.model.control_tokens import NO_CONTROL, ControlTokens
from ifcurate.model.ranks import Ranks
from ifcurate.model.token_loss import Head, rows_per_chunk, split, token_losses
from ifcurate.model.windows import bucket_by_length, encode_documents
from ifcurate.progress import track

BITS_PER_NAT = 1 / math.log(2)

Judged = NDArray[Any]
Judgement = Callable[[Head, torch.Tensor, torch.Tensor], torch.Tensor]
"""Head, features [tokens, width] and labels [tokens] to one value a label."""


@dataclass(frozen=True)
class Perplexity:
    """Of a corpus; intervals are over its documents.

    Attributes:
        perplexity: exp of the mean loss of a token; comparable between models with the same tokenizer only.
        bits_per_byte: loss of all tokens in bits over the bytes of the texts in UTF-8; comparable between any models.
        documents: those with a token.
        empty_documents: those without.
        tokens: scored, each once.
        context: tokens of a window.
        stride: tokens of a window that are scored; the others before them are its context.
    """

    perplexity: Interval
    bits_per_byte: Interval
    documents: int
    empty_documents: int
    tokens: int
    context: int
    stride: int


@dataclass(frozen=True)
class Lambada:
    """Accuracy on the last word of passages; intervals are over passages.

    Attributes:
        word_accuracy: share of passages whose last word is predicted, all of its tokens, greedily, as
            lm-evaluation-harness counts.
        token_accuracy: share of passages whose very last token is predicted: the IF-Guide paper.
        passages: how many.
        passages_cut: those longer than the context, which lost their beginning.
    """

    word_accuracy: Interval
    token_accuracy: Interval
    passages: int
    passages_cut: int


@dataclass(frozen=True)
class Target:
    """Token ids to read, and the tokens that the last `len(labels)` positions should predict."""

    input_ids: list[int]
    labels: list[int]


class Reader:
    """Runs a model over targets in batches of similar length and judges their last predictions.

    Args:
        model: in evaluation mode, on its device.
        batch_tokens: positions a batch, padding included.
        ranks: the processes that share the batches.
    """

    def __init__(self, model: PreTrainedModel, batch_tokens: int, ranks: Ranks) -> None:
        self._model = model
        self._body, self._head = split(model)
        self._batch_tokens = batch_tokens
        self._ranks = ranks

    def check(self, token_ids: Sequence[int], where: str) -> None:
        """See `check_token_ids`."""
        check_token_ids(token_ids, embedding_rows(self._model), where)

    def judge(self, stage: str, targets: Sequence[Target], judgement: Judgement) -> list[Judged]:
        """`judgement` of each label, an array [labels] a target, in the order of `targets`.

        Raises:
            InputError: the model emits NaN or Inf.
        """
        batches = bucket_by_length([len(target.input_ids) for target in targets], self._batch_tokens)
        mine = self._ranks.share(batches)
        judged: list[list[Judged]] = []
        tokens = 0
        with track(stage, len(mine), "tokens") as tracker:
            for batch in mine:
                judged.append(self._judge_batch([targets[index] for index in batch], judgement))
                tokens += sum(len(targets[index].input_ids) for index in batch)
                tracker.update(len(judged), tokens * self._ranks.count)
        in_batches = [index for batch in batches for index in batch]
        values = [value for batch in self._ranks.join(judged) for value in batch]
        return [value for _, value in sorted(zip(in_batches, values, strict=True), key=lambda pair: pair[0])]

    @torch.inference_mode()
    def _judge_batch(self, targets: Sequence[Target], judgement: Judgement) -> list[Judged]:
        longest = max(len(target.input_ids) for target in targets)
        padded = [target.input_ids + [0] * (longest - len(target.input_ids)) for target in targets]
        features = self._body(torch.tensor(padded, device=self._model.device))
        ends = [len(target.input_ids) for target in targets]
        counts = [len(target.labels) for target in targets]
        rows = torch.cat([row[end - count : end] for row, end, count in zip(features, ends, counts, strict=True)])
        if not torch.isfinite(rows).all():
            raise InputError(f"{self._model.name_or_path}: the model emits NaN or Inf; check its weights.")
        labels = torch.tensor([token for target in targets for token in target.labels], device=rows.device)
        return [part.cpu().numpy() for part in judgement(self._head, rows, labels).split(counts)]


def measure_perplexity(
    reader: Reader,
    tokenizer: PreTrainedTokenizerFast,
    texts: Sequence[str],
    context: int,
    stride: int,
    seed: int,
    control: ControlTokens = NO_CONTROL,
) -> Perplexity:
    """Perplexity of each document on its own, read through a window that moves by `stride` tokens.

    The first window of a document begins with the start token; later ones begin with tokens of the document. The
    prefix of `control` is read in each, behind the start token or first.

    Raises:
        InputError: no document has a token, the stride does not fit, or the model emits NaN.
    """
    room = context - len(control.prefix)
    if not 0 < stride <= room:
        raise InputError(f"option --stride: {stride} does not lie between 1 and the context of {room} tokens.")
    documents = [(text, encoding) for text, encoding in zip(texts, encode_documents(tokenizer, texts), strict=True)]
    full = [(text, encoding.token_ids.tolist()) for text, encoding in documents if len(encoding)]
    if not full:
        raise InputError("option --text: its documents hold no token at all; give held-out text.")
    for number, (_, encoding) in enumerate(documents):
        reader.check(encoding.token_ids.tolist(), f"option --text: document {number} (counted from 0)")
    start = start_token(tokenizer)
    windows = [
        (number, window)
        for number, (_, ids) in enumerate(full)
        for window in slide(ids, start, context, stride, control)
    ]
    losses = reader.judge("perplexity", [window for _, window in windows], token_losses)
    nats = np.zeros(len(full))
    for (number, _), values in zip(windows, losses, strict=True):
        nats[number] += values.astype(np.float64).sum()
    tokens = np.array([len(ids) for _, ids in full], np.float64)
    size = np.array([len(text.encode("utf-8", "surrogatepass")) for text, _ in full], np.float64)
    return Perplexity(
        perplexity=ratio_intervals(nats[:, None], tokens, seed)[0].map(math.exp),
        bits_per_byte=ratio_intervals(nats[:, None] * BITS_PER_NAT, size, seed)[0],
        documents=len(full),
        empty_documents=len(texts) - len(full),
        tokens=int(tokens.sum()),
        context=context,
        stride=stride,
    )


def slide(
    token_ids: list[int], start: int, context: int, stride: int, control: ControlTokens = NO_CONTROL
) -> list[Target]:
    """Windows over one document: every token is a label once, after as many tokens as fit in `context`."""
    read, room = [start, *token_ids], context - len(control.prefix)
    windows = []
    scored = 0
    while scored < len(token_ids):
        end = min(scored + (stride if scored else room), len(token_ids))
        first = () if end > room else (start,)
        windows.append(Target(control.before(read[max(end - room, 0) : end], first, context), token_ids[scored:end]))
        scored = end
    return windows


def measure_lambada(
    reader: Reader,
    tokenizer: PreTrainedTokenizerFast,
    passages: Sequence[str],
    context: int,
    seed: int,
    with_start: bool = False,
    control: ControlTokens = NO_CONTROL,
) -> Lambada:
    """Accuracy on the last word and on the last token of `passages` (Paperno et al. 2016).

    Passages are encoded as lm-evaluation-harness does: without special tokens unless `with_start`, and the last word
    is what the tokens of the whole passage add to those of the passage without it. The prefix of `control` is read
    first, or behind the start token.

    Raises:
        InputError: a passage is a single word, or the model emits NaN.
    """
    prefix = [start_token(tokenizer)] if with_start else []
    targets = [_last_word(tokenizer, passage, number, prefix) for number, passage in enumerate(passages)]
    for number, target in enumerate(targets):
        reader.check([*target.input_ids, *target.labels], f"option --lambada: passage {number} (counted from 0)")
    fitting = [Target(control.before(target.input_ids, prefix, context), target.labels) for target in targets]
    hits = reader.judge("lambada", fitting, _is_likeliest)
    return Lambada(
        word_accuracy=mean_interval(np.array([hit.all() for hit in hits]), seed),
        token_accuracy=mean_interval(np.array([hit[-1] for hit in hits]), seed),
        passages=len(passages),
        passages_cut=sum(len(target.input_ids) + len(control.prefix) > context for target in targets),
    )


def _last_word(tokenizer: PreTrainedTokenizerFast, passage: str, number: int, prefix: list[int]) -> Target:
    before, space, word = passage.rpartition(" ")
    before = before.rstrip()
    whole = prefix + tokenizer(passage, add_special_tokens=False)["input_ids"]
    known = len(prefix + tokenizer(before, add_special_tokens=False)["input_ids"])
    if not (before and space and word) or not 0 < known < len(whole):
        raise InputError(
            f"option --lambada: passage {number} (counted from 0) has no last word to predict; remove the row."
        )
    return Target(whole[:-1], whole[known:])


def _is_likeliest(head: Head, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    size = rows_per_chunk(head, features)
    likeliest = [head(rows).argmax(-1) for rows in features.split(size)]
    return torch.cat(likeliest) == labels
