"""Reads with `datasets`, which Fast-LLM loads its data sets with."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from ifcurate.export.fast_llm import SPANS
from ifcurate.export.readback.huggingface import stream
from ifcurate.export.readback.marked import ReadText


def read(folder: Path, shard: str, most: int) -> list[ReadText]:
    """The first `most` texts, with what is left out of them."""
    rows = islice(stream(folder, shard), most)
    return [ReadText(row["text"], [(first, last + 1) for first, last in row[SPANS]]) for row in rows]
