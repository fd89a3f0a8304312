"""Perplexity as papers that pretrain report it: documents joined end to end and cut into chunks of the context.

A token is read behind whatever is before it in its chunk, other documents too, and the first token of a chunk behind
nothing, so that it is no label. The figure is comparable with those of papers, and higher than ours on short contexts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerFast

from ifcurate.errors import InputError
from ifcurate.evaluation.bootstrap import Interval, ratio_intervals
from ifcurate.evaluation.fluency import Reader, Target
from ifcurate.model.checkpoints import start_token
from ifcurate.model.control_tokens import NO_CONTROL, ControlTokens
from ifcurate.model.token_loss import token_losses
from ifcurate.model.windows import encode_documents


@dataclass(frozen=True)
class PackedPerplexity:
    """Of a joined text; the interval is over its chunks.

    Attributes:
        perplexity: exp of the mean loss of a label.
        chunks: how many.
        tokens: labels, start tokens between documents among them.
        context: tokens of a chunk; the last may be shorter.
    """

    perplexity: Interval
    chunks: int
    tokens: int
    context: int


def measure_packed(
    reader: Reader,
    tokenizer: PreTrainedTokenizerFast,
    texts: Sequence[str],
    context: int,
    seed: int,
    control: ControlTokens = NO_CONTROL,
) -> PackedPerplexity:
    """Perplexity of `texts`, joined in their order, each behind the start token, as rows are packed in training.

    The prefix of `control` is read first in every chunk. Empty texts are left out.

    Raises:
        InputError: there is no label, a token has no embedding, or the model emits NaN.
    """
    encodings = [encoding.token_ids for encoding in encode_documents(tokenizer, texts)]
    for number, token_ids in enumerate(encodings):
        reader.check(token_ids.tolist(), f"option --text: document {number} (counted from 0)")
    start, room = start_token(tokenizer), context - len(control.prefix)
    joined = np.concatenate([np.zeros(0, np.int64), *([start, *ids] for ids in encodings if len(ids))]).astype(np.int64)
    chunks = [joined[first : first + room].tolist() for first in range(0, len(joined), max(room, 1))]
    targets = [Target(control.before(chunk[:-1], (), context), chunk[1:]) for chunk in chunks if len(chunk) > 1]
    if not targets:
        raise InputError(
            f"option --packed: no token of the text stands behind another in a chunk of {context}; give more text, or "
            "a longer --context."
        )
    losses = reader.judge("packed perplexity", targets, token_losses)
    nats = np.array([values.astype(np.float64).sum() for values in losses])
    labels = np.array([len(target.labels) for target in targets], np.float64)
    perplexity = ratio_intervals(nats[:, None], labels, seed)[0].map(math.exp)
    return PackedPerplexity(perplexity, len(targets), int(labels.sum()), context)
