"""Runs on a real Ray: the bytes of a local run, whichever worker, node or command is lost in the middle."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from commands import running
from runs import Workshop, contents

from ifcurate.errors import InputError
from ifcurate.pipelines.annotate import annotate_on_ray
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.run_config import RunConfig

pytestmark = pytest.mark.cluster
FIRST = "part-000"
ON_RAY = {"executor": "ray", "memory_per_cpu": 1, "workers": None, "tasks": 2, "batch_tokens": 32}


def settings(workshop: Workshop, out: Path) -> RunConfig:
    return workshop.config(out=out, **ON_RAY)


def directed(finished: Run, out: Path) -> Run:
    """A run that is still to be scored."""
    left_out = shutil.ignore_patterns("scores", "selection", "data", "report.html", "logs")
    shutil.copytree(finished.root, out, ignore=left_out)
    return Run(out)


def wait_for_the_middle(run: Run) -> None:
    """Until a batch of the first shard is scored, and others are not."""
    while not (run.logs / "score" / "progress" / f"{FIRST}.beat").exists():
        time.sleep(0.05)
    assert not (run.scores / f"{FIRST}.parquet").exists()


@contextmanager
def harmed(run: Run, harm: Callable[[], object]) -> Iterator[None]:
    """`harm` is done in the middle of the block, and has been done at its end."""
    done = []

    def wait() -> None:
        wait_for_the_middle(run)
        done.append(harm())

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    yield
    thread.join()
    assert done


def tasks() -> list[int]:
    """The processes of Ray's that do a task."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cmdline").read_bytes().startswith(b"ray::_run_task"):
                found.append(int(process.name))
        except OSError:  # it has ended
            continue
    return found


def test_a_run_on_ray_has_the_bytes_of_a_local_one(
    nodes: Any, workshop: Workshop, finished: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ifcurate")
    summary = annotate_on_ray(settings(workshop, tmp_path / "run"))
    assert contents(summary.run) == contents(finished)
    assert [stage.name for stage in summary.stages] == ["fit", "direct", "score", "select", "write"]
    begun = [message for message in caplog.messages if message.endswith("tasks on Ray")]
    assert [message.partition(":")[0] for message in begun] == ["fit", "direct", "score", "select", "write", "finish"]
    annotate_on_ray(settings(workshop, summary.run.root))
    assert [message for message in caplog.messages if message.endswith("tasks on Ray")] == begun


def test_a_worker_that_is_killed_loses_nothing(
    nodes: Any, workshop: Workshop, finished: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = directed(finished, tmp_path / "run")
    with harmed(run, lambda: os.kill(tasks()[0], signal.SIGKILL)):
        annotate_on_ray(settings(workshop, run.root))
    assert contents(run) == contents(finished)
    assert "its worker is lost, and it begins again" in caplog.text


def test_tasks_that_fail_are_named_with_their_logs_and_done_by_the_same_command(
    nodes: Any, workshop: Workshop, finished: Run, tmp_path: Path
) -> None:
    run = directed(finished, tmp_path / "run")
    model = workshop.root / "model"
    model.rename(model.with_name("away"))
    try:
        with pytest.raises(InputError, match=r"task 0, whose log is .*task_00000\.log: .*model") as failed:
            annotate_on_ray(settings(workshop, run.root))
    finally:
        model.with_name("away").rename(model)
    log = Path(str(failed.value).partition("whose log is ")[2].partition(": ")[0])
    assert str(model) in log.read_text(encoding="utf-8")
    assert contents(annotate_on_ray(settings(workshop, run.root)).run) == contents(finished)


def test_tasks_end_with_their_command(nodes: Any, workshop: Workshop, finished: Run, tmp_path: Path) -> None:
    run = directed(finished, tmp_path / "run")
    words = workshop.options(out=run.root, **ON_RAY)
    with running("annotate", *words) as command:
        wait_for_the_middle(run)
        command.kill()
        command.wait()
        while tasks():
            time.sleep(0.1)
    with running("annotate", *words) as command:
        assert command.wait() == 0, command.stderr
    assert contents(run) == contents(finished)


def test_a_node_that_is_lost_loses_nothing(nodes: Any, workshop: Workshop, finished: Run, tmp_path: Path) -> None:
    run = directed(finished, tmp_path / "run")
    with harmed(run, lambda: nodes.remove_node(nodes.list_all_nodes()[-1], allow_graceful=False) or True):
        annotate_on_ray(settings(workshop, run.root))
    nodes.add_node(num_cpus=1, memory=2 << 30)
    assert contents(run) == contents(finished)
