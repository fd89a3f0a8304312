from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import Command, Outcome

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when `huggingface_hub` is imported, which waits for the network

if TYPE_CHECKING:
    from runs import Workshop

    from ifcurate.pipelines.run import Run


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the repository; tests that need it skip where it is absent."""
    folder = Path(__file__).parents[2] / "shared"
    if not (folder / "DESIGN.md").is_file():
        pytest.skip("needs the real corpus, which is not part of the repository")
    return folder


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A small corpus, queries and a tiny model; nobody changes them."""
    from runs import Workshop

    return Workshop.build(tmp_path_factory.mktemp("workshop"))


@pytest.fixture(scope="session")
def finished(workshop: Workshop) -> Run:
    """A run over the workshop's corpus from beginning to end; nobody changes it."""
    return workshop.annotate()


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command line in this process: the same code without waiting for imports."""

    def run(*words: str | Path) -> Outcome:
        from ifcurate.cli import main

        monkeypatch.setattr(sys, "argv", ["ifcurate", *map(str, words)])
        capsys.readouterr()
        log = logging.getLogger("ifcurate")
        before = log.level, log.handlers, log.propagate
        try:
            with pytest.raises(SystemExit) as stop:
                main()
        finally:
            log.level, log.handlers, log.propagate = before
            logging.Logger.manager._clear_cache()  # of which levels are on
        code = stop.value.code
        return Outcome(code if isinstance(code, int) else 0, *capsys.readouterr())

    return run


@pytest.fixture
def messages(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The lines that the package has logged in this test."""
    caplog.set_level(logging.INFO, logger="ifcurate")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "ifcurate"]
