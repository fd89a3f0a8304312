"""One line for each entry of a training's log, and its progress in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState
from transformers import TrainingArguments as Arguments

from ifcurate.progress import Tracker, track


class TrainingLog(TrainerCallback):  # type: ignore[misc]
    """Prints losses, learning rate and held-out perplexity, and tracks the steps."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._tracker: Tracker | None = None

    def on_train_begin(self, args: Arguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Start the progress bar, on one process."""
        if state.is_world_process_zero:
            self._tracker = track("train", state.max_steps, "steps").__enter__()

    def on_step_end(self, args: Arguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Advance it."""
        if self._tracker is not None:
            self._tracker.update(state.global_step, state.global_step)

    def on_train_end(self, args: Arguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Stop it."""
        if self._tracker is not None:
            self._tracker.__exit__(None, None, None)

    def on_log(
        self, args: Arguments, state: TrainerState, control: TrainerControl, logs: dict[str, float], **_: Any
    ) -> None:
        """Print one line."""
        parts = [text.format(logs[name]) for name, text in _SHOWN.items() if name in logs]
        if parts:
            self._say(f"step {state.global_step:,}/{state.max_steps:,}: {', '.join(parts)}")


_SHOWN = {
    "loss_unmarked": "loss {:.3f}",
    "loss_marked": "loss of marked tokens {:.3f}",
    "marked_share": "marked {:.2%}",
    "grad_norm": "gradient norm {:.2f}",
    "learning_rate": "learning rate {:.2g}",
    "eval_loss": "held-out loss {:.3f}",
    "eval_perplexity": "perplexity {:.2f}",
}
