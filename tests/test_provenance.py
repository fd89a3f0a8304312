"""What a result says of where it comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from ifcurate.provenance import versions
from ifcurate.version import __version__


def test_a_machine_without_git_names_no_revision(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = versions()
    assert found["revision"] is None
    assert found["version"] == __version__
