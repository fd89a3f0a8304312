"""What every format is written from: a document's tokens and their signed weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ifcurate.annotation.reader import MarkedDocument

SIGNED_WEIGHTS = "signed weights"
DROP_MASK = "only a drop mask: marked tokens get no loss, as with lambda 0"


class WeightedDocument(NamedTuple):
    """Token ids int32 [tokens] and weights float32 [tokens]: 1, or -lambda on marked tokens.

    The last token is EOS, with weight 1. Of messages, tokens that carry no loss, EOS among them, have weight 0, and
    `learned` is bool [tokens]; None where all do.
    """

    token_ids: NDArray[np.int32]
    weights: NDArray[np.float32]
    learned: NDArray[np.bool_] | None = None


@dataclass
class ExportSummary:
    """What was written: documents, tokens (EOS included), those that weigh 0 or less, and the sum of all weights."""

    documents: int = 0
    tokens: int = 0
    penalised: int = 0
    weight_sum: float = 0.0

    def counting(self, documents: Iterable[WeightedDocument]) -> Iterator[WeightedDocument]:
        """Pass documents through and count them."""
        for document in documents:
            self.documents += 1
            self.tokens += len(document.token_ids)
            self.penalised += int((document.weights <= 0).sum())
            self.weight_sum += float(document.weights.sum(dtype=float))
            yield document

    def sentence(self) -> str:
        """For people."""
        return (
            f"{self.documents:,} documents, {self.tokens:,} tokens, {self.penalised:,} of them weigh 0 or less, "
            f"sum of weights {self.weight_sum:,.1f}"
        )


class Exporter(Protocol):
    """Writes shards of documents in one format below a folder.

    Made from the folder, the dtype that holds every token id, and the penalties; refuses those that it cannot hold.
    """

    @property
    def carries(self) -> str:
        """Signed weights or a drop mask, and where."""

    def write(self, name: str, documents: Iterable[WeightedDocument]) -> None:
        """Write one shard; `name` may contain slashes."""

    def finish(self) -> None:
        """Write what describes all shards."""


def weighted(
    documents: Iterable[MarkedDocument], weights_of: Callable[[MarkedDocument], NDArray[np.float32]], end: int
) -> Iterator[WeightedDocument]:
    """Documents with their weights, float32 [tokens], and `end` behind the last token."""
    for document in documents:
        token_ids = np.append(document.token_ids, end).astype(np.int32)
        weights = np.append(weights_of(document), np.float32(1))
        learned = None if document.learned is None else np.append(document.learned, False)
        if learned is not None:
            weights = np.where(learned, weights, np.float32(0))
        yield WeightedDocument(token_ids, weights, learned)


def trained(weights: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The drop mask: False on every token with a penalty. Never the truth value of a weight, which makes -1 a +1."""
    kept: NDArray[np.bool_] = weights > 0
    return kept
