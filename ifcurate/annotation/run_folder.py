"""Where annotated shards lie: in a run folder, or where they are said to."""

from __future__ import annotations

import re
from pathlib import Path

from ifcurate.storage.filesystems import exists
from ifcurate.working import is_url

RUN_FILE = "run.yaml"
"""What makes a folder a run; its annotated shards lie in `data/` beside it."""

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def annotated_folder(source: str) -> str:
    """`RUN/data` where `source` is a run, on disk or at a URL; a Hub data set's URL for an id; else `source`."""
    if is_url(source):
        return f"{source.rstrip('/')}/data" if exists(f"{source.rstrip('/')}/{RUN_FILE}") else source
    path = Path(source)
    if (path / RUN_FILE).is_file():
        return str(path / "data")
    if not path.exists() and HUB_ID.fullmatch(source):
        return f"hf://datasets/{source}"
    return source
