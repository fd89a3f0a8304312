"""Slow and obvious: per-token gradients by autograd, and Kronfluence's own scores by its own pipeline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from kronfluence.analyzer import Analyzer, prepare_model
from kronfluence.arguments import ScoreArguments
from kronfluence.utils.dataset import DataLoaderKwargs
from transformers import PreTrainedModel

from ifcurate.influence.direction import Direction
from ifcurate.influence.kronfluence_task import LanguageModelTask, as_kronfluence_batch
from ifcurate.model.layers import tracked_linears, tracked_parameters
from ifcurate.model.windows import Window, WindowBatch, collate


def random_windows(lengths: list[int], vocabulary: int, seed: int = 0) -> list[Window]:
    generator = np.random.default_rng(seed)
    return [
        Window(number, 0, generator.integers(1, vocabulary, length).astype(np.int32))
        for number, length in enumerate(lengths)
    ]


def random_direction(model: PreTrainedModel, seed: int = 0, behaviour: str = "toxic") -> Direction:
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        name: torch.randn(parameter.shape, generator=generator) * 0.1
        for name, parameter in tracked_parameters(model).items()
    }
    return Direction(tensors, {"behaviour": behaviour})


def influence_by_autograd(model: PreTrainedModel, direction: Direction, batch: WindowBatch) -> torch.Tensor:
    """float64 [tokens]: each label token's gradient, dotted with the direction."""
    parameters = tracked_parameters(model)
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    logits = model(input_ids=batch.input_ids, use_cache=False).logits[batch.mask]
    losses = torch.nn.functional.cross_entropy(logits, batch.labels[batch.mask], reduction="none")
    scores, along_each = [], [direction.tensors[name] for name in parameters]
    for loss in losses:
        gradients = torch.autograd.grad(loss, list(parameters.values()), retain_graph=True)
        pairs = zip(gradients, along_each, strict=True)
        scores.append(sum((gradient.double() * along.double()).sum() for gradient, along in pairs))
    model.requires_grad_(False)
    return torch.stack([torch.as_tensor(score) for score in scores]).detach()


def kronfluence_scores(
    model: PreTrainedModel,
    queries: list[WindowBatch],
    windows: list[Window],
    factors: Path,
    damping: float | None,
    per_token: bool,
) -> torch.Tensor:
    """Kronfluence's pairwise scores, queries aggregated (summed): [windows] or [windows, length].

    `factors` is a folder that `fit_factors` made; `queries` are batches of one query each.
    """
    task = LanguageModelTask(list(tracked_linears(model)))
    analyzer = Analyzer(
        analysis_name=factors.name,
        model=prepare_model(model, task),
        task=task,
        cpu=model.device.type == "cpu",
        disable_tqdm=True,
        output_dir=str(factors.parent),
    )
    arguments = ScoreArguments(
        damping_factor=damping, aggregate_query_gradients=True, compute_per_token_scores=per_token
    )
    analyzer.compute_pairwise_scores(
        scores_name=f"scores-{per_token}",
        factors_name="ekfac",
        query_dataset=queries,
        train_dataset=windows,
        per_device_query_batch_size=1,
        per_device_train_batch_size=len(windows),
        score_args=arguments,
        dataloader_kwargs=DataLoaderKwargs(collate_fn=_collate),
        overwrite_output_dir=True,
    )
    return analyzer.load_pairwise_scores(f"scores-{per_token}")["all_modules"][0]


def _collate(items: list[Window] | list[WindowBatch]) -> dict[str, torch.Tensor]:
    first = items[0]
    return as_kronfluence_batch(first if isinstance(first, WindowBatch) else collate(items, 0))
