"""A screen, an artifact of its own: which documents are worth an exact score, by a linear function of cheap features.

Whoever has it can put the documents of any corpus in order. It is one file of safetensors, with its provenance.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ifcurate.artifacts import BehaviourName, OpenArtifact, Sha256, read_artifact
from ifcurate.checksums import checked, is_whole
from ifcurate.errors import InputError
from ifcurate.files import finishing, sha256_of
from ifcurate.registry import OneOf
from ifcurate.screening.curve import Curve
from ifcurate.screening.features import Features, Linear, kind_of
from ifcurate.screening.kinds import FEATURES
from ifcurate.version import __version__

METADATA_KEY = "ifcurate"
WEIGHTS, INTERCEPT = "weights", "intercept"
_REMEDY = "get it again from whoever made it, or make one with `ifcurate screen`"


class ScreenFacts(OpenArtifact):
    """What a screen's file says of itself: its kind and what that needs to know, and what it was learnt from."""

    kind: Annotated[str, OneOf(FEATURES)]
    features: dict[str, Any]
    behaviour: BehaviourName
    curve: Curve = Field(min_length=1)
    weights_hash: Sha256


@dataclass(frozen=True)
class Screen:
    """Features, the linear function of them, and `provenance`, of which `ScreenFacts` tells what is always there."""

    features: Features
    linear: Linear
    provenance: dict[str, Any]

    @property
    def curve(self) -> Curve:
        """Recall against share, of documents that it was not learnt from."""
        return [(float(share), float(recall)) for share, recall in self.provenance["curve"]]

    def of(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 [texts]: the higher, the more of a text is likely to be selected."""
        return self.linear.of(self.features.of(texts))


def save_screen(kind: str, features: Features, linear: Linear, said: dict[str, Any], path: Path) -> None:
    """Write a screen; `said` is its behaviour, its curve and all else about what it was learnt from.

    Raises:
        InputError: a weight is NaN or infinite.
    """
    intercept: NDArray[Any] = np.array([linear.intercept], np.float64)
    tensors: dict[str, NDArray[Any]] = {WEIGHTS: linear.weights.astype(np.float32), INTERCEPT: intercept}
    if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
        raise InputError(f"{path}: the screen has NaN or infinite weights; learn it from other scores.")
    facts = {"version": __version__, "kind": kind, "features": dataclasses.asdict(features), **said}  # type: ignore[call-overload]
    facts["weights_hash"] = _hash(tensors)
    with finishing(path) as part:
        save_file(tensors, part, metadata={METADATA_KEY: json.dumps(checked(facts), sort_keys=True)})


def load_screen(path: Path) -> Screen:
    """Read a screen.

    Raises:
        InputError: the file is missing, damaged, or no screen.
    """
    try:
        with safe_open(path, framework="numpy") as stored:
            metadata = stored.metadata() or {}
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read as a screen ({error}); give a file of `ifcurate screen`.") from error
    if METADATA_KEY not in metadata or set(tensors) != {WEIGHTS, INTERCEPT}:
        raise InputError(f"{path}: is no screen; make one with `ifcurate screen`.")
    facts = read_artifact(ScreenFacts, metadata[METADATA_KEY], path, _REMEDY)
    if not is_whole(json.loads(metadata[METADATA_KEY])) or facts.weights_hash != _hash(tensors):
        raise InputError(f"{path}: is not what was written, it was damaged since; {_REMEDY}.")
    features = read_artifact(kind_of(facts.kind), facts.features, path, _REMEDY)
    return Screen(features, Linear(tensors[WEIGHTS], float(tensors[INTERCEPT][0])), facts.model_dump())


def hash_screen(path: Path) -> str:
    """Hex SHA-256 of a screen's file."""
    return sha256_of(path)


def _hash(tensors: dict[str, NDArray[Any]]) -> str:
    digest = sha256()
    for name in sorted(tensors):
        digest.update(json.dumps([name, str(tensors[name].dtype), list(tensors[name].shape)]).encode())
        digest.update(tensors[name].tobytes())
    return digest.hexdigest()
