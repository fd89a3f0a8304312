"""EK-FAC curvature of the tracked layers: fitted, stored and inverted by Kronfluence.

For each linear layer the Fisher matrix is approximated in the eigenbasis of the covariances of its inputs and of
its output gradients, with corrected eigenvalues: one factor a window, labels sampled from the model (true Fisher).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from kronfluence.analyzer import Analyzer, prepare_model
from kronfluence.arguments import FactorArguments, ScoreArguments
from kronfluence.factor.config import FactorConfig
from kronfluence.factor.eigen import load_eigendecomposition, load_lambda_matrices
from kronfluence.task import Task
from kronfluence.utils.dataset import DataLoaderKwargs
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedModel

from ifcurate.errors import InputError
from ifcurate.files import finishing_folder, sha256_of
from ifcurate.model.devices import is_out_of_memory
from ifcurate.model.layers import tracked_linears
from ifcurate.model.windows import PADDING_LABEL, Window, WindowBatch, collate
from ifcurate.progress import log, track

STRATEGY = "ekfac"
FACTORS_NAME = "ekfac"
Damping = float | Literal["heuristic"]
"""Added to every eigenvalue; `heuristic` is 0.1 times a layer's mean eigenvalue (Kronfluence's `None`)."""


class LanguageModelTask(Task):
    """Kronfluence's view of a causal language model on `WindowBatch`es: summed token losses, in nats."""

    def __init__(self, module_names: list[str], on_batch: Callable[[int], None] = lambda tokens: None) -> None:
        self.module_names = module_names
        self.on_batch = on_batch

    def compute_train_loss(self, batch: Any, model: nn.Module, sample: bool = False) -> torch.Tensor:
        """Sum of the losses of all label tokens, or of tokens sampled from the model in their places."""
        logits, labels = self._logits_and_labels(batch, model)
        if not bool(logits.detach().sum().isfinite()):
            raise InputError("option --model: its outputs are NaN or infinite on this text; give a sound checkpoint.")
        if sample:
            labels = torch.multinomial(logits.detach().softmax(-1), num_samples=1)[:, 0]
        self.on_batch(len(labels))
        return nn.functional.cross_entropy(logits, labels, reduction="sum")

    def token_losses(self, batch: Any, model: nn.Module) -> torch.Tensor:
        """Loss of every label token in nats, [tokens]."""
        return nn.functional.cross_entropy(*self._logits_and_labels(batch, model), reduction="none")

    def compute_measurement(self, batch: Any, model: nn.Module) -> torch.Tensor:
        """The same sum: what a query measures is the loss of its completion."""
        return self.compute_train_loss(batch, model)

    def get_influence_tracked_modules(self) -> list[str]:
        """The linear layers inside the decoder blocks."""
        return self.module_names

    def get_attention_mask(self, batch: Any) -> torch.Tensor:
        """int64 [batch, length]: padding must not enter the covariances."""
        return (batch["labels"] != PADDING_LABEL).long()

    @staticmethod
    def _logits_and_labels(batch: Any, model: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
        mask = batch["labels"] != PADDING_LABEL
        logits = model(input_ids=batch["input_ids"], use_cache=False).logits[mask]
        return logits.to(torch.promote_types(logits.dtype, torch.float32)), batch["labels"][mask]


def as_kronfluence_batch(batch: WindowBatch) -> dict[str, torch.Tensor]:
    """A batch in the form that Kronfluence moves between devices."""
    return {"input_ids": batch.input_ids, "labels": batch.labels}


def fit_factors(
    model: PreTrainedModel,
    windows: Sequence[Window],
    start: int,
    folder: Path,
    batch_windows: int,
    seed: int,
    on_batch: Callable[[int], None] = lambda tokens: None,
) -> None:
    """Fit EK-FAC factors on `windows` and store Kronfluence's files in `folder`, whole or not at all.

    Covariances and eigenvalues each take one pass (forward and backward). Sampled labels depend on `seed` only.

    Args:
        model: in the dtype to fit in; its linear layers are wrapped in place, so load it for this purpose.
        windows: the sample; sorted by length here to keep padding low.
        start: id of the start token.
        folder: becomes the factors' folder; must not exist.
        batch_windows: windows a batch.
        seed: of the labels sampled from the model.
        on_batch: called with the number of tokens of every batch.

    Raises:
        InputError: the model's outputs or its curvature are not finite, or the eigenvectors do not fit into memory.
    """
    ordered = sorted(windows, key=len, reverse=True)
    task = LanguageModelTask(list(tracked_linears(model)), on_batch)
    loader = DataLoaderKwargs(collate_fn=lambda items: as_kronfluence_batch(collate(items, start)))
    shared = {"factors_name": FACTORS_NAME, "factor_args": FactorArguments(strategy=STRATEGY)}
    sampled = {"dataset": ordered, "per_device_batch_size": batch_windows, "dataloader_kwargs": loader}
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
        torch.manual_seed(seed)
        analyzer.fit_covariance_matrices(**shared, **sampled)
        log.info(f"eigenvectors of {len(task.module_names)} layers: Kronfluence does not say how far it is")
        try:
            analyzer.perform_eigendecomposition(**shared)
        except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
            raise InputError(
                f"option --model: its curvature has no eigenvalues ({error}); its activations or gradients are far "
                "too large, give a sound checkpoint."
            ) from error
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise InputError(
                f"option --model: the eigenvectors of its curvature do not fit into the memory of {model.device}, "
                "however small the batches are; use a smaller model or a larger device."
            ) from error
        torch.manual_seed(seed + 1)
        analyzer.fit_lambda_matrices(**shared, **sampled)
        _drop_headers(part)


def _drop_headers(folder: Path) -> None:
    """Store the tensors alone: Kronfluence's copies of its arguments come in an order that changes from run to run."""
    for file in folder.rglob("*.safetensors"):
        save_file(load_file(file), file)


def hash_factors(folder: Path) -> str:
    """Hex SHA-256 of the corrected eigenvalues' file, which depends on everything else that was fitted."""
    return sha256_of(_factors_folder(folder) / "lambda_matrix.safetensors")


def precondition(
    gradient: dict[str, torch.Tensor], folder: Path, damping: Damping, device: str
) -> dict[str, torch.Tensor]:
    """H^-1 g, layer by layer, with Kronfluence's own arithmetic in float32.

    Args:
        gradient: by parameter name, `<layer>.weight` [out, in] and, where the layer has one, `<layer>.bias` [out].
        folder: where `fit_factors` put the factors.
        damping: see `Damping`.
        device: where to compute.

    Returns:
        Tensors of the same names and shapes.

    Raises:
        InputError: the factors are missing, damaged, or of other layers.
    """
    factors = _load(folder)
    score_args = ScoreArguments(damping_factor=None if damping == "heuristic" else float(damping))
    config = FactorConfig.CONFIGS[STRATEGY]
    result: dict[str, torch.Tensor] = {}
    layers = [name.removesuffix(".weight") for name in gradient if name.endswith(".weight")]
    with track("precondition", len(layers), "layers") as tracker:
        for done, layer in enumerate(layers, start=1):
            try:
                storage = {name: by_layer[layer] for name, by_layer in factors.items()}
            except KeyError as error:
                raise InputError(f"{folder}: has no factors for layer {layer}; fit them for this model.") from error
            config.prepare(storage, score_args, torch.device(device))
            matrix = join_bias(gradient, layer).to(device)
            result.update(split_bias(config.precondition_gradient(matrix, storage), layer, f"{layer}.bias" in gradient))
            tracker.update(done, done)
    return result


def join_bias(tensors: dict[str, torch.Tensor], layer: str) -> torch.Tensor:
    """Weight and bias of a layer as Kronfluence's one matrix [out, in + 1] (or [out, in] without a bias)."""
    weight, bias = tensors[f"{layer}.weight"], tensors.get(f"{layer}.bias")
    return weight.clone() if bias is None else torch.cat([weight, bias[:, None]], dim=1)


def split_bias(matrix: torch.Tensor, layer: str, has_bias: bool) -> dict[str, torch.Tensor]:
    """The inverse of `join_bias`."""
    if not has_bias:
        return {f"{layer}.weight": matrix}
    return {f"{layer}.weight": matrix[:, :-1].contiguous(), f"{layer}.bias": matrix[:, -1].contiguous()}


def _factors_folder(folder: Path) -> Path:
    return folder / f"factors_{FACTORS_NAME}"


def _load(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    stored = _factors_folder(folder)
    try:
        factors = {**load_eigendecomposition(stored), **load_lambda_matrices(stored)}
    except Exception as error:  # safetensors raises its own types
        raise InputError(f"{folder}: factors cannot be read ({error}); delete the folder and fit again.") from error
    return factors
