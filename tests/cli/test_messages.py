from __future__ import annotations

import os
import subprocess
from pathlib import Path

from commands import Command, environment, ifcurate_command
from runs import Run, Workshop


def test_quiet_says_results_only(workshop: Workshop, finished: Run, command: Command) -> None:
    options = workshop.options(out=finished.root)
    loud, quiet = command("annotate", *options), command("annotate", "-q", *options)
    assert loud.code == quiet.code == 0
    assert loud.err.startswith("corpus: ")
    assert quiet.err == ""
    assert quiet.out == loud.out


def test_verbose_says_what_is_chosen(workshop: Workshop, finished: Run, tmp_path: Path, command: Command) -> None:
    options = workshop.options(out=tmp_path / "run", direction=finished.direction("toxic"))
    done = command("annotate", "-v", *options)
    assert done.code == 0, done.err
    assert "score: finite-difference in float32, " in done.err
    assert " positions a batch, windows of " in done.err


def test_other_processes_of_a_launch_say_nothing(
    workshop: Workshop, finished: Run, command: Command, monkeypatch: object
) -> None:
    monkeypatch.setenv("RANK", "1")  # type: ignore[attr-defined]
    assert command("annotate", *workshop.options(out=finished.root)).err == ""


def test_a_reader_that_leaves_is_no_bad_input() -> None:
    """As in `ifcurate annotate --help | head -1`, with a reader that is gone before the first word."""
    for words in (["--help"], ["annotate", "--help"], ["--version"]):
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "w") as pipe:
            done = subprocess.run(
                ifcurate_command(*words), stdout=pipe, stderr=subprocess.PIPE, check=False, env=environment()
            )
        assert (done.returncode, done.stderr) == (141, b""), words


def test_no_color_is_respected() -> None:
    words = ifcurate_command("--help")
    shown = subprocess.run(
        words, capture_output=True, check=True, env=environment() | {"NO_COLOR": "1", "FORCE_COLOR": "1"}
    )
    assert b"\x1b[3" not in shown.stdout
