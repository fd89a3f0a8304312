"""The same factors by Kronfluence's own passes: `--fit-with kronfluence`, and what ours are checked against."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from kronfluence.analyzer import Analyzer, prepare_model
from kronfluence.arguments import FactorArguments
from kronfluence.utils.dataset import DataLoaderKwargs
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from ifcurate.files import finishing_folder
from ifcurate.influence.curvature.eigenbasis import refusing_hopeless
from ifcurate.influence.curvature.factors import FACTORS_NAME, STRATEGY
from ifcurate.influence.curvature.opened import spread_experts
from ifcurate.influence.curvature.sampled_labels import COVARIANCE_PASS, EIGENVALUE_PASS, random_numbers
from ifcurate.influence.kronfluence_task import LanguageModelTask, as_kronfluence_batch
from ifcurate.model.layers import tracked_linears
from ifcurate.model.windows import Window, collate
from ifcurate.progress import counting, log, track


def fit_factors(
    model: PreTrainedModel,
    windows: Sequence[Window],
    start: int,
    folder: Path,
    batch_tokens: int,
    seed: int,
    on_batch: Callable[[int], None] = lambda tokens: None,
) -> None:
    """What `fit.fit_factors` does, with the same arguments and the same sampled labels; stores the covariances too.

    The model's linear layers are wrapped in place, so load it for this purpose. Batches hold equally many windows.

    Raises:
        InputError: the model's outputs or its curvature are not finite, or the eigenvectors do not fit into memory.
    """
    spread_experts(model)
    ordered = sorted(windows, key=len, reverse=True)
    tokens = sum(len(window) for window in windows)
    task = LanguageModelTask(list(tracked_linears(model)))
    shared = {"factors_name": FACTORS_NAME, "factor_args": FactorArguments(strategy=STRATEGY)}
    sampled = {"dataset": ordered, "per_device_batch_size": max(1, batch_tokens // len(ordered[0]))}

    def loader(number_of_pass: int) -> DataLoaderKwargs:
        def collated(items: list[Window]) -> dict[str, torch.Tensor]:
            return as_kronfluence_batch(collate(items, start), random_numbers(items, seed, number_of_pass))

        return DataLoaderKwargs(collate_fn=collated)

    with finishing_folder(folder) as part:
        analyzer = Analyzer(
            analysis_name=part.name,
            model=prepare_model(model, task),
            task=task,
            cpu=model.device.type == "cpu",
            log_level=logging.ERROR,
            disable_tqdm=True,
            output_dir=str(part.parent),
        )
        with track("covariances", tokens) as tracker:
            task.on_batch = counting(tracker, on_batch)
            analyzer.fit_covariance_matrices(**shared, **sampled, dataloader_kwargs=loader(COVARIANCE_PASS))
        log.info(f"eigenvectors of {len(task.module_names)} layers: Kronfluence does not say how far it is")
        with refusing_hopeless(model.device):
            analyzer.perform_eigendecomposition(**shared)
        with track("eigenvalues", tokens) as tracker:
            task.on_batch = counting(tracker, on_batch)
            analyzer.fit_lambda_matrices(**shared, **sampled, dataloader_kwargs=loader(EIGENVALUE_PASS))
        _drop_headers(part)


def _drop_headers(folder: Path) -> None:
    """Store the tensors alone: Kronfluence's copies of its arguments come in an order that changes from run to run."""
    for file in folder.rglob("*.safetensors"):
        save_file(load_file(file), file)
