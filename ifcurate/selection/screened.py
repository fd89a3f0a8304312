"""Score files of which some documents have no score, because a screen found them not worth one.

Every document has tokens. One above the screen's threshold has a score and stands for itself; of the others an audit,
drawn by a hash of the text, has one too, and each of it stands for as many as were not drawn for one that was.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from ifcurate.artifacts import Artifact, BehaviourName, Sha256
from ifcurate.errors import InputError

SCREEN = "screen"
"""Column: what the screen said of each document."""
WEIGHT = "weight"
"""Column: how many documents each stands for; 0 where it has no score."""
FIELDS = (pa.field(SCREEN, pa.float32()), pa.field(WEIGHT, pa.float64()))
"""Columns of a score file whose documents were screened, besides those of others."""
SCREENED = "screened"
"""Key of such a file's metadata: `ScreenedFacts`."""


class ScreenedFacts(Artifact):
    """How the documents that have a score were chosen.

    `screen` is the hash of the screen's file; `share` of the text, in characters, is at or above its `threshold`;
    `audit` is the share of the other documents that is drawn, with `seed`. `tokens` counts those of this file that can
    be selected, scored or not; `audited` has the audit's histogram of influence, by behaviour.
    """

    screen: Sha256
    threshold: float
    share: float
    audit: float = Field(gt=0, le=1)
    seed: int
    tokens: int = 0
    audited: dict[BehaviourName, str] = Field(default_factory=dict)

    @property
    def weight(self) -> float:
        """How many documents below the threshold one of the audit stands for."""
        return 1 / self.audit


@dataclass(frozen=True)
class Screened:
    """What a selection says of the screen that its documents went through.

    Attributes:
        screen: hash of its file.
        threshold: documents of which it says no less are scored.
        share: of the text, in characters, which these hold.
        audit: share of the other documents that is scored too.
        documents_above: documents at or above the threshold.
        documents_audited: others that are scored.
        tokens_scored: tokens of both.
        selected_above: tokens selected in the former.
        selected_below: estimate of what would be selected in all others, were they scored.
        recall: the first of the two over their sum; `recall_low` and `recall_high` bound it, with 95 % confidence.
        tau_low: with `tau_high` bounds tau likewise.
    """

    screen: Sha256
    threshold: float
    share: float
    audit: float
    documents_above: int
    documents_audited: int
    tokens_scored: int
    selected_above: int
    selected_below: float
    recall: float
    recall_low: float
    recall_high: float
    tau_low: float
    tau_high: float

    def sentence(self) -> str:
        """For people."""
        return (
            f"{self.share:.1%} of the text scored, and {self.audit:.2%} of the rest as an audit: "
            f"{self.documents_above:,} + {self.documents_audited:,} documents; {self.recall:.1%} "
            f"({self.recall_low:.1%} to {self.recall_high:.1%}) of what is selected lies in the former, "
            f"tau from {self.tau_low:.4g} to {self.tau_high:.4g}"
        )


def is_screened(batch: pa.RecordBatch) -> bool:
    """Whether a batch of a score file is of documents that were screened."""
    return WEIGHT in batch.schema.names


def by_stratum(batch: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The rows of a score file that have a score: 0 with those that stand for themselves, 1 with those of more."""
    if not is_screened(batch):
        yield 0, batch
        return
    weight = batch.column(WEIGHT)
    yield 0, batch.filter(pc.equal(weight, 1))
    yield 1, batch.filter(pc.greater(weight, 1))


def weights_of(batch: pa.RecordBatch) -> NDArray[np.float64]:
    """float64 [documents]: 1 where nothing was screened."""
    return batch.column(WEIGHT).to_numpy() if is_screened(batch) else np.ones(batch.num_rows)


def with_lists(batch: pa.RecordBatch, name: str, tokens: str, source: str) -> pa.RecordBatch:
    """A batch of a score file whose column `name` has NaN for every token of the documents without a score.

    Args:
        batch: rows of the file.
        name: a column of lists of influence.
        tokens: a column of lists, one entry a token.
        source: the file, for messages.

    Raises:
        InputError: a document without a score has one after all, or the other way round.
    """
    if not is_screened(batch):
        return batch
    column, scored = batch.column(name), weights_of(batch) > 0
    if not np.array_equal(np.asarray(column.is_valid()), scored):
        raise InputError(
            f"{source}: column {name!r} has a score where {WEIGHT!r} says none, or none where it says one; delete this "
            "file and score its shard again."
        )
    own = np.where(scored, _lengths(column), _lengths(batch.column(tokens)))
    values = np.full(int(own.sum()), np.nan, np.float32)
    values[np.repeat(scored, own)] = column.flatten().to_numpy()
    lists = pa.ListArray.from_arrays(pa.array(np.append(0, np.cumsum(own)), pa.int32()), pa.array(values))
    return batch.set_column(batch.schema.get_field_index(name), name, lists.cast(column.type))


def _lengths(column: pa.Array) -> NDArray[np.int64]:
    return np.asarray(pc.fill_null(pc.list_value_length(column), 0), dtype=np.int64)
