"""How a checkpoint is stored where it is not plain floating point: in GGUF, quantized, or with an adapter beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Stored:
    """What is read besides `save_pretrained`'s own files.

    Attributes:
        gguf_file: name of the model's file in GGUF, restored to floating point.
        dequantize: whether a quantized model is restored to floating point; otherwise it is refused.
        adapter: folder or Hub id of a LoRA adapter that the model is run with; only its weights are tracked.
    """

    gguf_file: str | None = None
    dequantize: bool = False
    adapter: str | None = None

    @property
    def of_tokenizer(self) -> dict[str, Any]:
        """For `from_pretrained` of tokenizers."""
        return {} if self.gguf_file is None else {"gguf_file": self.gguf_file}


AS_IS = Stored()
"""Files of `save_pretrained`, in floating point, without an adapter."""
