"""GPT-NeoX: an indexed data set of tokens, and another of labels, for `train_data_paths` and `label_data_paths`.

A label is the token itself, or -100 where it is marked: negative labels get no loss. Both have the layout of
`megatron.data.indexed_dataset` there, which is that of Megatron's.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ifcurate.export.megatron import Columns, write_documents
from ifcurate.export.weights import DROP_MASK, WeightedDocument, trained
from ifcurate.training.penalty import IGNORED


class NeoxExporter:
    """`<shard>_text_document.{bin,idx}` and `<shard>_label_document.{bin,idx}`; see `documents.Exporter`."""

    carries: str = f"{DROP_MASK}; their labels are {IGNORED}"

    def __init__(self, folder: Path, token_dtype: np.dtype[Any], penalties: Iterable[float]) -> None:
        del penalties  # a drop mask has room for none
        self._folder = folder
        self._dtype = np.dtype(np.uint16 if token_dtype == np.uint16 else np.int32)

    def write(self, name: str, documents: Iterable[WeightedDocument]) -> None:
        """See `Exporter.write`."""
        columns: Columns = {
            f"{name}_text_document": (self._dtype, lambda document: document.token_ids),
            f"{name}_label_document": (np.dtype(np.int32), _labels),
        }
        write_documents(self._folder, columns, documents)

    def finish(self) -> None:
        """See `Exporter.finish`; nothing to add."""


def _labels(document: WeightedDocument) -> NDArray[Any]:
    return np.where(trained(document.weights), document.token_ids, IGNORED)
