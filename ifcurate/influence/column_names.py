"""Names of the columns that hold one value a token."""

from __future__ import annotations

TOKEN_IDS = "token_ids"
LOSS = "loss"


def influence_column(behaviour: str) -> str:
    """`list<float32>`: S, one value per token."""
    return f"{behaviour}_influence"
