"""How much a document's gradient points along the queries', whatever its length (LESS, Xia et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ifcurate.annotators.base import CONTEXT, PARAMETERS, Asked, Counts, Document, Marks, State, WithoutCounts
from ifcurate.errors import InputError
from ifcurate.files import finishing
from ifcurate.influence.queries import hash_queries
from ifcurate.influence.query_sets import QuerySet, pull, read_query_sets
from ifcurate.influence.settings import DirectionSettings
from ifcurate.model.checkpoints import check_vocabulary, context_length, load_causal_lm, load_tokenizer, start_token
from ifcurate.model.devices import forbid_reduced_precision, resolve_batch_tokens, resolve_device
from ifcurate.model.hashes import hash_model
from ifcurate.model.layers import tracked_parameters
from ifcurate.model.positions import hold_positions
from ifcurate.model.token_loss import split, token_losses
from ifcurate.model.windows import Window, collate, split_into_windows

COPIES = 3
"""Of the parameters: the model, the gradient of the queries, and that of a document."""


class Less(WithoutCounts):
    """The cosine of a document's gradient with the queries' less the contrast's, on each of its tokens.

    A cosine, as mean gradients of short documents are long. LESS projects the gradients of an adapter, divided by
    Adam's second moments; here they are whole, of the tracked weights, and as they are.
    """

    @classmethod
    def prepare(cls, asked: Asked) -> State:
        """See `Annotator`."""
        queries = [{side: hash_queries(file.queries) for side, file in each.items()} for each in _query_sets(asked)]
        model, tokenizer = _loaded(asked)
        check_vocabulary(tokenizer, model)
        return {
            "queries": queries,
            "model_hash": hash_model(model),
            CONTEXT: context_length(model, asked.context, asked.overlap),
            "overlap": asked.overlap,
            PARAMETERS: COPIES * sum(parameter.numel() for parameter in model.parameters()),
        }

    @classmethod
    def keep(cls, asked: Asked) -> None:
        """See `Annotator`."""
        forbid_reduced_precision()
        device = resolve_device(asked.device)
        model, tokenizer = _loaded(asked)
        context = context_length(model, asked.context, asked.overlap)
        hold_positions(model, context)
        model.to(device)  # type: ignore[arg-type]
        batch_tokens = resolve_batch_tokens(asked.batch_tokens, device)
        sets = _query_sets(asked)
        pulled = [pull(each, model, tokenizer, context, batch_tokens, "token", asked.overlap) for each in sets]
        mean = {name: torch.stack([each.tensors[name] for each in pulled]).mean(0) for name in pulled[0].tensors}
        asked.folder.mkdir(parents=True, exist_ok=True)
        with finishing(_file(asked)) as part:
            save_file(mean, part)

    def __init__(self, state: State, counts: Counts, asked: Asked) -> None:
        """See `Annotator`."""
        forbid_reduced_precision()
        self._device = resolve_device(asked.device)
        model, tokenizer = _loaded(asked)
        hold_positions(model, state[CONTEXT])
        model.to(self._device)  # type: ignore[arg-type]
        model.requires_grad_(False)
        self._parts = split(model)
        self._start, self._context, self._overlap = start_token(tokenizer), state[CONTEXT], asked.overlap
        tracked = tracked_parameters(model)
        self._parameters = [parameter.requires_grad_(True) for parameter in tracked.values()]
        queries = _read(_file(asked), self._device)
        self._queries = [queries[name] for name in tracked]
        self._length = _dot(self._queries, self._queries) ** 0.5

    def marks(self, documents: Sequence[Document]) -> Marks:
        """See `Annotator`."""
        windows: list[list[Window]] = [[] for _ in documents]
        for window in split_into_windows(documents, self._context, self._overlap):
            windows[window.document].append(window)
        return [
            np.full(len(document), self._cosine(own) if own else 0, np.float32)
            for document, own in zip(documents, windows, strict=True)
        ]

    def _cosine(self, windows: Sequence[Window]) -> float:
        """Of the gradient of the summed loss of `windows`; 0 where no token carries a loss."""
        gradient = [torch.zeros_like(parameter) for parameter in self._parameters]
        for window in windows:
            for total, part in zip(gradient, self._gradient(window), strict=True):
                total += part
        lengths = _dot(gradient, gradient) ** 0.5 * self._length
        if not np.isfinite(lengths):
            raise InputError("the gradient of a document is NaN or infinite; check the model's weights.")
        return _dot(gradient, self._queries) / lengths if lengths else 0.0

    def _gradient(self, window: Window) -> tuple[torch.Tensor, ...]:
        body, head = self._parts
        batch = collate([window], self._start).to(self._device)
        features = body(batch.input_ids)[batch.mask]
        return torch.autograd.grad(token_losses(head, features, batch.labels[batch.mask]).sum(), self._parameters)


def _query_sets(asked: Asked) -> list[QuerySet]:
    sides = {"queries": list(asked.queries), "contrast": list(asked.contrast)}
    settings = DirectionSettings.model_validate({**sides, "max_queries": asked.max_queries})
    return read_query_sets(settings, asked.seed)


def _loaded(asked: Asked) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    return (
        load_causal_lm(asked.model, asked.revision, trust=asked.trust, stored=asked.stored),
        load_tokenizer(asked.model, asked.revision, asked.trust, asked.stored),
    )


def _file(asked: Asked) -> Path:
    """Of the queries' gradient, which the run keeps."""
    return asked.folder / "queries.safetensors"


def _read(file: Path, device: str) -> dict[str, torch.Tensor]:
    try:
        found: dict[str, torch.Tensor] = load_file(file, device=device)
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{file}: is no gradient of queries, or is damaged; delete the folder of the run and annotate again."
        ) from error
    return found


def _dot(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> float:
    return sum(float((a * b).sum(dtype=torch.float64)) for a, b in zip(one, other, strict=True))
