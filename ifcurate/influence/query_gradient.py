"""The gradient of a query set's loss: what the behaviour pulls on (IF-Guide, Eq. 6).

g = gradient of the summed loss of all completion tokens / number of completion tokens, or, as Eq. 6 has it, / number of
queries, where long completions weigh more. Prompts and padding carry no loss, and neither batch size nor order matters.

Queries with weights w (soft queries): every token's loss, and its part in the number, count w-fold.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ifcurate.errors import InputError
from ifcurate.influence.queries import Query
from ifcurate.model.checkpoints import check_token_ids
from ifcurate.model.devices import is_out_of_memory
from ifcurate.model.layers import tracked_parameters
from ifcurate.model.ranks import ALONE, Ranks
from ifcurate.model.token_loss import Body, Head, split, token_losses
from ifcurate.model.windows import CONTEXT_LABEL, Window, WindowBatch, bucket_by_length, collate, encode_documents

QueryMean = Literal["token", "query"]
"""What a query set's loss is a mean over."""


@dataclass(frozen=True)
class QueryWindow:
    """A query, or part of one, as one window.

    Attributes:
        window: the tokens.
        completion: those before are the prompt.
        weight: of the query.
        begins: whether this is the first window of its query.
    """

    window: Window
    completion: int
    weight: float = 1.0
    begins: bool = True

    @property
    def tokens(self) -> int:
        """Tokens that carry loss."""
        return len(self.window) - self.completion


@dataclass(frozen=True)
class QueryGradient:
    """A gradient by parameter name (float32), the completion tokens it is made of, and how often a batch was halved
    because memory ran out."""

    tensors: dict[str, torch.Tensor]
    tokens: int
    halvings: int = 0


@dataclass(frozen=True)
class QueryWindows:
    """The windows of a query set, and how many queries lost part of their prompt or were split to fit."""

    windows: list[QueryWindow]
    shortened: int


def query_windows(
    queries: Sequence[Query],
    tokenizer: PreTrainedTokenizerFast,
    context: int,
    source: str,
    embeddings: int | None = None,
    overlap: int = 0,
) -> QueryWindows:
    """Tokenize prompt and completion together; a token belongs to the completion if it covers any of its characters.

    A query longer than `context` keeps its completion and as much of the prompt's end as fits; a completion longer
    than `context` is split into windows of its own, each behind the `overlap` tokens before it. Both are counted as
    shortened.

    Raises:
        InputError: a query has no completion token, or a token id that is not below `embeddings`; names `source` and
            the row.
    """
    encodings = encode_documents(tokenizer, [query.prompt + query.completion for query in queries])
    windows: list[QueryWindow] = []
    shortened = 0
    for row, (query, encoding) in enumerate(zip(queries, encodings, strict=True)):
        completion = int(np.searchsorted(np.maximum.accumulate(encoding.ends), len(query.prompt), side="right"))
        count = len(encoding) - completion
        if count == 0:
            raise InputError(f"{source}, query {row + 1}: no completion token; give every query a completion.")
        if embeddings is not None:
            check_token_ids(encoding.token_ids, embeddings, f"{source}, query {row + 1}")
        shortened += len(encoding) > context
        if count <= context:
            first = max(0, len(encoding) - context)
            window = Window(row, first, encoding.token_ids[first:])
            windows.append(QueryWindow(window, completion - first, query.weight))
            continue
        new = context - overlap
        for first in range(completion, len(encoding), new):
            begin = max(0, first - overlap)
            window = Window(row, begin, encoding.token_ids[begin : first + new])
            windows.append(QueryWindow(window, first - begin, query.weight, first == completion))
    return QueryWindows(windows, shortened)


def query_gradient(
    model: PreTrainedModel,
    windows: Sequence[QueryWindow],
    start: int,
    batch_tokens: int,
    on_batch: Callable[[int], None] = lambda tokens: None,
    mean: QueryMean = "token",
    ranks: Ranks = ALONE,
) -> QueryGradient:
    """Mean gradient of the completions' loss, with respect to the tracked weights and biases.

    `mean="token"` divides the summed gradient by the number of completion tokens, `mean="query"` by that of queries
    (Eq. 6: the mean over queries of each one's summed loss); with weights, which are positive, by the sum of weight x
    tokens, or of weights. Batches are summed in float64, so that their number and order leave no trace beyond rounding
    in a batch. One that does not fit into memory is halved. The processes of a launch, `ranks`, share batches out, and
    all of them have the gradient then; `on_batch` is told of this one's.

    Raises:
        InputError: a window alone does not fit into memory.
    """
    parameters = tracked_parameters(model)
    model.requires_grad_(False)
    sums = {name: torch.zeros_like(parameter, dtype=torch.float64) for name, parameter in parameters.items()}
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    heads = split(model)
    largest = max(query.weight for query in windows)
    weights = [query.weight / largest for query in windows]  # only their ratios count, and these fit any dtype
    tokens = halvings = 0
    pending = deque(ranks.share(bucket_by_length([len(query.window) for query in windows], batch_tokens)))
    while pending:
        group = pending.popleft()
        batch = collate_queries([windows[index] for index in group], start).to(str(model.device))
        gradients = _summed_gradient(heads, batch, [weights[index] for index in group], list(parameters.values()))
        if gradients is None:
            if len(group) == 1:
                raise InputError(
                    f"option --context: the gradient of a query of {batch.size} tokens does not fit into the memory "
                    f"of {model.device}; give fewer tokens, or use a smaller model or a larger device."
                )
            halvings += 1
            pending.extendleft((group[len(group) // 2 :], group[: len(group) // 2]))
            continue
        for total, gradient in zip(sums.values(), gradients, strict=True):
            total += gradient
        found = int(batch.mask.sum())
        tokens += found
        on_batch(found)
    model.requires_grad_(False)
    ranks.sum(sums.values())
    tokens, halvings = (sum(ranks.gather(number)) for number in (tokens, halvings))
    counted = [query.tokens if mean == "token" else query.begins for query in windows]
    count = math.fsum(weight * each for weight, each in zip(weights, counted, strict=True))
    return QueryGradient({name: (total / count).float() for name, total in sums.items()}, tokens, halvings)


def _summed_gradient(
    heads: tuple[Body, Head], batch: WindowBatch, weights: list[float], parameters: list[torch.nn.Parameter]
) -> tuple[torch.Tensor, ...] | None:
    """Gradient of the summed loss of a batch, each row's tokens by its weight; None where memory ran out."""
    body, head = heads
    try:
        features = body(batch.input_ids)[batch.mask]
        losses = token_losses(head, features, batch.labels[batch.mask])
        of_rows = torch.tensor(weights, dtype=losses.dtype, device=losses.device)
        loss = (losses * of_rows.repeat_interleave(batch.mask.sum(dim=1))).sum()
        return torch.autograd.grad(loss, parameters)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None


def collate_queries(queries: Sequence[QueryWindow], start: int) -> WindowBatch:
    """A batch in which only completion tokens have labels."""
    batch = collate([query.window for query in queries], start)
    for row, query in enumerate(queries):
        batch.labels[row, : query.completion] = CONTEXT_LABEL
    return batch
