"""OLMo-core: raw token arrays and bool label masks, for `paths` and `label_mask_paths` of its numpy datasets.

Its `.npy` files have no NumPy header; a label mask has one bool byte a token, False where the token is no label.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ifcurate.export.weights import DROP_MASK, WeightedDocument, trained


class OlmoExporter:
    """`tokens/<shard>.npy` and `label_mask/<shard>.npy`; see `documents.Exporter`."""

    carries: str = DROP_MASK

    def __init__(self, folder: Path, token_dtype: np.dtype[Any], penalties: Iterable[float]) -> None:
        del penalties  # a drop mask has room for none
        self._folder = folder
        self._dtype = token_dtype

    def write(self, name: str, documents: Iterable[WeightedDocument]) -> None:
        """See `Exporter.write`."""
        tokens_path = self._folder / "tokens" / f"{name}.npy"
        mask_path = self._folder / "label_mask" / f"{name}.npy"
        for path in (tokens_path, mask_path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with tokens_path.open("wb") as tokens, mask_path.open("wb") as mask:
            for document in documents:
                tokens.write(document.token_ids.astype(self._dtype).tobytes())
                mask.write(trained(document.weights).tobytes())

    def finish(self) -> None:
        """See `Exporter.finish`; nothing to add."""
