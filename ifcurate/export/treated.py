"""Documents with control tokens instead of penalties, as `ifcurate train --marked remove|tag` reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ifcurate.annotation.reader import MarkedDocument
from ifcurate.export.weights import WeightedDocument
from ifcurate.training.marked import TREATMENTS, Treatment, control_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class Treated:
    """One of `TREATMENTS`, with the ids of its control tokens.

    Attributes:
        treatment: what happens to marked tokens.
        ids: of its control tokens.
        tokenizer: knows them; another than the one that texts are read with, so that no text can spell one.
    """

    treatment: Treatment
    ids: tuple[int, ...]
    tokenizer: PreTrainedTokenizerFast

    @classmethod
    def named(cls, name: str, tokenizer: PreTrainedTokenizerFast) -> Treated:
        """The treatment `name`; its control tokens are added to `tokenizer`, in place, where it lacks them."""
        treatment = TREATMENTS[name]
        return cls(treatment, control_ids(treatment, tokenizer), tokenizer)

    def documents(self, documents: Iterable[MarkedDocument], end: int) -> Iterator[WeightedDocument]:
        """Documents as they are read, `end` behind them; control tokens weigh 0, as they are no labels."""
        for document in documents:
            # Treatments leave a document's first token, the start, in front; an export has none.
            tokens = np.concatenate([[end], document.token_ids, [end]]).astype(np.int32)
            read, _ = self.treatment.edit(self.ids, tokens, np.pad(document.marks, 1))
            yield WeightedDocument(read[1:], (~np.isin(read[1:], self.ids)).astype(np.float32))
