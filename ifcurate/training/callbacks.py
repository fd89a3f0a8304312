"""What accompanies a training: its log, and two watchers, of losses that diverge and of text that repeats itself.

Both happen when lambda is too large: pushing a token's probability down has no floor, and the cheapest way to keep
pushing is to ruin the model.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from accelerate.state import PartialState
from accelerate.utils import DistributedType
from transformers import GenerationConfig, PreTrainedModel, TrainerCallback, TrainerControl, TrainerState
from transformers import TrainingArguments as Arguments

from ifcurate.errors import InputError
from ifcurate.model.checkpoints import embedding_rows
from ifcurate.model.control_tokens import ControlTokens
from ifcurate.progress import Tracker, log
from ifcurate.selection.repetition import NGRAM
from ifcurate.training.repetition import repeated_share

DIVERGED_NATS = 1.0
"""Rise of the mean loss of unmarked tokens above its lowest value so far that counts as divergence."""

COLLAPSED_SHARE = 0.3
"""Share of repeated 4-grams in sampled text that counts as collapse; in ordinary text it is below 0.05."""

SAMPLES = 4
SAMPLED_TOKENS = 48
CHECKS = 10
"""Times a training that text is sampled."""

_SHOWN = {
    "loss_unmarked": "loss {:.3f}",
    "loss_marked": "loss of marked tokens {:.3f}",
    "marked_share": "marked {:.2%}",
    "grad_norm": "gradient norm {:.2f}",
    "learning_rate": "learning rate {:.2g}",
    "eval_loss": "held-out loss {:.3f}",
    "eval_perplexity": "perplexity {:.2f}",
}


class TrainingLog(TrainerCallback):  # type: ignore[misc]
    """Logs losses, learning rate and held-out perplexity, and tells `tracker` of every step."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._first: int | None = None

    def on_step_begin(self, args: Arguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Remember where this process began: a resumed training has done the steps before."""
        if self._first is None:
            self._first = state.global_step

    def on_step_end(self, args: Arguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Advance the tracker."""
        self._tracker.update(state.global_step, self.steps_done(state))

    def on_log(
        self, args: Arguments, state: TrainerState, control: TrainerControl, logs: dict[str, float], **_: Any
    ) -> None:
        """Log one line."""
        parts = [text.format(logs[name]) for name, text in _SHOWN.items() if name in logs]
        if parts and state.is_world_process_zero:
            log.info(f"step {state.global_step:,}/{state.max_steps:,}: {', '.join(parts)}")

    def steps_done(self, state: TrainerState) -> int:
        """Steps that this process has done, not counting those of one that was stopped."""
        return int(state.global_step) - (state.global_step if self._first is None else self._first)


class KnownPadding(TrainerCallback):  # type: ignore[misc]
    """Keeps a padding token that the model has no embedding for out of its configuration.

    The Trainer puts the tokenizer's there when it begins, and a model with such a one cannot be loaded again. Rows are
    packed here, so that no token is ever padding.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._rows = embedding_rows(model)
        self._before = [(own, own.pad_token_id) for own in (model.config.get_text_config(), model.generation_config)]

    def on_train_begin(self, args: Arguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Put back what was there."""
        for settings, before in self._before:
            if settings.pad_token_id is not None and settings.pad_token_id >= self._rows:
                settings.pad_token_id = before


class DivergenceWatch(TrainerCallback):  # type: ignore[misc]
    """Warns once each time the loss of unmarked tokens rises far above its lowest value; stops at NaN and infinity."""

    def __init__(self) -> None:
        self._lowest = math.inf
        self._diverged = False

    def on_log(
        self, args: Arguments, state: TrainerState, control: TrainerControl, logs: dict[str, float], **_: Any
    ) -> None:
        """Judge the losses since the last log.

        Raises:
            InputError: one of them is not finite.
        """
        for name in ("loss", "grad_norm"):
            if not math.isfinite(logs.get(name, 0.0)):
                raise InputError(
                    f"step {state.global_step}: {name} is {logs[name]}; lower --learning-rate or --penalty, or use "
                    "--penalty-form unlikelihood, and start again."
                )
        loss = logs.get("loss_unmarked")
        if loss is None:
            return
        self._lowest = min(self._lowest, loss)
        diverged = loss > self._lowest + DIVERGED_NATS
        if diverged and not self._diverged and state.is_world_process_zero:
            log.warning(
                f"step {state.global_step}: the loss of unmarked tokens diverges ({loss:.2f} after "
                f"{self._lowest:.2f}); lambda or the learning rate is too large."
            )
        self._diverged = diverged


class RepetitionWatch(TrainerCallback):  # type: ignore[misc]
    """Samples a little text `CHECKS` times a training and warns when it repeats itself.

    Has random numbers of its own, so that it changes nothing. Does not sample from models that are sharded over
    processes, which can only generate together.
    """

    def __init__(self, start: int) -> None:
        self._start = start
        self.shares: dict[int, float] = {}

    def on_step_end(
        self, args: Arguments, state: TrainerState, control: TrainerControl, model: PreTrainedModel, **_: Any
    ) -> None:
        """Sample where a tenth of the training is done."""
        interval = max(1, state.max_steps // CHECKS)
        if state.global_step % interval or not state.is_world_process_zero or _is_sharded():
            return
        share = repeated_share(sample(model, self._start), NGRAM)
        self.shares[state.global_step] = share
        if share > COLLAPSED_SHARE:
            log.warning(
                f"step {state.global_step}: sampled text collapses into repetition ({share:.0%} of its {NGRAM}-grams "
                "are repeated); lambda is too large, lower --penalty or use --penalty-form unlikelihood."
            )


def sample(model: PreTrainedModel, start: int) -> list[list[int]]:
    """`SAMPLES` sequences of `SAMPLED_TOKENS` tokens drawn from the model after its start token and prefix."""
    control = ControlTokens.said_by(model.generation_config)
    settings = GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        max_new_tokens=SAMPLED_TOKENS,
        min_new_tokens=SAMPLED_TOKENS,
        pad_token_id=start,
        suppress_tokens=list(control.banned) or None,
    )
    was_training = model.training
    model.eval()
    prompts = torch.tensor([[start, *control.prefix]] * SAMPLES, device=model.device)
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.no_grad():
        torch.manual_seed(0)
        texts = model.generate(prompts, attention_mask=torch.ones_like(prompts), generation_config=settings)
    model.train(was_training)
    return [list(text) for text in texts[:, prompts.shape[1] :].tolist()]


def _is_sharded() -> bool:
    return PartialState().distributed_type in (DistributedType.FSDP, DistributedType.DEEPSPEED)
