"""A token's loss under the model less that under a reference with the same tokenizer (Rho-1, Lin et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from ifcurate.annotators.base import CONTEXT, PARAMETERS, Asked, Counts, Document, Marks, State, WithoutCounts
from ifcurate.errors import InputError
from ifcurate.influence.scorer import Scorer
from ifcurate.model.batching import OneWindowARow
from ifcurate.model.checkpoints import check_vocabulary, context_length, load_causal_lm, load_tokenizer, start_token
from ifcurate.model.devices import forbid_reduced_precision, resolve_batch_tokens, resolve_device
from ifcurate.model.hashes import hash_model, hash_tokenizer
from ifcurate.model.positions import hold_positions
from ifcurate.model.stored import AS_IS
from ifcurate.model.token_loss import TokenScores, split, token_losses
from ifcurate.model.windows import WindowBatch


class ExcessLoss(WithoutCounts):
    """Both models read the same windows, in float32."""

    @classmethod
    def prepare(cls, asked: Asked) -> State:
        """See `Annotator`."""
        assert asked.reference is not None
        tokenizer = load_tokenizer(asked.model, asked.revision, asked.trust, asked.stored)
        if hash_tokenizer(load_tokenizer(asked.reference, trust=asked.trust)) != hash_tokenizer(tokenizer):
            raise InputError(
                f"option --reference: {asked.reference} has another tokenizer than {asked.model}, and losses are "
                "compared token by token; give a model with the same."
            )
        models = _models(asked)
        for model in models:
            check_vocabulary(tokenizer, model)
        context = min(context_length(model, asked.context, asked.overlap) for model in models)
        parameters = sum(parameter.numel() for model in models for parameter in model.parameters())
        hashes = dict(zip(("model_hash", "reference_hash"), map(hash_model, models), strict=True))
        return {**hashes, CONTEXT: context, "overlap": asked.overlap, PARAMETERS: parameters}

    def __init__(self, state: State, counts: Counts, asked: Asked) -> None:
        """See `Annotator`."""
        forbid_reduced_precision()
        device = resolve_device(asked.device)
        models = _models(asked)
        for model in models:
            hold_positions(model, state[CONTEXT])
        tokenizer = load_tokenizer(asked.model, asked.revision, asked.trust, asked.stored)
        self._scorer = Scorer(
            engine=_Difference(*(model.to(device) for model in models)),
            directions=1,
            context=state[CONTEXT],
            batching=OneWindowARow(start_token(tokenizer)),
            batch_tokens=resolve_batch_tokens(asked.batch_tokens, device),
            device=device,
            overlap=asked.overlap,
        )

    def marks(self, documents: Sequence[Document]) -> Marks:
        """See `Annotator`."""
        names = [f"that begins {document.text[:40]!r}" for document in documents]
        scored, _ = self._scorer.score(documents, names)
        return [each.influence[0] for each in scored]


class _Difference:
    """An engine whose scores are differences of losses."""

    def __init__(self, model: PreTrainedModel, reference: PreTrainedModel) -> None:
        self._parts = [split(each) for each in (model, reference)]

    @torch.inference_mode()
    def score(self, batch: WindowBatch) -> TokenScores:
        """See `Engine`."""
        labels = batch.labels[batch.mask]
        loss, under_reference = (
            token_losses(head, body(batch.input_ids, batch.positions)[batch.mask], labels) for body, head in self._parts
        )
        return TokenScores((loss - under_reference)[None], loss)


def _models(asked: Asked) -> tuple[PreTrainedModel, PreTrainedModel]:
    assert asked.reference is not None
    return (
        load_causal_lm(asked.model, asked.revision, trust=asked.trust, stored=asked.stored),
        load_causal_lm(asked.reference, trust=asked.trust, stored=AS_IS),
    )
