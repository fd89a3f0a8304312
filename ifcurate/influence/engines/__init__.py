"""The engines that compute token influence, by name; each is one file here, imported when it is built.

A new engine is a file with a class of the protocol `choice.Engine`, and an entry in `ENGINES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Alignment = Literal["label", "position"]

_HERE = "ifcurate.influence.engines"


@dataclass(frozen=True)
class EngineSpec:
    """What is known of an engine before it is imported.

    Attributes:
        home: `module:class`; made from a model, directions and, where it needs them, one step a direction.
        alignment: whose gradient its scores are.
        only_float32: whether rounding drowns it in any other dtype.
        needs_step: whether it takes finite steps, which are calibrated against forward mode.
        carries_tangents: whether a forward pass holds a tangent a direction beside every activation.
        keeps_activations: whether it needs a backward pass.
        packs_rows: whether its batches have one shape, for a compiler.
        on_several_devices: whether the model may be shared out over several.
        needs_student: whether it scores with a student in the place of directions, approximately.
    """

    home: str
    alignment: Alignment = "label"
    only_float32: bool = False
    needs_step: bool = False
    carries_tangents: bool = False
    keeps_activations: bool = False
    packs_rows: bool = False
    on_several_devices: bool = False
    needs_student: bool = False


ENGINES: dict[str, EngineSpec] = {
    "finite-difference": EngineSpec(
        f"{_HERE}.finite_difference:FiniteDifference", only_float32=True, needs_step=True, on_several_devices=True
    ),
    "one-sided": EngineSpec(
        f"{_HERE}.finite_difference:OneSidedDifference", only_float32=True, needs_step=True, on_several_devices=True
    ),
    "jvp": EngineSpec(f"{_HERE}.forward_mode:ForwardMode", carries_tangents=True, on_several_devices=True),
    "compiled-jvp": EngineSpec(f"{_HERE}.compiled:CompiledForwardMode", carries_tangents=True, packs_rows=True),
    "kronfluence": EngineSpec(f"{_HERE}.kronfluence:PositionScores", alignment="position", keeps_activations=True),
    "student": EngineSpec(f"{_HERE}.student:StudentScores", needs_student=True),
}
AUTO = "auto"
"""The fastest exact engine for alignment, dtype, device and number of directions."""
