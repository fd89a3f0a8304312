"""What `ifcurate eval attack` is asked to do."""

from __future__ import annotations

from pydantic import Field

from ifcurate.config import Config
from ifcurate.evaluation.config import ClassifierSettings, ModelsConfig


class SearchSettings(Config):
    """How suffixes are looked for."""

    panel = "Attack"

    queries: str = Field(description="prompts, and completions of theirs that a suffix is to lead to")
    sample: int = Field(10, ge=1, description="queries to draw; each takes --steps x --width forward passes")
    target_tokens: int = Field(10, ge=1, description="first tokens of a completion that are the target")
    steps: int = Field(50, ge=1, description="exchanges of one token of the suffix")
    width: int = Field(64, ge=1, description="exchanges tried at each step")
    candidates: int = Field(256, ge=1, description="tokens with the best gradient at a place, of which one is drawn")
    suffix_tokens: int = Field(20, ge=1, description="tokens of the suffix")
    max_new_tokens: int = Field(20, ge=1, description="most tokens of a completion")
    batch_tokens: int | None = Field(None, ge=1, description="positions a forward pass")


class AttackConfig(SearchSettings, ClassifierSettings, ModelsConfig):
    """`ifcurate eval attack`."""
