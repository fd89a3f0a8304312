"""Features of a small model's middle layer: half a forward pass, without the head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ifcurate.errors import InputError
from ifcurate.model.checkpoints import context_length, load_causal_lm, load_tokenizer, start_token
from ifcurate.model.devices import resolve_batch_tokens, resolve_device
from ifcurate.model.hashes import hash_model, hash_tokenizer
from ifcurate.model.layers import decoder_blocks
from ifcurate.model.token_loss import Body
from ifcurate.model.windows import Window, bucket_by_length, collate, encode_documents, split_into_windows
from ifcurate.screening.features import Batches, Linear, Matrix
from ifcurate.screening.ridge import Moments


@dataclass(frozen=True)
class Probe:
    """Mean and highest value over the tokens of a text, of every feature of a model's middle layer.

    Args:
        model: folder or Hub id of a decoder-only model.
        revision: of a Hub id.
        tokens: of a text that are read, from its beginning; None: all.
        model_hash: of its weights and configuration, as they were learnt with; None before.
        tokenizer_hash: likewise.
    """

    model: str
    revision: str | None = None
    tokens: int | None = None
    model_hash: str | None = None
    tokenizer_hash: str | None = None

    def of(self, texts: Sequence[str]) -> Matrix:
        """float32 [texts, 2 x width]; of a text without a token 0."""
        encodings = encode_documents(self._tokenizer, texts)
        windows = split_into_windows(encodings, context_length(self._loaded, None))
        if self.tokens is not None:
            windows = [window for window in windows if window.first < self.tokens]
        width = self._loaded.config.get_text_config().hidden_size
        sums, highest = np.zeros((len(texts), width)), np.full((len(texts), width), -np.inf, np.float32)
        counts = np.zeros(len(texts))
        for group in bucket_by_length([len(window) for window in windows], resolve_batch_tokens(None, self._device)):
            chosen = [windows[index] for index in group]
            for window, features in zip(chosen, self._features(chosen), strict=True):
                sums[window.document] += features.sum(0)
                counts[window.document] += len(features)
                np.maximum(highest[window.document], features.max(0), out=highest[window.document])
        means = sums / np.maximum(counts, 1)[:, None]
        return np.concatenate([means, np.where(np.isfinite(highest), highest, 0)], axis=1).astype(np.float32)

    def identified(self) -> Probe:
        """With the hashes of the model and the tokenizer that are there."""
        return replace(self, model_hash=self._hashes[0], tokenizer_hash=self._hashes[1])

    def fit(self, batches: Batches, seed: int) -> Linear:
        """Ridge regression from sums over the documents, which are read once."""
        moments = Moments()
        for features, targets in batches():
            moments.add(features, targets)
        return moments.solve()

    @torch.no_grad()
    def _features(self, windows: Sequence[Window]) -> list[NDArray[np.float32]]:
        batch = collate(windows, start_token(self._tokenizer)).to(self._device)
        found = Body(self._loaded.base_model, "last_hidden_state")(batch.input_ids).float().cpu().numpy()
        return [row[: len(window)] for row, window in zip(found, windows, strict=True)]

    @property
    def _device(self) -> str:
        return str(self._loaded.device)

    @property
    def _loaded(self) -> PreTrainedModel:
        """The model without the blocks behind its middle.

        Raises:
            InputError: it cannot be loaded, or is not the one that was learnt with.
        """
        for what, learnt, found in zip(
            ("model", "tokenizer"), (self.model_hash, self.tokenizer_hash), self._hashes, strict=True
        ):
            if learnt not in (None, found):
                raise InputError(
                    f"option --screen: was learnt with another {what} than the one of {self.model!r} (hash "
                    f"{str(learnt)[:12]}, here {found[:12]}); give the {what} back, or make the screen anew."
                )
        return self._halved

    @cached_property
    def _tokenizer(self) -> PreTrainedTokenizerFast:
        return load_tokenizer(self.model, self.revision)

    @cached_property
    def _hashes(self) -> tuple[str, str]:
        return hash_model(self._whole), hash_tokenizer(self._tokenizer)

    @cached_property
    def _whole(self) -> PreTrainedModel:
        return load_causal_lm(self.model, self.revision, device=resolve_device("auto"))

    @cached_property
    def _halved(self) -> PreTrainedModel:
        return without_upper_half(self._whole)


def without_upper_half(model: PreTrainedModel) -> PreTrainedModel:
    """`model`, whose decoder blocks behind the middle are gone."""
    _, blocks = decoder_blocks(model)
    del blocks[(len(blocks) + 1) // 2 :]
    return model
