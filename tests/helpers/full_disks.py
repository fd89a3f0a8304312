"""Writers that grow beyond any disk, for child processes to import."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file


def full_for_safetensors(path: Path) -> None:
    save_file({"a": torch.zeros(100_000)}, path)


def full_for_python(path: Path) -> None:
    path.write_bytes(bytes(400_000))
