"""Where a student's learning stands, in a file from which a stopped one goes on to the same weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ifcurate.files import finishing
from ifcurate.influence.direction import hash_tensors
from ifcurate.progress import log

METADATA_KEY = "ifcurate-distilling"
WEIGHT, MEAN, SQUARE = "weight", "mean", "square"


@dataclass(frozen=True)
class State:
    """After `step` steps: weights by name, and Adam's two moments of each that has any.

    `step_of_epoch` of these were in the present `epoch`.
    """

    weights: dict[str, torch.Tensor]
    moments: dict[str, tuple[torch.Tensor, torch.Tensor]]
    step: int
    epoch: int
    step_of_epoch: int


def save_state(state: State, identity: str, path: Path) -> None:
    """Write a state whole or not at all; `identity` says what is learnt by what."""
    tensors = {f"{WEIGHT}/{name}": tensor.detach() for name, tensor in state.weights.items()}
    for name, (mean, square) in state.moments.items():
        tensors |= {f"{MEAN}/{name}": mean, f"{SQUARE}/{name}": square}
    held = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    facts = {
        "identity": identity,
        "step": state.step,
        "epoch": state.epoch,
        "step_of_epoch": state.step_of_epoch,
        "hash": hash_tensors(held),
    }
    with finishing(path) as part:
        save_file(held, part, metadata={METADATA_KEY: json.dumps(facts)})


def load_state(path: Path, identity: str) -> State | None:
    """The state in `path`, or None where there is none, or one of something else, or a damaged one: then it says so."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as stored:
            facts = json.loads((stored.metadata() or {})[METADATA_KEY])
            tensors = {name: stored.get_tensor(name).clone() for name in stored.keys()}  # noqa: SIM118
        if facts["identity"] != identity or facts["hash"] != hash_tensors(tensors):
            log.info(f"{path}: is of other settings or damaged, so learning begins anew")
            return None
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        log.info(f"{path}: cannot be read ({error}), so learning begins anew")
        return None
    of_kind: dict[str, dict[str, torch.Tensor]] = {WEIGHT: {}, MEAN: {}, SQUARE: {}}
    for name, tensor in tensors.items():
        kind, _, parameter = name.partition("/")
        of_kind[kind][parameter] = tensor
    moments = {name: (mean, of_kind[SQUARE][name]) for name, mean in of_kind[MEAN].items()}
    return State(of_kind[WEIGHT], moments, facts["step"], facts["epoch"], facts["step_of_epoch"])
