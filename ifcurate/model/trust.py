"""What may run code while it is loaded: nothing, unless whoever gives the command says so.

Pickled weights (`.bin`, `.pt`, `.ckpt`) can run anything when they are read, and a model may bring Python code of its
own. safetensors can do neither, and is what we read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")


@dataclass(frozen=True)
class Trust:
    """Whether pickled weights and a model's own code are allowed."""

    allow_pickle: bool = False
    trust_remote_code: bool = False

    def of_code(self) -> dict[str, Any]:
        """For `from_pretrained` of configurations and tokenizers; never left open, as transformers would then ask."""
        return {"trust_remote_code": self.trust_remote_code}

    def of_weights(self) -> dict[str, Any]:
        """For `from_pretrained` of models."""
        return {**self.of_code(), "use_safetensors": None if self.allow_pickle else True}

    def hint(self, place: str, error: Exception) -> str | None:
        """What to say where this is why `place`, a folder or Hub id, could not be loaded."""
        said, folder = str(error), Path(place)
        if not self.trust_remote_code and "trust_remote_code" in said:
            return "it brings code of its own; read that, and give --trust-remote-code if you want it to run"
        if self.allow_pickle or "safetensors" not in said:
            return None
        if folder.is_dir() and not any(file for pattern in PICKLED for file in folder.glob(pattern)):
            return None
        return PICKLE_REMEDY


PICKLE_REMEDY = (
    "it has no weights in safetensors, and pickled ones may run any code when they are read; give --allow-pickle if "
    "you trust whoever made them, or save it anew with safetensors"
)
NOBODY = Trust()
"""Neither."""
