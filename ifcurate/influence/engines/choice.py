"""Which engine computes token influence: the choice for alignment, device and dtype, and its making."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from transformers import PreTrainedModel

from ifcurate.errors import InputError
from ifcurate.influence.direction import Direction
from ifcurate.influence.engines import AUTO, ENGINES, Alignment
from ifcurate.influence.engines.calibration import Step
from ifcurate.influence.engines.compiled import missing_compiler, refusal
from ifcurate.influence.student import Student
from ifcurate.model.devices import resolve_dtype
from ifcurate.model.token_loss import TokenScores
from ifcurate.model.windows import WindowBatch
from ifcurate.registry import load


class Engine(Protocol):
    """Scores batches of windows against the directions it was made with."""

    def score(self, batch: WindowBatch) -> TokenScores:
        """Scores of the label tokens of `batch`."""


def choose_dtype(dtype: str, engine: str, alignment: Alignment, device: str) -> torch.dtype:
    """The dtype asked for, or for `auto` bfloat16 where forward mode runs on a GPU and float32 elsewhere."""
    forward_mode = alignment == "label" and (engine == AUTO or ENGINES[engine].carries_tangents)
    if dtype == "auto" and not forward_mode:
        return torch.float32
    return resolve_dtype(dtype, device)


def choose_engine(
    engine: str, alignment: Alignment, dtype: torch.dtype, devices: Sequence[str] = ("cpu",), directions: int = 1
) -> str:
    """The engine asked for, or for `auto` the fastest exact one for alignment, dtype, devices and number of directions.

    Raises:
        InputError: the engine cannot compute that alignment in that dtype, needs a compiler that is not there, or the
            whole model on one device.
    """
    chosen = _fastest(alignment, dtype, devices, directions) if engine == AUTO else engine
    if len(devices) > 1 and not ENGINES[chosen].on_several_devices:
        raise InputError(
            f"option --device-map: {chosen} needs the whole model on one device; leave it out, or give --engine jvp."
        )
    if engine == AUTO:
        return chosen
    spec = ENGINES[engine]
    if spec.alignment != alignment:
        raise InputError(
            f"option --engine: {engine} computes {spec.alignment} alignment only; give --alignment {spec.alignment}."
        )
    if spec.only_float32 and dtype != torch.float32:
        raise InputError(
            f"option --engine: {engine} needs float32, in {dtype} rounding drowns it; "
            "give --dtype float32 or --engine jvp."
        )
    if spec.packs_rows and (missing := missing_compiler(devices[0])):
        raise refusal(missing)
    return engine


def _fastest(alignment: Alignment, dtype: torch.dtype, devices: Sequence[str], directions: int) -> str:
    if alignment == "position":
        return "kronfluence"
    if dtype != torch.float32:
        return "compiled-jvp" if devices[0].startswith("cuda") and len(devices) == 1 else "jvp"
    return "finite-difference" if directions == 1 else "one-sided"


def build_engine(
    name: str, model: PreTrainedModel, directions: Sequence[Direction | Student], steps: Sequence[Step]
) -> Engine:
    """The engine `name`; `steps` (one a direction) matter to those that need a step only."""
    spec = ENGINES[name]
    relative = [[step.relative for step in steps]] if spec.needs_step else []
    engine: Engine = load(spec.home)(model, directions, *relative)
    return engine
