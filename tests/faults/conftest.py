from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from faulty_tasks import Task, make_tasks
from runs import Workshop
from warm_commands import WarmCommands, warm_commands

if sys.platform != "linux":
    collect_ignore_glob = ["test_*.py"]  # signals to sessions, affinity and mounts are Linux's


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmCommands]:
    """Commands that start at once."""
    with warm_commands(tmp_path_factory.mktemp("warm")) as commands:
        yield commands


@pytest.fixture(scope="session")
def tasks(warm: WarmCommands, workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Task]:
    """Every command that writes something, and what it leaves undisturbed; nobody changes it."""
    return make_tasks(warm, workshop, tmp_path_factory.mktemp("tasks"))
