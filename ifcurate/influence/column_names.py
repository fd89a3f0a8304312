"""Names of the columns that hold one value a token."""

from __future__ import annotations

TOKEN_IDS = "token_ids"
LOSS = "loss"
METHOD = "method"
"""Key of what files say of scores: only there where they are no influence, and says what they are."""


def influence_column(behaviour: str) -> str:
    """`list<float32>`: S, one value per token."""
    return f"{behaviour}_influence"
