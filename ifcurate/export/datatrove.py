"""datatrove and nanotron: `.ds` tokens, `.ds.index`, the drop mask `.ds.loss`, and our signed `.ds.weights` beside it.

As `datatrove.pipeline.tokens.TokenizedFile` writes them: tokens in little-endian uint16 or uint32, an index of uint64
document ends counted in tokens, one bool byte a token, `.ds.metadata` with the number of tokens. datatrove packs
`.ds.loss` as bool, where -1 would read as 1; so it holds the drop mask only, and the weights have a file of their own:
one int8 a token, in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from ifcurate.errors import InputError
from ifcurate.export.weights import WeightedDocument, trained
from ifcurate.training.packing import INPUT_IDS
from ifcurate.training.token_columns import LOSS_WEIGHTS

WEIGHTS_SUFFIX = ".weights"
LARGEST_PENALTY = 128


class DatatroveExporter:
    """One `.ds` family a shard; see `documents.Exporter`."""

    carries: str = "a drop mask in .ds.loss, whole signed weights in .ds.weights (for ifcurate.export.WeightedTokens)"

    def __init__(self, folder: Path, token_dtype: np.dtype[Any], penalties: Iterable[float]) -> None:
        for penalty in penalties:
            if penalty != int(penalty) or penalty > LARGEST_PENALTY:
                raise InputError(
                    f"option --penalty: {penalty:g} is no whole number up to {LARGEST_PENALTY}, and .ds.weights holds "
                    "int8; give a whole one, or another --format."
                )
        self._folder = folder
        self._dtype = token_dtype.newbyteorder("<")

    def write(self, name: str, documents: Iterable[WeightedDocument]) -> None:
        """See `Exporter.write`."""
        path = self._folder / f"{name}.ds"
        path.parent.mkdir(parents=True, exist_ok=True)
        tokens = 0
        with (
            path.open("wb") as ids,
            Path(f"{path}.index").open("wb") as index,
            Path(f"{path}.loss").open("wb") as loss,
            Path(f"{path}{WEIGHTS_SUFFIX}").open("wb") as weights,
        ):
            for document in documents:
                tokens += len(document.token_ids)
                ids.write(document.token_ids.astype(self._dtype).tobytes())
                index.write(np.array([tokens], dtype="<u8").tobytes())
                loss.write(trained(document.weights).tobytes())
                weights.write(_whole(document.weights).tobytes())
        size = self._dtype.itemsize
        Path(f"{path}.metadata").write_text(f"Unknown Tokenizer|{size}\n{tokens}\n{tokens:,} tokens")

    def finish(self) -> None:
        """See `Exporter.finish`; nothing to add."""


def _whole(weights: NDArray[np.float32]) -> NDArray[np.int8]:
    """The same weights.

    Raises:
        InputError: they are not all whole, as lambdas by influence seldom are.
    """
    whole = weights.astype(np.int8)
    if not np.array_equal(whole, weights):
        raise InputError(
            "option --penalty-weights: influence gives lambdas that are no whole numbers up to "
            f"{LARGEST_PENALTY}, and .ds.weights holds int8; give equal, or another --format."
        )
    return whole


class WeightedTokens(Dataset[dict[str, torch.Tensor]]):
    """Windows of a `.ds` file with their weights, the same windows as datatrove's `DatatroveFileDataset`.

    Item i has `input_ids` int64 and `loss_weights` float32, both `[sequence_length + 1]`. An incomplete last window is
    left out, as datatrove does.

    Raises:
        InputError: the weights do not belong to the tokens.
    """

    def __init__(self, path: Path, sequence_length: int, token_size: int = 2) -> None:
        self._tokens: NDArray[Any] = np.memmap(path, dtype=f"<u{token_size}", mode="r")
        self._weights: NDArray[np.int8] = np.memmap(f"{path}{WEIGHTS_SUFFIX}", dtype=np.int8, mode="r")
        if len(self._tokens) != len(self._weights):
            raise InputError(
                f"{path}{WEIGHTS_SUFFIX}: has {len(self._weights):,} weights for {len(self._tokens):,} tokens; "
                "export again."
            )
        self._window = sequence_length + 1

    def __len__(self) -> int:
        return len(self._tokens) // self._window

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        if not 0 <= index < len(self):
            raise IndexError(f"window {index} of {len(self)}")
        part = slice(index * self._window, (index + 1) * self._window)
        return {
            INPUT_IDS: torch.from_numpy(self._tokens[part].astype(np.int64)),
            LOSS_WEIGHTS: torch.from_numpy(self._weights[part].astype(np.float32)),
        }
