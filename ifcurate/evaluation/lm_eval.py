"""Further tasks, by lm-evaluation-harness where it is installed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ifcurate.errors import InputError


def run_tasks(tasks: Sequence[str], place: str, revision: str | None, device: str, dtype: str) -> dict[str, Any]:
    """The metrics of lm-evaluation-harness for `tasks` (names as it knows them), task by task.

    Raises:
        InputError: it is not installed, or knows no such task.
    """
    try:
        from lm_eval import simple_evaluate
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise InputError("option --tasks: lm-eval is not installed; run `pip install 'ifcurate[harness]'`.") from error
    manager = TaskManager()
    unknown = sorted(set(tasks) - set(manager.all_tasks))
    if unknown:
        raise InputError(f"option --tasks: lm-eval has no task {unknown[0]!r}; `lm-eval ls tasks` lists them.")
    arguments = {"pretrained": place, "dtype": dtype, **({"revision": revision} if revision else {})}
    answer = simple_evaluate(
        model="hf", model_args=arguments, tasks=list(tasks), device=device, task_manager=manager, bootstrap_iters=0
    )
    return {task: dict(metrics) for task, metrics in answer["results"].items()}
