"""Tokens that a reader gave back, and their comparison with those that were to be written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ifcurate.errors import InputError
from ifcurate.export.weights import WeightedDocument, trained


class Batch(NamedTuple):
    """The first tokens of a shard: ids int64 [tokens], weights float32 [tokens] and drop mask bool [tokens].

    Weights or mask is None where the format has no room for it.
    """

    token_ids: NDArray[np.int64]
    weights: NDArray[np.float32] | None
    kept: NDArray[np.bool_] | None


def windows(items: Sequence[Any], length: int) -> NDArray[Any]:
    """Windows of `length` end to end."""
    return np.concatenate([np.zeros(0, np.int64), *(np.asarray(item).reshape(length) for item in items)])


def compare(batch: Batch, source: Sequence[WeightedDocument], where: str) -> str:
    """Compare a batch with the documents that its shard begins with.

    Returns:
        What was compared, as a clause.

    Raises:
        InputError: the reader gave no token, or another token or weight; names the first.
    """
    tokens = np.concatenate([document.token_ids for document in source])
    weights = np.concatenate([document.weights for document in source])
    count = len(batch.token_ids)
    if not 0 < count <= len(tokens):
        raise InputError(f"{where}: gives {count:,} tokens where {len(tokens):,} were written; export again.")
    _require_equal(batch.token_ids, tokens[:count], "token", where)
    said = [f"{count:,} tokens are the source's"]
    if batch.weights is not None:
        _require_equal(batch.weights, weights[:count], "the weight of token", where)
        said.append(f"their weights sum to {batch.weights.sum(dtype=float):,.2f} as in the source")
    if batch.kept is not None:
        _require_equal(batch.kept, trained(weights[:count]), "the mask of token", where)
        said.append(f"their mask drops {int((~batch.kept).sum()):,}")
    return ", ".join(said)


def _require_equal(found: NDArray[Any], wanted: NDArray[Any], what: str, where: str) -> None:
    if len(found) != len(wanted):
        raise InputError(f"{where}: gives {len(found):,} values of {what}s, not {len(wanted):,}; export again.")
    other = np.flatnonzero(found != wanted)
    if len(other):
        first = int(other[0])
        raise InputError(
            f"{where}: {what} {first:,} (counted from 0) comes back as {found[first]}, and {wanted[first]} was "
            "written; export again, or do not train on it."
        )
