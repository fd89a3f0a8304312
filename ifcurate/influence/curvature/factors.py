"""Factors on disk: the files that Kronfluence's own loader reads, whoever fitted them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from kronfluence.arguments import FactorArguments
from kronfluence.factor.eigen import (
    load_eigendecomposition,
    load_lambda_matrices,
    save_eigendecomposition,
    save_lambda_matrices,
)
from kronfluence.utils.constants import (
    ACTIVATION_EIGENVALUES_NAME,
    ACTIVATION_EIGENVECTORS_NAME,
    GRADIENT_EIGENVALUES_NAME,
    GRADIENT_EIGENVECTORS_NAME,
    LAMBDA_MATRIX_NAME,
    NUM_LAMBDA_PROCESSED,
)
from kronfluence.utils.save import save_json

from ifcurate.checksums import verify_checksums, write_checksums
from ifcurate.errors import InputError
from ifcurate.files import sha256_of

STRATEGY = "ekfac"
FACTORS_NAME = "ekfac"


@dataclass(frozen=True)
class Factors:
    """A layer's EK-FAC factors: in (+ 1) where it has a bias.

    `input_vectors` [in, in] and `gradient_vectors` [out, out] hold eigenvectors in columns, `input_values` [in] and
    `gradient_values` [out] the covariances' eigenvalues, `eigenvalues` [out, in] the corrected ones, summed over
    `windows` windows.
    """

    input_vectors: torch.Tensor
    gradient_vectors: torch.Tensor
    input_values: torch.Tensor
    gradient_values: torch.Tensor
    eigenvalues: torch.Tensor
    windows: int


def factors_folder(folder: Path) -> Path:
    """Where inside a run's factors Kronfluence keeps those of this strategy."""
    return folder / f"factors_{FACTORS_NAME}"


def save_factors(factors: Mapping[str, Factors], folder: Path) -> None:
    """Write Kronfluence's files into `folder`, which exists; layers that share a tensor have a copy each."""
    home = factors_folder(folder)
    home.mkdir(parents=True)

    def by_layer(field: str) -> dict[str, torch.Tensor]:
        return {layer: getattr(own, field).cpu().clone().contiguous() for layer, own in factors.items()}

    save_eigendecomposition(
        home,
        {
            ACTIVATION_EIGENVECTORS_NAME: by_layer("input_vectors"),
            ACTIVATION_EIGENVALUES_NAME: by_layer("input_values"),
            GRADIENT_EIGENVECTORS_NAME: by_layer("gradient_vectors"),
            GRADIENT_EIGENVALUES_NAME: by_layer("gradient_values"),
        },
    )
    windows = {layer: torch.tensor([own.windows]) for layer, own in factors.items()}
    save_lambda_matrices(home, {LAMBDA_MATRIX_NAME: by_layer("eigenvalues"), NUM_LAMBDA_PROCESSED: windows})
    save_json(FactorArguments(strategy=STRATEGY).to_dict(), home / "factor_arguments.json")
    write_checksums(home)


def load_factors(folder: Path) -> dict[str, Factors]:
    """The factors in `folder` by layer, on a CPU.

    Raises:
        InputError: they cannot be read, or are damaged.
    """
    home = factors_folder(folder)
    verify_checksums(home, f"delete {folder} and fit again")
    try:
        found = {**load_eigendecomposition(home), **load_lambda_matrices(home)}
        return {
            layer: Factors(
                found[ACTIVATION_EIGENVECTORS_NAME][layer],
                found[GRADIENT_EIGENVECTORS_NAME][layer],
                found[ACTIVATION_EIGENVALUES_NAME][layer],
                found[GRADIENT_EIGENVALUES_NAME][layer],
                eigenvalues,
                int(found[NUM_LAMBDA_PROCESSED][layer]),
            )
            for layer, eigenvalues in found[LAMBDA_MATRIX_NAME].items()
        }
    except Exception as error:  # safetensors raises its own types
        raise InputError(f"{folder}: factors cannot be read ({error}); delete the folder and fit again.") from error


def hash_factors(folder: Path) -> str:
    """Hex SHA-256 of the corrected eigenvalues' file, which depends on everything else that was fitted."""
    return sha256_of(factors_folder(folder) / f"{LAMBDA_MATRIX_NAME}.safetensors")
