"""Two processes of one launch, forked from the one that tests, so that nothing is imported again."""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import torch
from accelerate.state import AcceleratorState, GradientState, PartialState

PATIENCE = 240.0
"""Seconds; a busy machine takes its time."""


def in_two_processes(work: Callable[[], None], said: Path) -> str:
    """Do `work` in two processes with the environment that torchrun gives them; what they print, by the file `said`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=_take_part, args=({**place, "RANK": str(rank), "LOCAL_RANK": str(rank)}, work, said))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE)
    assert [process.exitcode for process in processes] == [0, 0], said.read_text()
    return said.read_text()


def _take_part(place: dict[str, str], work: Callable[[], None], said: Path) -> None:
    os.environ.update(place)
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()
    with said.open("a", buffering=1) as sink:
        sys.stdout = sys.stderr = sink
        try:
            work()
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()
        except BaseException:
            traceback.print_exc(file=sink)
            os._exit(1)
    os._exit(0)
