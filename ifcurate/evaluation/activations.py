"""Where inside a model a behaviour shows: what the hidden states behind its decoder blocks have in common.

For every block the mean state at which completions of the behaviour are predicted, less the mean at which completions
of its contrast are. Half of the queries make these differences, the other half says how well they tell the two apart.
Added to the states while a model writes (`steering.py`), they make it do more of the behaviour, or less.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from transformers import PreTrainedModel

from ifcurate.artifacts import BehaviourName, OpenArtifact, Sha256, read_artifact
from ifcurate.checksums import CHECKSUM, checked, is_whole
from ifcurate.errors import InputError
from ifcurate.evaluation.auc import auc_interval
from ifcurate.evaluation.bootstrap import Interval
from ifcurate.files import finishing
from ifcurate.influence.direction import hash_tensors
from ifcurate.influence.query_gradient import QueryWindow, collate_queries
from ifcurate.model.layers import decoder_blocks
from ifcurate.model.token_loss import Body, split
from ifcurate.model.windows import bucket_by_length
from ifcurate.progress import track
from ifcurate.version import __version__

ACTIVATIONS_FILE = "activations.safetensors"
DIFFERENCES, METADATA_KEY = "differences", "ifcurate"
_REMEDY = "make it again with `ifcurate eval activations`"


class ActivationFacts(OpenArtifact):
    """What a file of activations says of itself.

    Attributes:
        behaviour: what it is of.
        model: folder or Hub id.
        model_hash: of its weights.
        queries: those that the differences are made of; `contrast` those of the contrast.
        separation: of each block, the AUC on the other queries: how often one of the behaviour lies further along the
            difference than one of the contrast.
    """

    behaviour: BehaviourName
    model: str
    model_hash: Sha256
    queries: int = Field(ge=1)
    contrast: int = Field(ge=1)
    separation: list[Interval]
    weights_hash: Sha256


@dataclass(frozen=True)
class Activations:
    """float32 [blocks, width], and what is known of them."""

    differences: torch.Tensor
    facts: ActivationFacts

    @property
    def clearest(self) -> int:
        """The block that tells best; of equals the first."""
        return int(np.argmax([block.value for block in self.facts.separation]))


@dataclass(frozen=True)
class QueryStates:
    """Runs a model over query windows and gives the mean hidden state of each query behind every block."""

    model: PreTrainedModel
    start: int
    batch_tokens: int

    def batches(self, windows: Sequence[QueryWindow], stage: str) -> Iterator[tuple[list[int], torch.Tensor]]:
        """Queries by number, and float32 [queries, blocks, width]: the mean over positions that predict a completion.

        A query that is split into windows counts with each of them.
        """
        body, _ = split(self.model)
        blocks = decoder_blocks(self.model)[1]
        with track(stage, len(windows), "queries") as tracker:
            done = 0
            for group in bucket_by_length([len(query.window) for query in windows], self.batch_tokens):
                chosen = [windows[index] for index in group]
                yield [query.window.document for query in chosen], self._states(body, blocks, chosen)
                done += len(group)
                tracker.update(done, done)

    @torch.inference_mode()
    def _states(self, body: Body, blocks: torch.nn.ModuleList, queries: Sequence[QueryWindow]) -> torch.Tensor:
        batch = collate_queries(queries, self.start).to(str(self.model.device))
        seen: list[torch.Tensor] = []
        hooks = [block.register_forward_hook(lambda *call: seen.append(block_state(call[2]))) for block in blocks]
        try:
            body(batch.input_ids)
        finally:
            for hook in hooks:
                hook.remove()
        weight = batch.mask.float() / batch.mask.sum(1, keepdim=True)
        states = [torch.einsum("rpw,rp->rw", state.float(), weight.to(state.device)).cpu() for state in seen]
        found = torch.stack(states, 1)
        if not torch.isfinite(found).all():
            raise InputError(f"{self.model.name_or_path}: the model emits NaN or Inf; check its weights.")
        return found


def measure_differences(
    states: QueryStates, behaviour: Sequence[QueryWindow], contrast: Sequence[QueryWindow], seed: int
) -> tuple[torch.Tensor, list[Interval]]:
    """The differences, float32 [blocks, width], of queries of even number, and their separation of the others.

    Raises:
        InputError: a side has fewer than two queries, or the model emits NaN.
    """
    sides = [[_half(side, part) for part in (0, 1)] for side in (behaviour, contrast)]
    if not all(half for side in sides for half in side):
        raise InputError("options --queries and --contrast: each needs two queries at least; give more.")
    means = [_mean(states, made) for made, _ in sides]
    differences = means[0] - means[1]
    along = [_projected(states, told, differences) for _, told in sides]
    positive = np.repeat([True, False], [len(side) for side in along])
    joined = np.concatenate(along)
    return differences, [auc_interval(column, positive, seed) for column in joined.T]


def save_activations(differences: torch.Tensor, facts: dict[str, Any], path: Path) -> Activations:
    """Write them with what is known of them."""
    tensors = {DIFFERENCES: differences.contiguous()}
    said = checked({**facts, "weights_hash": hash_tensors(tensors), "version": __version__})
    with finishing(path) as part:
        save_file(tensors, part, {METADATA_KEY: json.dumps(said)})
    return load_activations(path)


def load_activations(place: Path) -> Activations:
    """What `save_activations` wrote: a file, or a folder with one.

    Raises:
        InputError: there is none, or it is damaged.
    """
    path = place / ACTIVATIONS_FILE if place.is_dir() else place
    try:
        with safe_open(path, framework="pt") as file:
            said, tensors = file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        described = json.loads(said[METADATA_KEY])
        differences = tensors[DIFFERENCES]
    except FileNotFoundError as error:
        raise InputError(f"{path}: holds no activations, there is no such file; {_REMEDY}.") from error
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise InputError(f"{path}: holds no activations, or is damaged; {_REMEDY}.") from error
    if not is_whole(described) or described.get("weights_hash") != hash_tensors(tensors):
        raise InputError(f"{path}: is not what was written, it was damaged since; {_REMEDY}.")
    del described[CHECKSUM]
    facts = read_artifact(ActivationFacts, json.dumps(described).encode(), path, _REMEDY)
    return Activations(differences, facts)


def block_state(output: Any) -> torch.Tensor:
    """The hidden states that a decoder block returns, alone or first of several."""
    state: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return state


def _half(windows: Sequence[QueryWindow], part: int) -> list[QueryWindow]:
    return [query for query in windows if query.window.document % 2 == part]


def _mean(states: QueryStates, windows: Sequence[QueryWindow]) -> torch.Tensor:
    total, count = torch.zeros(()), 0
    for numbers, found in states.batches(windows, "activations"):
        total, count = total + found.double().sum(0), count + len(numbers)
    return (total / count).float()


def _projected(states: QueryStates, windows: Sequence[QueryWindow], differences: torch.Tensor) -> NDArray[np.float64]:
    """float64 [windows, blocks]: how far along the differences each lies, in the order of the windows' queries."""
    numbers, along = [], []
    for some, found in states.batches(windows, "separation"):
        numbers += some
        along.append(torch.einsum("qbw,bw->qb", found.double(), differences.double()).numpy())
    return np.concatenate(along)[np.argsort(numbers, kind="stable")]
