"""What happens to marked tokens instead of a penalty: they leave the text, or control tokens say where they are.

Control tokens are read and never predicted: they are no labels, and the trained model's generation settings ban them.
With `tag` (conditional training, Korbak et al. 2023) `GOOD` stands before unmarked and `BAD` before marked tokens, and
the model is read behind `GOOD` from then on. With `remove` a run of marked tokens becomes one `HIDDEN`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ifcurate.annotation.messages import holds_messages
from ifcurate.annotation.reader import AnnotatedCorpus
from ifcurate.errors import InputError
from ifcurate.model.checkpoints import embedding_rows
from ifcurate.model.control_tokens import ControlTokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

HIDDEN, GOOD, BAD = "<|hidden|>", "<|good|>", "<|bad|>"

Tokens = NDArray[np.int32]
Marks = NDArray[np.uint8]
Edit = Callable[[Tokens, Marks], tuple[Tokens, Marks]]
"""Token ids and marks of one document, the stream's delimiters around it, to those that are read instead."""


class Treatment(NamedTuple):
    """A way to treat marked tokens.

    Attributes:
        names: the control tokens that it needs.
        edit: ids of those, ids and marks of a document to the document as it is read; marks nothing.
        prefixed: how many of `names`, from the first on, a text is read behind.
        description: of a training, for people.
    """

    names: tuple[str, ...]
    edit: Callable[[Sequence[int], Tokens, Marks], tuple[Tokens, Marks]]
    prefixed: int
    description: str


def hide(ids: Sequence[int], tokens: Tokens, marks: Marks) -> tuple[Tokens, Marks]:
    """One `HIDDEN` for each run of marked tokens."""
    marked = marks > 0
    first = marked & ~np.append(False, marked[:-1])
    kept = np.where(first, np.int32(ids[0]), tokens)[first | ~marked]
    return kept, np.zeros(len(kept), np.uint8)


def tag(ids: Sequence[int], tokens: Tokens, marks: Marks) -> tuple[Tokens, Marks]:
    """`GOOD` or `BAD` behind the document's first token, the start, and wherever marked and unmarked tokens meet."""
    marked = marks > 0
    places = np.union1d(np.flatnonzero(marked[1:] != marked[:-1]) + 1, np.arange(1, min(len(tokens), 2)))
    kept = np.insert(tokens, places, np.where(marked[places], ids[1], ids[0]).astype(np.int32))
    return kept, np.zeros(len(kept), np.uint8)


TREATMENTS: dict[str, Treatment] = {
    "remove": Treatment((HIDDEN,), hide, 0, f"marked tokens removed, {HIDDEN} for a run of them"),
    "tag": Treatment((GOOD, BAD), tag, 1, f"{GOOD} before unmarked and {BAD} before marked tokens"),
}
"""By the value of `--marked`; `penalize` is none of them."""


def require_texts(corpus: AnnotatedCorpus) -> None:
    """Refuse documents that are messages: their chat template leaves no place for control tokens.

    Raises:
        InputError: they are.
    """
    if holds_messages(corpus.shards(), corpus.text_column):
        raise InputError(
            f"option --marked: control tokens are put into texts, and the documents of {corpus.source} are messages; "
            "leave it out, and give --penalty instead."
        )


def control_ids(treatment: Treatment, tokenizer: PreTrainedTokenizerFast) -> tuple[int, ...]:
    """Ids of the control tokens, added to `tokenizer` in place, as special tokens, where it lacks them."""
    known = tokenizer.get_vocab()
    tokenizer.add_tokens([name for name in treatment.names if name not in known], special_tokens=True)
    return tuple(int(tokenizer.convert_tokens_to_ids(name)) for name in treatment.names)


def embed_tokens(ids: Sequence[int], model: PreTrainedModel) -> None:
    """Give `model` rows for new tokens `ids`: the mean of the rows before them, in its input and its output layer."""
    rows = max(embedding_rows(model), max(ids) + 1)
    if rows > embedding_rows(model):
        model.resize_token_embeddings(rows, mean_resizing=False)
    with torch.no_grad():
        for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
            if layer is not None:
                layer.weight[list(ids)] = layer.weight[: min(ids)].mean(0)


def say_control_tokens(treatment: Treatment, ids: Sequence[int], model: PreTrainedModel) -> None:
    """Say in the generation settings of `model` which of its tokens are read before a text, and which never drawn."""
    before = ControlTokens.said_by(model.generation_config)
    banned = tuple(sorted({*before.banned, *ids}))
    ControlTokens(tuple(ids[: treatment.prefixed]), banned).write(model)
