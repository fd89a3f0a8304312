"""A plain Hugging Face data set: one row a document, with `input_ids`, `labels` and `loss_weights`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ifcurate.export.parquet import write_rows
from ifcurate.export.weights import SIGNED_WEIGHTS, WeightedDocument
from ifcurate.training.packing import INPUT_IDS, LABELS
from ifcurate.training.penalty import IGNORED
from ifcurate.training.token_columns import LOSS_WEIGHTS

SCHEMA = pa.schema(
    [
        pa.field(INPUT_IDS, pa.list_(pa.int32())),
        pa.field(LABELS, pa.list_(pa.int64())),
        pa.field(LOSS_WEIGHTS, pa.list_(pa.float32())),
    ]
)


class HuggingFaceExporter:
    """`data/<shard>.parquet`, for `datasets.load_dataset(folder)`; see `documents.Exporter`."""

    carries: str = f"{SIGNED_WEIGHTS} (for ifcurate.PackingCollator and PenalizedTrainer)"

    def __init__(self, folder: Path, token_dtype: np.dtype[Any], penalties: Iterable[float]) -> None:
        del token_dtype, penalties  # int32 and float32 hold them all
        self._folder = folder

    def write(self, name: str, documents: Iterable[WeightedDocument]) -> None:
        """See `Exporter.write`."""
        write_rows(self._folder / "data" / f"{name}.parquet", SCHEMA, documents, _columns)

    def finish(self) -> None:
        """See `Exporter.finish`; nothing to add."""


def _columns(documents: list[WeightedDocument]) -> dict[str, Any]:
    return {
        INPUT_IDS: [document.token_ids for document in documents],
        LABELS: [_labels(document) for document in documents],
        LOSS_WEIGHTS: [document.weights for document in documents],
    }


def _labels(document: WeightedDocument) -> NDArray[np.int32]:
    """The tokens, `IGNORED` where they carry no loss."""
    return document.token_ids if document.learned is None else np.where(document.learned, document.token_ids, IGNORED)
