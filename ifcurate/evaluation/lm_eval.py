"""Further tasks, by lm-evaluation-harness where it is installed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ifcurate.errors import InputError
from ifcurate.model.trust import Trust


def check_tasks(tasks: Sequence[str]) -> None:
    """Refuse `tasks` that cannot be run here, before anything else is.

    The harness divides its documents among the processes of a launch by itself, and would wait for all of them.

    Raises:
        InputError: this is one of several processes, the harness is not installed, or knows no such task.
    """
    if tasks and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError(
            "option --tasks: lm-eval runs in one process only; run --tasks without torchrun or accelerate launch."
        )
    if tasks:
        _task_manager(tasks)


def run_tasks(
    tasks: Sequence[str], place: str, revision: str | None, device: str, dtype: str, trust: Trust
) -> dict[str, Any]:
    """The metrics of lm-evaluation-harness for `tasks` (names as it knows them), task by task.

    Raises:
        InputError: it is not installed, or knows no such task.
    """
    manager = _task_manager(tasks)
    from lm_eval import simple_evaluate

    arguments = {
        "pretrained": place,
        "dtype": dtype,
        **({"revision": revision} if revision else {}),
        **trust.of_weights(),
    }
    answer = simple_evaluate(
        model="hf", model_args=arguments, tasks=list(tasks), device=device, task_manager=manager, bootstrap_iters=0
    )
    return {task: dict(metrics) for task, metrics in answer["results"].items()}


def _task_manager(tasks: Sequence[str]) -> Any:
    try:
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise InputError("option --tasks: lm-eval is not installed; run `pip install 'ifcurate[harness]'`.") from error
    manager = TaskManager()
    unknown = sorted(set(tasks) - set(manager.all_tasks))
    if unknown:
        raise InputError(f"option --tasks: lm-eval has no task {unknown[0]!r}; `lm-eval ls tasks` lists them.")
    return manager
