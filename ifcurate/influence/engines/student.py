"""Token influence as a student says it: one forward pass through the blocks of a small model, and no head over the
vocabulary."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from ifcurate.influence.student import Student, body_of, own_tokens
from ifcurate.model.token_loss import TokenScores
from ifcurate.model.windows import WindowBatch


class StudentScores:
    """Approximate; a window's tokens are read without a start token before them, each where it stands."""

    def __init__(self, model: PreTrainedModel, students: Sequence[Student]) -> None:
        (self._student,) = students
        self._body = body_of(model)

    @torch.inference_mode()
    def score(self, batch: WindowBatch) -> TokenScores:
        """Scores of the label tokens of `batch`; their losses are not known here, and 0."""
        influence = self._student.of(self._body(own_tokens(batch))[batch.mask])
        return TokenScores(influence[None], torch.zeros_like(influence))
