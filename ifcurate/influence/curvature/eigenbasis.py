"""The eigenbasis of every covariance: matrices side by side, one thread each, or on a GPU in batches of one shape."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import torch

from ifcurate.errors import InputError
from ifcurate.model.devices import is_out_of_memory
from ifcurate.progress import track

BATCH_BYTES = 1 << 30
"""Of float64 matrices of one shape that a GPU decomposes at once."""

Key = TypeVar("Key", bound=Hashable)
Eigen = tuple[torch.Tensor, torch.Tensor]
"""Eigenvalues [size], ascending, and eigenvectors [size, size] in columns."""


def decompose(sums: Mapping[Key, torch.Tensor], tokens: int) -> dict[Key, Eigen]:
    """Eigenvalues and eigenvectors of each matrix divided by `tokens`, computed in float64, kept in its own dtype.

    Args:
        sums: symmetric matrices [size, size], all on one device.
        tokens: what they are sums over.

    Raises:
        InputError: a matrix has no eigenvalues (infinite or far too large), or one does not fit into memory.
    """
    groups = _groups(sums)
    found: dict[Key, Eigen] = {}
    with track("eigenvectors", sum(len(group) * size**3 for size, group in groups), "matrices") as tracker:
        work = 0.0
        for size, group, values, vectors in _solved(groups, sums, tokens):
            for name, *pair in zip(group, values, vectors, strict=True):
                found[name] = (pair[0], pair[1])
            work += len(group) * size**3
            tracker.update(work, len(found))
    return {name: found[name] for name in sums}


def _groups(sums: Mapping[Key, torch.Tensor]) -> list[tuple[int, list[Key]]]:
    """Names of matrices to decompose together, largest first: single ones on a CPU."""
    by_size: dict[int, list[Key]] = defaultdict(list)
    for name, matrix in sums.items():
        by_size[len(matrix)].append(name)
    on_gpu = any(matrix.is_cuda for matrix in sums.values())
    groups = []
    for size in sorted(by_size, reverse=True):
        most = max(1, BATCH_BYTES // (8 * size * size)) if on_gpu else 1
        names = by_size[size]
        groups += [(size, names[first : first + most]) for first in range(0, len(names), most)]
    return groups


def _solved(
    groups: list[tuple[int, list[Key]]], sums: Mapping[Key, torch.Tensor], tokens: int
) -> Iterator[tuple[int, list[Key], torch.Tensor, torch.Tensor]]:
    """Size, names, values and vectors of each group, as they get done."""
    if any(matrix.is_cuda for matrix in sums.values()):
        yield from (_solve(sums, tokens, size, group) for size, group in groups)
        return
    with _one_thread() as threads, ThreadPoolExecutor(threads, initializer=partial(torch.set_num_threads, 1)) as pool:
        jobs = [pool.submit(_solve, sums, tokens, size, group) for size, group in groups]
        try:
            yield from (job.result() for job in as_completed(jobs))
        finally:
            for job in jobs:
                job.cancel()


@contextmanager
def _one_thread() -> Iterator[int]:
    """PyTorch computes with one thread; says how many it had."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)


def _solve(
    sums: Mapping[Key, torch.Tensor], tokens: int, size: int, group: list[Key]
) -> tuple[int, list[Key], torch.Tensor, torch.Tensor]:
    dtype, device = sums[group[0]].dtype, sums[group[0]].device
    with refusing_hopeless(device):
        matrices = torch.stack([sums[name] for name in group]).double().div_(tokens)
        values, vectors = torch.linalg.eigh((matrices + matrices.mT).mul_(0.5))
        return size, group, values.to(dtype), vectors.to(dtype)


@contextmanager
def refusing_hopeless(device: torch.device) -> Iterator[None]:
    """Decomposition inside: what no smaller batch would help is an `InputError`."""
    try:
        yield
    except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
        raise InputError(
            f"option --model: its curvature has no eigenvalues ({error}); its activations or gradients are far "
            "too large, give a sound checkpoint."
        ) from error
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise InputError(
            f"option --model: the eigenvectors of its curvature do not fit into the memory of {device}, "
            "however small the batches are; use a smaller model or a larger device."
        ) from error
