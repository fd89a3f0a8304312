"""A fine-tuning that somebody stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ifcurate.evaluation.loss_log import LossLog


def interrupt(step: int, training: Callable[[], Any]) -> None:
    """Do `training` until Ctrl-C comes after `step`."""
    on_step_end = LossLog.on_step_end

    def stop(self: LossLog, args: Any, state: Any, control: Any, **others: Any) -> None:
        on_step_end(self, args, state, control, **others)
        if state.global_step == step:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(LossLog, "on_step_end", stop)
        training()
