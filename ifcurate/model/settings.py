"""Which model, and what computes: settings that several commands share."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from ifcurate.config import ALIASES, Config
from ifcurate.model.stored import Stored
from ifcurate.model.trust import Trust


class TrustSettings(Config):
    """What may run code while it is loaded. Files do not remember it: whoever gives the command says so each time."""

    panel = "Model"

    allow_pickle: bool = Field(
        False, exclude=True, description="read pickled weights (.bin, .pt, .ckpt), which may run any code"
    )
    trust_remote_code: bool = Field(False, exclude=True, description="run the Python code that a model brings")

    @property
    def trust(self) -> Trust:
        """Both, as loaders take them."""
        return Trust(self.allow_pickle, self.trust_remote_code)


class RevisionSettings(TrustSettings):
    """Of everything that is loaded from the Hub."""

    panel = "Model"

    revision: str | None = Field(None, description="branch, tag or commit on the Hub")


class ContextSettings(Config):
    """How much of a document is read at once."""

    panel = "Model"

    context: int | None = Field(
        None,
        ge=1,
        description="tokens a window; default: the model's, capped at 2,048",
        json_schema_extra={ALIASES: ["--max-length"]},
    )


class WindowSettings(ContextSettings):
    """How long documents are cut into windows."""

    panel = "Model"

    overlap: int = Field(
        0, ge=0, description="tokens of a window that the next one of its document reads again, as context"
    )


class StoredSettings(Config):
    """How a model is stored where it is not plain floating point."""

    panel = "Model"

    gguf_file: str | None = Field(None, description="name of --model's file in GGUF, restored to floating point")
    dequantize: bool = Field(False, description="restore a quantized model to floating point; else it is refused")

    @property
    def stored(self) -> Stored:
        """All of it, as loaders take it."""
        return Stored(self.gguf_file, self.dequantize)


class ModelSettings(WindowSettings, StoredSettings, RevisionSettings):
    """A decoder-only model, and how much of a document it reads at once."""

    panel = "Model"

    model: str = Field(description="folder or Hub id of a decoder-only model")
    adapter: str | None = Field(
        None, description="folder or Hub id of a LoRA adapter: influence through its weights alone"
    )

    @property
    def stored(self) -> Stored:
        """How the model is stored, its adapter too."""
        return Stored(self.gguf_file, self.dequantize, self.adapter)


DeviceMap = Literal["auto"]
"""How a model is shared out over several devices."""


class DeviceSettings(Config):
    """Where to compute."""

    panel = "Machine"

    device: str = Field("auto", description="cpu, cuda, cuda:1; auto: a GPU where there is one")

    @field_validator("device")
    @classmethod
    def _is_a_device(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:[0-9]+)?", value):
            raise ValueError("must be auto, cpu, cuda or cuda:1")
        return value


class ComputeSettings(DeviceSettings):
    """Where to compute, in which dtype, and how much at once."""

    panel = "Machine"

    dtype: Literal["auto", "float32", "bfloat16", "float64"] = Field(
        "auto", description="auto: bfloat16 on a GPU where that is exact enough, else float32"
    )
    batch_tokens: int | None = Field(
        None, ge=1, description="positions a forward pass, padding included; default: what fits into memory"
    )
    device_map: DeviceMap | None = Field(
        None, description="auto: direct and score with a model that no GPU holds alone, shared out over all of them"
    )
