"""The log of a fine-tuning that has nothing to show but its loss."""

from __future__ import annotations

import math
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ifcurate.errors import InputError
from ifcurate.progress import Tracker, log


class LossLog(TrainerCallback):  # type: ignore[misc]
    """Logs the loss, and tells `tracker` of every step."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._first: int | None = None

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Remember where this process began."""
        if self._first is None:
            self._first = state.global_step

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Advance the tracker."""
        self._tracker.update(state.global_step, state.global_step - (self._first or 0))

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
