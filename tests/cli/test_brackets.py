"""Brackets in a path are brackets: no pattern, no markup."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from commands import Command
from runs import Run, Workshop, contents


def page_data(root: Path) -> dict[str, Any]:
    page = (root / "report.html").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(page.split('id="data">')[1].split("</script>")[0])
    return found


@pytest.mark.parametrize("folder", ["[v1]", "OUT [/z]", "a*b?", "[bold]"])
def test_a_run_may_be_called_so(
    folder: str, workshop: Workshop, finished: Run, tmp_path: Path, command: Command
) -> None:
    out = tmp_path / folder / "run"
    (tmp_path / folder).mkdir(parents=True)
    done = command("annotate", *workshop.options(out=out, direction=finished.direction("toxic")))
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == f"annotated corpus: {out}/data"
    [shown], [expected] = (page_data(root)["behaviours"] for root in (out, finished.root))
    assert shown == expected
    assert shown["documents"]
    assert contents(out, ["data"]) == contents(finished, ["data"])
    selected = command("select", out, "--budget", "10%")
    assert selected.out.splitlines()[-1].endswith(f"now run: ifcurate write {out}")
