"""What is said of scores that a student made, without importing anything that computes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

APPROXIMATE = "approximate"
"""Key of what files say of scores: only there, and true, where a student said them."""
NEARNESS = ("correlation", "overlap", "share")
"""Keys beside it: rank correlation with exact influence, and the share of its top `share` that is found."""


def approximation(said: Mapping[str, Any]) -> str:
    """How near the scores of a student come to exact ones, for people; empty where they are exact themselves."""
    if not said.get(APPROXIMATE):
        return ""
    correlation, overlap, share = (said[name] for name in NEARNESS)
    return (
        f"approximate, by a student: rank correlation {correlation:.3f} with exact influence, and {overlap:.1%} of its "
        f"top {share:.0%}, on documents that it had not learnt from"
    )
