"""Where to compute, in which dtype, and how much at once."""

from __future__ import annotations

import multiprocessing
import sys

import torch

from ifcurate.errors import InputError

CPU_BATCH_TOKENS = 2048
"""Positions a batch on a CPU: more do not make matrix products faster, and larger tensors leave the caches."""
GPU_BATCH_TOKENS = 32_768
"""Positions a batch on a GPU: enough to keep it busy."""

FAILED_ALLOCATIONS = (
    "DefaultCPUAllocator: can't allocate memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUSOLVER_STATUS_ALLOC_FAILED",
)
"""What errors say that have no class of their own: PyTorch's on a CPU, and those of CUDA's libraries."""


def resolve_device(name: str) -> str:
    """`auto` as `cuda` where there is a GPU, else `cpu`; with several GPUs, this worker process's own.

    Raises:
        InputError: a GPU is asked for that is not there.
    """
    available = torch.cuda.device_count()
    if name == "auto":
        name = "cuda" if available else "cpu"
    if name == "cuda" and available:
        return f"cuda:{_worker_number() % available}"
    if name.startswith("cuda") and int(name.removeprefix("cuda:").removeprefix("cuda") or 0) >= available:
        raise InputError(f"option --device: {name} is not there, this machine has {available} CUDA devices.")
    return name


def resolve_dtype(name: str, device: str) -> torch.dtype:
    """`auto` as bfloat16 on a GPU (forward mode is accurate in it) and float32 on a CPU."""
    if name == "auto":
        return torch.bfloat16 if device.startswith("cuda") else torch.float32
    dtype = getattr(torch, name)
    assert isinstance(dtype, torch.dtype)
    return dtype


def forbid_reduced_precision() -> None:
    """Products in this process's own dtype: no TF32 in place of float32, no partial sums in bfloat16."""
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False


def resolve_batch_tokens(asked: int | None, device: str) -> int:
    """`asked`, or what suits the device."""
    return asked or (GPU_BATCH_TOKENS if device.startswith("cuda") else CPU_BATCH_TOKENS)


def is_out_of_memory(error: Exception) -> bool:
    """Whether an allocation failed, on a GPU or a CPU."""
    return isinstance(error, torch.OutOfMemoryError) or any(told in str(error) for told in FAILED_ALLOCATIONS)


def _worker_number() -> int:
    """Number of this process among its pool's workers, 0 for the main process."""
    pools = (multiprocessing, sys.modules.get("multiprocess"))  # datatrove's pools are of the latter
    identities = (getattr(pool.current_process(), "_identity", ()) for pool in pools if pool is not None)
    return next((int(identity[0]) - 1 for identity in identities if identity), 0)
