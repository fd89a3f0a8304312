"""The pieces of a study: each is made once, in a folder named by what it is and a hash of what decides it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

Making = Literal["shared_prompts", "reward_model", "annotation", "training", "preferences", "dpo"]
Measuring = Literal["completions", "fluency", "attack", "recognition"]
Kind = Making | Measuring

LEAVES_NO_TRACE = frozenset({"workers", "save_steps", "save_total_limit", "logging_steps", "report_to"})
"""Settings that may differ when a piece is taken up again: they leave no trace in it."""
LENGTH_OF_KEY = 10
"""Hexadecimal digits of the hash: among a thousand pieces two are equal with a chance of one in two million."""


@dataclass(frozen=True)
class Piece:
    """Something that one of the recipes makes.

    Attributes:
        kind: which recipe.
        name: for people; several pieces may share it.
        settings: what the study says of it, everything that decides it but other pieces.
        needs: pieces that it is made from, by the setting that names their folder.
    """

    kind: Kind
    name: str
    settings: Mapping[str, Any]
    needs: Mapping[str, Piece] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """Tells it from all others, by what decides it."""
        decides = {name: value for name, value in self.settings.items() if name not in LEAVES_NO_TRACE}
        content = [self.kind, decides, {role: piece.key for role, piece in self.needs.items()}]
        digest = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode())
        return digest.hexdigest()[:LENGTH_OF_KEY]

    @property
    def place(self) -> str:
        """Its folder, below the study's."""
        return f"{self.kind.replace('_', '-')}/{self.name}-{self.key}"

    @property
    def title(self) -> str:
        """As it is shown."""
        return f"{self.kind.replace('_', ' ')} {self.name}"

    def all_needed(self) -> list[Piece]:
        """What it is made from, directly or not, in an order in which it can be made."""
        found: dict[str, Piece] = {}
        for piece in self.needs.values():
            found |= {each.key: each for each in [*piece.all_needed(), piece]}
        return list(found.values())
