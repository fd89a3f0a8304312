"""ifcurate: influence-based curation of training corpora (IF-Guide, NeurIPS 2025).

The pieces that other code uses are here by name, and imported when first used, since torch takes seconds:

- scoring: `ScoreSettings`, `load_scorer`, `Direction`, `load_direction`, `save_direction`
- selection: `SelectionSettings`, `select`, `Ranges`, `mask_to_spans`, `spans_to_mask`
- training: `penalized_loss`, `PenalizedTrainer`, `PenalizedLossMixin`, `PackingCollator`
- errors: `InputError`
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ifcurate.version import __version__

if TYPE_CHECKING:
    from ifcurate.direction import Direction, load_direction, save_direction
    from ifcurate.errors import InputError
    from ifcurate.loading import load_scorer
    from ifcurate.packing import PackingCollator
    from ifcurate.penalty import penalized_loss
    from ifcurate.score_settings import ScoreSettings
    from ifcurate.selection import SelectionSettings, select
    from ifcurate.spans import Ranges, mask_to_spans, spans_to_mask
    from ifcurate.trainer import PenalizedLossMixin, PenalizedTrainer

_HOMES = {
    "Direction": "ifcurate.direction",
    "InputError": "ifcurate.errors",
    "PackingCollator": "ifcurate.packing",
    "PenalizedLossMixin": "ifcurate.trainer",
    "PenalizedTrainer": "ifcurate.trainer",
    "Ranges": "ifcurate.spans",
    "ScoreSettings": "ifcurate.score_settings",
    "SelectionSettings": "ifcurate.selection",
    "load_direction": "ifcurate.direction",
    "load_scorer": "ifcurate.loading",
    "mask_to_spans": "ifcurate.spans",
    "penalized_loss": "ifcurate.penalty",
    "save_direction": "ifcurate.direction",
    "select": "ifcurate.selection",
    "spans_to_mask": "ifcurate.spans",
}

__all__ = [
    "Direction",
    "InputError",
    "PackingCollator",
    "PenalizedLossMixin",
    "PenalizedTrainer",
    "Ranges",
    "ScoreSettings",
    "SelectionSettings",
    "__version__",
    "load_direction",
    "load_scorer",
    "mask_to_spans",
    "penalized_loss",
    "save_direction",
    "select",
    "spans_to_mask",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
