"""The log of a fine-tuning that has nothing to show but its loss."""

from __future__ import annotations

import math
from typing import Any

from transformers import TrainerControl, TrainerState, TrainingArguments

from ifcurate.errors import InputError
from ifcurate.progress import log
from ifcurate.training.callbacks import TrainingLog


class LossLog(TrainingLog):
    """Logs the loss, and tells the tracker of every step."""

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, float], **_: Any
    ) -> None:
        """Log the loss since the last log.

        Raises:
            InputError: it is not finite.
        """
        loss = logs.get("loss")
        if loss is None:
            return
        if not math.isfinite(loss):
            raise InputError(
                f"step {state.global_step}: the loss is {loss}; lower --learning-rate and start again with --overwrite."
            )
        log.info(f"step {state.global_step:,}/{state.max_steps:,}: loss {loss:.3f}")
