"""What a vector of hidden states says in words: the tokens that the output embedding takes it to (logit lens)."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ifcurate.errors import InputError


@torch.inference_mode()
def promoted_tokens(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, vectors: torch.Tensor, count: int
) -> list[list[str]]:
    """The `count` tokens whose logits grow most along each of `vectors`, float [vectors, width], highest first.

    The final norm is left out: it has no direction of its own. Tokens are as they are written, white space too.

    Raises:
        InputError: the model has no output embedding.
    """
    head = model.get_output_embeddings()
    if head is None:
        raise InputError(f"{model.name_or_path}: has no output embedding to read hidden states with.")
    weight = head.weight.float()
    logits = vectors.to(weight) @ weight.T
    return [[tokenizer.decode([token]) for token in row.topk(count).indices.tolist()] for row in logits]
