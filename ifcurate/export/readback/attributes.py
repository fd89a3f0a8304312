"""Reads attributes as anybody does: gzipped lines of JSON."""

from __future__ import annotations

import gzip
import json
from itertools import islice
from pathlib import Path

from ifcurate.export.attributes import EXPERIMENT, SUFFIX
from ifcurate.export.readback.marked import ReadText


def read(folder: Path, shard: str, most: int) -> list[ReadText]:
    """The first `most` documents by their ids, with the spans of all behaviours."""
    with gzip.open(folder / "attributes" / EXPERIMENT / f"{shard}{SUFFIX}", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in islice(lines, most)]
    return [
        ReadText(row["id"], [(start, end) for spans in row["attributes"].values() for start, end, _ in spans])
        for row in rows
    ]
