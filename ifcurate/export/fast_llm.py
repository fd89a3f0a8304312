"""ServiceNow's Fast-LLM: texts with the character ranges that its loss leaves out.

As its `gpt_memmap` preparation reads them: a data set with a column of texts and one of lists of `[first, last]`, the
last character included, named as `text` and `loss_masking_spans` of its `source_schema`. It cuts a text at every border
and tokenizes the pieces. Ranges must not overlap.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ifcurate.annotation.texts import MarkedText
from ifcurate.export.parquet import write_rows
from ifcurate.export.readback.marked import ReadText
from ifcurate.export.weights import DROP_MASK
from ifcurate.selection.spans import Ranges, union

SPANS = "loss_masking_spans"
SCHEMA = pa.schema([pa.field("text", pa.string()), pa.field(SPANS, pa.list_(pa.list_(pa.int32())))])


class FastLlmExporter:
    """`data/<shard>.parquet`, for `datasets.load_dataset(folder)`; see `texts.TextExporter`."""

    needs_ids = False
    needs_scores = False
    carries: str = f"{DROP_MASK}; marked characters are ranges in {SPANS}"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, name: str, documents: Iterable[MarkedText]) -> None:
        """See `TextExporter.write`."""
        write_rows(self._folder / "data" / f"{name}.parquet", SCHEMA, documents, _columns)

    @staticmethod
    def read_back(document: MarkedText) -> ReadText:
        """See `TextExporter.read_back`."""
        return ReadText(document.text, [(first, last + 1) for first, last in inclusive_ranges(document).tolist()])


def inclusive_ranges(document: MarkedText) -> NDArray[np.int64]:
    """What any behaviour marks, int64 [ranges, 2]: first and last character."""
    several = [Ranges.of_document(spans.starts, spans.ends) for spans in document.spans.values()]
    whole = union(several)
    return np.stack([whole.starts, whole.ends - 1], axis=1)


def _columns(documents: list[MarkedText]) -> dict[str, Any]:
    return {
        "text": [document.text for document in documents],
        SPANS: [inclusive_ranges(document).tolist() for document in documents],
    }
