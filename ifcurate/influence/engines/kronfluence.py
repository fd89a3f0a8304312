"""Token influence at the position whose activation carries the gradient: Kronfluence's per-token scores.

The reference engine. A position's score collects gradient from its own loss, which predicts the *next* token, and
from all later ones. Token j of a window is read at position j + 1; the window's last token is read nowhere and has
score 0, and what belongs to the start token's position belongs to no token. A token that is read again as context of a
later window has a position there too, through which gradient of that window's losses flows: its score is the sum.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from kronfluence.analyzer import prepare_model
from kronfluence.arguments import FactorArguments, ScoreArguments
from kronfluence.module.tracked_module import ModuleMode, TrackedModule
from kronfluence.module.utils import accumulate_iterations, set_mode, update_factor_args, update_score_args
from kronfluence.utils.constants import ACCUMULATED_PRECONDITIONED_GRADIENT_NAME, PAIRWISE_SCORE_MATRIX_NAME
from transformers import PreTrainedModel

from ifcurate.influence.curvature.factors import STRATEGY
from ifcurate.influence.curvature.inverse import join_bias
from ifcurate.influence.curvature.opened import spread_experts
from ifcurate.influence.direction import Direction
from ifcurate.influence.kronfluence_task import LanguageModelTask, as_kronfluence_batch
from ifcurate.model.experts import ExpertLayout
from ifcurate.model.layers import tracked_linears
from ifcurate.model.token_loss import TokenScores
from ifcurate.model.windows import WindowBatch


class PositionScores:
    """Kronfluence's per-token pairwise scores against preconditioned query gradients: one backward pass."""

    def __init__(self, model: PreTrainedModel, directions: Sequence[Direction]) -> None:
        copied = copy.deepcopy(model)
        spread_experts(copied)
        self._task = LanguageModelTask(list(tracked_linears(copied)))
        layout = ExpertLayout(model)
        self._model = prepare_model(copied, self._task)
        update_factor_args(self._model, FactorArguments(strategy=STRATEGY))
        update_score_args(self._model, ScoreArguments(compute_per_token_scores=True))
        set_mode(self._model, ModuleMode.PAIRWISE_SCORE, release_memory=True)
        self._modules = [module for module in self._model.modules() if isinstance(module, TrackedModule)]
        opened = [layout.open(direction.tensors) for direction in directions]
        for module in self._modules:
            matrices = [join_bias(tensors, module.name) for tensors in opened]
            module.storage[ACCUMULATED_PRECONDITIONED_GRADIENT_NAME] = torch.stack(matrices).to(model.device)

    def score(self, batch: WindowBatch) -> TokenScores:
        """Scores of the tokens of `batch`, each at the position where the token is read."""
        with torch.enable_grad():
            self._model.zero_grad(set_to_none=True)
            losses = self._task.token_losses(as_kronfluence_batch(batch), self._model)
            losses.sum().backward()
        positions = torch.zeros((), device=losses.device)
        for module in self._modules:
            positions = positions + module.storage[PAIRWISE_SCORE_MATRIX_NAME]
        accumulate_iterations(self._model, [module.name for module in self._modules])
        read_at_next = torch.zeros_like(positions)
        read_at_next[:, :, :-1] = positions[:, :, 1:]
        context = batch.read & ~batch.mask
        return TokenScores(read_at_next[:, batch.mask], losses.detach(), read_at_next[:, context])
