"""Load causal language models and their tokenizers, on disk or from the Hub, and check that they fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoTokenizer

from ifcurate.errors import InputError, first_line
from ifcurate.model.adapters import add_adapter
from ifcurate.model.stored import AS_IS, Stored
from ifcurate.model.trust import NOBODY, Trust
from ifcurate.storage.fetched import at_hand

if TYPE_CHECKING:  # whoever loads a tokenizer alone does not wait for models
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

CONTEXT_CAP = 2048
"""Longest default window in tokens: longer models are scored at 2,048, as in the paper."""


def load_causal_lm(
    name_or_path: str,
    revision: str | None = None,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
    trust: Trust = NOBODY,
    stored: Stored = AS_IS,
) -> PreTrainedModel:
    """A decoder-only model in evaluation mode, in which everything has the derivatives that influence takes.

    Every layer that is an `nn.Linear` by another name (GPT-2's `Conv1D`) is replaced by one, and fused experts are
    computed one by one.

    Args:
        name_or_path: a folder written by `save_pretrained`, on disk or at a URL, or a Hub id.
        revision: branch, tag or commit of a Hub id.
        dtype: dtype of the weights, whatever the stored one is.
        device: where the weights go.
        trust: whether pickled weights and the model's own code are allowed.
        stored: what is read besides, see `Stored`.

    Raises:
        InputError: see `load_checkpoint`.
    """
    from ifcurate.model.experts import use_own_experts
    from ifcurate.model.plain_linears import use_plain_linears

    model = load_checkpoint(name_or_path, revision, dtype, trust, stored)
    use_plain_linears(model)
    if stored.adapter is not None:
        add_adapter(model, stored.adapter, dtype, trust)
    use_own_experts(model)
    return model.eval().to(device)


def load_checkpoint(
    name_or_path: str,
    revision: str | None = None,
    dtype: torch.dtype = torch.float32,
    trust: Trust = NOBODY,
    stored: Stored = AS_IS,
) -> PreTrainedModel:
    """A decoder-only model as transformers defines it, so that `save_pretrained` writes what it was read from.

    Without the adapter of `stored`.

    Raises:
        InputError: there is no such model, it cannot be read as a causal language model, it wants more `trust`, it is
            quantized, or a weight is missing or not finite.
    """
    from transformers import AutoModelForCausalLM

    from ifcurate.model.configurations import read_config, require_text
    from ifcurate.model.restoring import options_of_weights, require_floating_point, require_whole

    place = at_hand(name_or_path)
    config = read_config(place, revision, trust)
    require_text(config, name_or_path)
    options = {**trust.of_weights(), **options_of_weights(stored, name_or_path, config)}
    try:
        model, loading = AutoModelForCausalLM.from_pretrained(
            place, revision=revision, dtype=dtype, output_loading_info=True, **options
        )
    except Exception as error:  # transformers, safetensors and the Hub client raise many unrelated types here
        raise not_loaded(name_or_path, error, trust) from error
    require_whole(model, loading, name_or_path)
    require_floating_point(model, name_or_path)
    if len(options) > len(trust.of_weights()):  # restored in whatever its format has
        model.to(dtype)
    for name, parameter in model.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise InputError(f"{name_or_path}: the weight {name} holds NaN or infinity; give a sound checkpoint.")
    return model


def not_loaded(name_or_path: str, error: Exception, trust: Trust = NOBODY) -> InputError:
    """Why a model could not be loaded, for whoever named it."""
    if isinstance(error, ImportError):
        said = first_line(error).partition(". ")[0]
        return InputError(f"{name_or_path}: needs a package that is missing ({said}); install it.")
    return InputError(
        f"{name_or_path}: cannot be loaded as a causal language model ({first_line(error)}); "
        f"{trust.hint(name_or_path, error) or 'give --model a folder written by save_pretrained or a Hub id'}."
    )


def load_tokenizer(
    name_or_path: str, revision: str | None = None, trust: Trust = NOBODY, stored: Stored = AS_IS
) -> PreTrainedTokenizerFast:
    """The fast tokenizer of a model: only those know which characters a token covers.

    Raises:
        InputError: there is none, or it is a slow one.
    """
    place = at_hand(name_or_path)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            place, revision=revision, use_fast=True, **trust.of_code(), **stored.of_tokenizer
        )
    except Exception as error:  # as above
        raise InputError(
            f"{name_or_path}: has no tokenizer that can be loaded ({first_line(error)}); "
            f"{trust.hint(name_or_path, error) or 'put tokenizer.json beside the model'}."
        ) from error
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(
            f"{name_or_path}: has a slow tokenizer, which knows no character offsets; convert it to tokenizer.json."
        )
    return tokenizer


def embedding_rows(model: PreTrainedModel) -> int:
    """Token ids that the model has an embedding for: those below this number."""
    return int(model.get_input_embeddings().num_embeddings)


def vocabulary_size(tokenizer: PreTrainedTokenizerFast) -> int:
    """The highest token id plus one: more than there are tokens where ids have gaps."""
    return int(max(tokenizer.get_vocab().values())) + 1


def check_vocabulary(tokenizer: PreTrainedTokenizerFast, model: PreTrainedModel) -> None:
    """Refuse a tokenizer whose ordinary or start token the model's embedding does not have.

    Tokens that were added to the vocabulary may lie beyond it: texts seldom hold them, see `check_token_ids`.

    Raises:
        InputError: names both sizes.
    """
    rows = embedding_rows(model)
    added = tokenizer.get_added_vocab()
    needed = [number for token, number in tokenizer.get_vocab().items() if token not in added]
    start = _start_token(tokenizer)
    highest = max(needed if start is None else [*needed, start], default=0)
    if highest >= rows:
        raise InputError(
            f"{tokenizer.name_or_path}: the tokenizer has token ids up to {highest}, but the model has embeddings for "
            f"{rows} tokens only; give the tokenizer the model was trained with."
        )


def check_token_ids(token_ids: Sequence[int] | NDArray[np.int32], rows: int, where: str) -> None:
    """Refuse a text with a token that the model has no embedding for.

    Args:
        token_ids: of the text.
        rows: see `embedding_rows`.
        where: what the text is, for the message.

    Raises:
        InputError: names the text and the token id.
    """
    highest = np.max(np.asarray(token_ids, np.int64), initial=-1)
    if highest >= rows:
        raise InputError(
            f"{where}: holds the token id {int(highest)}, but the model has embeddings for {rows} tokens only; take "
            "that token out of the text, or give the tokenizer the model was trained with."
        )


def start_token(tokenizer: PreTrainedTokenizerFast) -> int:
    """The token put before every window: BOS, or EOS where there is no BOS.

    Raises:
        InputError: the tokenizer has neither.
    """
    token = _start_token(tokenizer)
    if token is not None:
        return token
    raise InputError(f"{tokenizer.name_or_path}: has neither a BOS nor an EOS token to start a window with; set one.")


def _start_token(tokenizer: PreTrainedTokenizerFast) -> int | None:
    given = (token for token in (tokenizer.bos_token_id, tokenizer.eos_token_id) if token is not None)
    return next((int(token) for token in given), None)


def context_length(model: PreTrainedModel, asked: int | None, overlap: int = 0) -> int:
    """Window length in tokens: `asked`, or the model's own capped at `CONTEXT_CAP`.

    Raises:
        InputError: `asked` is longer than the model's positions, or `overlap` leaves no room for new tokens.
    """
    longest = positions_of(model.config) or CONTEXT_CAP
    if asked is not None and asked > longest:
        raise InputError(f"option --context: {asked} tokens are more than the model's {longest} positions; lower it.")
    found = min(longest, CONTEXT_CAP) if asked is None else asked
    if overlap >= found:
        raise InputError(
            f"option --overlap: {overlap} tokens leave no room for new ones in windows of {found}; give fewer."
        )
    return found


def positions_of(config: PretrainedConfig) -> int | None:
    """The most tokens that a model reads at once, by its configuration or that of its text part, if it says so."""
    positions = getattr(config.get_text_config(), "max_position_embeddings", None)
    return int(positions) if positions else None
