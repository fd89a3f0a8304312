"""ifcurate: influence-based curation of training corpora (IF-Guide, NeurIPS 2025)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ifcurate.version import __version__

if TYPE_CHECKING:
    from ifcurate.packing import PackingCollator
    from ifcurate.penalty import penalized_loss
    from ifcurate.trainer import PenalizedLossMixin, PenalizedTrainer

_HOMES = {
    "PackingCollator": "ifcurate.packing",
    "PenalizedLossMixin": "ifcurate.trainer",
    "PenalizedTrainer": "ifcurate.trainer",
    "penalized_loss": "ifcurate.penalty",
}
"""Where the pieces for other people's trainers are; imported when first used, since torch takes seconds."""

__all__ = ["PackingCollator", "PenalizedLossMixin", "PenalizedTrainer", "__version__", "penalized_loss"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
