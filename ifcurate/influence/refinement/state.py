"""Where a refinement stands: in memory, and in a file from which a stopped one goes on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ifcurate.files import finishing
from ifcurate.influence.refinement.vectors import Vector
from ifcurate.progress import log

METADATA_KEY = "ifcurate-refinement"


@dataclass(frozen=True)
class State:
    """After a step.

    Attributes:
        vectors: by what they are; `solution` is the direction so far.
        quadratics: one a step, and for methods that know it, one before the first.
        numbers: what else a method carries on.
        steps: that were made.
    """

    vectors: dict[str, Vector]
    quadratics: list[float]
    numbers: dict[str, float]
    steps: int = 0


def save_state(state: State, identity: str, path: Path) -> None:
    """Write a state whole or not at all; `identity` says of which system, method and text it is."""
    tensors = {
        f"{what}/{layer}": matrix.contiguous().cpu()
        for what, vector in state.vectors.items()
        for layer, matrix in vector.items()
    }
    facts = {
        "identity": identity,
        "quadratics": state.quadratics,
        "numbers": state.numbers,
        "steps": state.steps,
        "layers": list(state.vectors["solution"]),
    }
    with finishing(path) as part:
        save_file(tensors, part, metadata={METADATA_KEY: json.dumps(facts)})


def load_state(path: Path, identity: str, device: torch.device) -> State | None:
    """The state in `path`, or None where there is none, or one of something else, or a damaged one: then it says so."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt", device=str(device)) as stored:
            facts = json.loads((stored.metadata() or {})[METADATA_KEY])
            if facts["identity"] != identity:
                log.info(f"{path}: is of other settings, so the refinement begins anew")
                return None
            vectors: dict[str, Vector] = {
                # In the order in which they are summed, and copied: products may round otherwise in the file's memory.
                what: {layer: stored.get_tensor(f"{what}/{layer}").clone() for layer in facts["layers"]}
                for what in sorted({name.split("/", 1)[0] for name in stored.keys()})  # noqa: SIM118
            }
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        log.info(f"{path}: cannot be read ({error}), so the refinement begins anew")
        return None
    return State(vectors, facts["quadratics"], facts["numbers"], facts["steps"])
