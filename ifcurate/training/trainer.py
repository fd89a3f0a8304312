"""transformers' Trainer with the penalised loss: everything else (DDP, FSDP, resume, loggers) is the Trainer's own."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import gather_object
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainerControl

from ifcurate.errors import InputError
from ifcurate.training.forms import ASCENT, Penalty
from ifcurate.training.packing import LABELS
from ifcurate.training.penalty import IGNORED, count_labels, weighted_loss
from ifcurate.training.token_columns import LOSS_WEIGHTS, REFERENCE_LOSSES


class PenalizedLossMixin(Trainer if TYPE_CHECKING else object):  # type: ignore[misc]
    """Put before `Trainer`, or a trainer derived from it such as TRL's `SFTTrainer`, to train with Eq. 9.

    Batches carry `loss_weights` (float `[batch, length]`, see `ifcurate.training.packing`); without them every weight
    is 1.
    `penalty_form` is one of `PENALTY_FORMS`, or a `Penalty` with its parameters. Forms that compare with a reference
    model take its losses from the batches' `reference_losses` (float `[batch, length]`), or compute them with
    `reference_model`, which is never trained.
    N is the number of labels of the whole optimizer step: all accumulated micro-batches of all processes. Set
    `remove_unused_columns=False`, or the Trainer drops the weights.

    Besides the Trainer's own figures it logs `loss_unmarked`, `loss_marked` (mean loss per token, not penalised) and
    `marked_share` (of the labels) since the last log.
    """

    penalty = Penalty()

    def __init__(
        self,
        *args: Any,
        penalty_form: str | Penalty = ASCENT,
        reference_model: nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.penalty = penalty_form if isinstance(penalty_form, Penalty) else Penalty(penalty_form)
        self.reference_model = reference_model
        # The loss below is divided by N of the whole step; the Trainer must not divide it by the accumulation again.
        self.model_accepts_loss_kwargs = True
        self.loss_is_scaled_for_ga = True
        self.data_wait_seconds = 0.0
        self._tallies = torch.zeros(4)
        self._refuse_split_sequences()

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Tensor | int | None]:
        """The micro-batches of one step and N, the number of their labels over all processes."""
        started = time.perf_counter()
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        self.data_wait_seconds += time.perf_counter() - started
        labels = sum((count_labels(batch[LABELS]) for batch in batches), start=torch.zeros((), dtype=torch.int64))
        return batches, self.accelerator.reduce(labels.to(device), reduction="sum").clamp(min=1)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor | Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """This micro-batch's share of Eq. 9, times the processes: their gradients are averaged afterwards."""
        inputs = dict(inputs)
        labels = inputs.pop(LABELS)
        weights = inputs.pop(LOSS_WEIGHTS, None)
        reference = inputs.pop(REFERENCE_LOSSES, None)
        if weights is None:
            weights = torch.ones(labels.shape, device=labels.device)
        outputs = model(**inputs)
        denominator = None
        if num_items_in_batch is not None:  # 0 where all rows of a step are messages that carry no loss
            denominator = torch.as_tensor(num_items_in_batch).clamp(min=1) / self.accelerator.num_processes
        if model.training:
            strength = self.penalty.strength(self.state.global_step, self.state.max_steps)
            if strength < 1:
                weights = torch.where(weights < 0, weights * strength, weights)
        if reference is None:
            reference = self._reference_losses(inputs, labels)
        loss, losses = weighted_loss(outputs.logits, labels, weights, self.penalty, denominator, reference)
        if model.training:
            self._tally(losses, labels, weights)
        return (loss, outputs) if return_outputs else loss

    def _reference_losses(self, inputs: dict[str, Any], labels: Tensor) -> Tensor | None:
        """`[batch, length]`: each label's loss under the frozen reference model, in the same rows.

        Spared tokens are left out of its softmax, as they are of the trained model's: the two are compared. The loss
        of a spared label, which is never marked, is infinite.
        """
        if self.reference_model is None or not self.penalty.needs_reference:
            return None
        self.reference_model = self.reference_model.to(labels.device).eval()
        with torch.no_grad():
            logits = self.reference_model(**inputs).logits
            for token in self.penalty.spared:
                logits[..., token] = float("-inf")
            return weighted_loss(logits, labels, torch.ones(labels.shape)).token_losses

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Add the mean losses of marked and unmarked tokens to the Trainer's own figures."""
        if "loss" in logs:
            logs = {**logs, **self._mean_losses()}
        super().log(logs, *args, **kwargs)

    def _tally(self, losses: Tensor, labels: Tensor, weights: Tensor) -> None:
        counted = labels.ne(IGNORED)
        counted[..., 0] = False
        marked = counted & (weights <= 0)
        for token in self.penalty.spared:
            marked &= labels != token
        tally = torch.stack([losses.sum(), (losses * marked).sum(), counted.sum(), marked.sum()])
        self._tallies = self._tallies.to(tally.device) + tally

    def _mean_losses(self) -> dict[str, float]:
        losses, marked_losses, labels, marked = _summed_over_processes(self._tallies.tolist())
        self._tallies = torch.zeros_like(self._tallies)
        means = {"loss_unmarked": (losses - marked_losses) / max(labels - marked, 1)}
        if marked:
            means["loss_marked"] = marked_losses / marked
        means["marked_share"] = marked / max(labels, 1)
        return means

    def _refuse_split_sequences(self) -> None:
        parallelism = getattr(self.accelerator, "parallelism_config", None)
        if any(getattr(parallelism, f"{kind}_size", 1) > 1 for kind in ("tp", "cp", "sp")):
            raise InputError(
                "tensor, context and sequence parallelism split what the penalised loss needs whole; "
                "use data parallelism (DDP or FSDP)."
            )


def _summed_over_processes(values: list[float]) -> list[float]:
    return [sum(column) for column in zip(*gather_object([values]), strict=True)]


class PenalizedTrainer(PenalizedLossMixin, Trainer):  # type: ignore[misc]
    """A Trainer for packed rows, with a held-out loss that is exact for any batch size and number of processes."""

    def evaluate(
        self,
        eval_dataset: Dataset[Any] | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Mean loss per token of `eval_dataset` and its perplexity, weights left aside; reported to the callbacks."""
        del ignore_keys  # of the Trainer's interface; only needed where outputs are gathered
        rows: Any = self.eval_dataset if eval_dataset is None else eval_dataset
        started = time.perf_counter()
        loss = self._mean_token_loss(rows)
        metrics = {
            f"{metric_key_prefix}_loss": loss,
            f"{metric_key_prefix}_perplexity": math.exp(loss) if loss < 700 else math.inf,
            f"{metric_key_prefix}_runtime": time.perf_counter() - started,
        }
        self.log(metrics)
        self.control: TrainerControl = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _mean_token_loss(self, rows: Any) -> float:
        was_training = self.model.training
        self.model.eval()
        losses, count = 0.0, 0
        with torch.no_grad():
            for batch in self._own_batches(rows):
                inputs = {name: values.to(self.args.device) for name, values in batch.items() if name != LOSS_WEIGHTS}
                labels = inputs.pop(LABELS)
                logits = self.model_wrapped(**inputs).logits
                losses += float(weighted_loss(logits, labels, torch.ones(labels.shape)).token_losses.sum())
                count += int(count_labels(labels))
        self.model.train(was_training)
        total, labels_total = _summed_over_processes([losses, count])
        return total / max(labels_total, 1)

    def _own_batches(self, rows: Any) -> Iterator[dict[str, Tensor]]:
        """This process's share of `rows`. Every process gets as many batches: sharded models step together."""
        size, processes, rank = self.args.eval_batch_size, self.args.world_size, self.args.process_index
        for start in range(0, len(rows), size * processes):
            own = range(start + rank * size, min(start + (rank + 1) * size, len(rows)))
            batch = self.data_collator([rows[index] for index in own] or [rows[0]])
            if not own:
                batch[LABELS].fill_(IGNORED)
            yield batch
