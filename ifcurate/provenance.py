"""Where a result comes from: versions of this package and of the libraries that compute, and the git revision."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

from ifcurate.version import __version__

NAMED_LIBRARIES = ("torch", "transformers", "tokenizers", "kronfluence", "datatrove", "pyarrow", "duckdb", "numpy")


def versions() -> dict[str, Any]:
    """Version of this package, its git revision where there is one, Python and the libraries that compute."""
    return {
        "version": __version__,
        "revision": _git_revision(),
        "python": platform.python_version(),
        "libraries": {name: importlib.metadata.version(name) for name in NAMED_LIBRARIES},
    }


def _git_revision() -> str | None:
    here = Path(__file__).resolve().parent.parent
    git = shutil.which("git")
    if git is None or not (here / ".git").exists():
        return None
    command = [git, "-C", str(here), "rev-parse", "HEAD"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None
