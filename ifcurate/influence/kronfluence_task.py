"""Kronfluence's view of a causal language model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from kronfluence.task import Task
from torch import nn

from ifcurate.errors import InputError
from ifcurate.influence.curvature.sampled_labels import sample_labels
from ifcurate.model.windows import WindowBatch, are_read, carry_loss


class LanguageModelTask(Task):
    """Summed token losses of `WindowBatch`es, in nats."""

    def __init__(self, module_names: list[str], on_batch: Callable[[int], None] = lambda tokens: None) -> None:
        self.module_names = module_names
        self.on_batch = on_batch

    def compute_train_loss(self, batch: Any, model: nn.Module, sample: bool = False) -> torch.Tensor:
        """Sum of the losses of all label tokens, or of tokens sampled from the model in their places."""
        logits, labels = self._logits_and_labels(batch, model)
        if sample:
            labels = sample_labels(logits.detach(), batch["numbers"][carry_loss(batch["labels"])])
        elif not bool(logits.detach().sum().isfinite()):
            raise InputError("option --model: its outputs are NaN or infinite on this text; give a sound checkpoint.")
        self.on_batch(len(labels))
        return nn.functional.cross_entropy(logits, labels, reduction="sum")

    def token_losses(self, batch: Any, model: nn.Module) -> torch.Tensor:
        """Loss of every label token in nats, [tokens]."""
        return nn.functional.cross_entropy(*self._logits_and_labels(batch, model), reduction="none")

    def compute_measurement(self, batch: Any, model: nn.Module) -> torch.Tensor:
        """The same sum: what a query measures is the loss of its completion."""
        return self.compute_train_loss(batch, model)

    def get_influence_tracked_modules(self) -> list[str]:
        """The linear layers inside the decoder blocks."""
        return self.module_names

    def get_attention_mask(self, batch: Any) -> torch.Tensor:
        """int64 [batch, length]: padding must not enter the covariances."""
        return are_read(batch["labels"]).long()

    @staticmethod
    def _logits_and_labels(batch: Any, model: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
        mask = carry_loss(batch["labels"])
        logits = model(input_ids=batch["input_ids"], use_cache=False).logits[mask]
        return logits.to(torch.promote_types(logits.dtype, torch.float32)), batch["labels"][mask]


def as_kronfluence_batch(batch: WindowBatch, numbers: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    """A batch in the form that Kronfluence moves between devices; `numbers` sample labels, see `random_numbers`."""
    tensors = {"input_ids": batch.input_ids, "labels": batch.labels}
    return tensors if numbers is None else {**tensors, "numbers": numbers}
