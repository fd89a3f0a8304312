"""Brackets in a path are brackets: no pattern, no markup."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Command
from runs import Run, Workshop, contents


@pytest.mark.parametrize("folder", ["[v1]", "OUT [/z]", "a*b?", "[bold]"])
def test_a_run_may_be_called_so(
    folder: str, workshop: Workshop, finished: Run, tmp_path: Path, command: Command
) -> None:
    out = tmp_path / folder / "run"
    (tmp_path / folder).mkdir(parents=True)
    done = command("annotate", *workshop.options(out=out, direction=finished.direction("toxic")))
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == f"annotated corpus: {out}/data"
    report = (out / "report.html").read_text(encoding="utf-8")
    assert report.count("<mark>") == (finished.root / "report.html").read_text(encoding="utf-8").count("<mark>") > 0
    assert contents(out, ["data"]) == contents(finished, ["data"])
    selected = command("select", out, "--budget", "10%")
    assert selected.out.splitlines()[-1].endswith(f"now run: ifcurate write {out}")
