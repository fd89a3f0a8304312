"""The direction v = H^-1 (g_behaviour - g_contrast) (IF-Guide, Eq. 6), an artifact of its own.

Whoever has a direction and its model can score any corpus: the influence of a token is the derivative of the
token's loss along v, and needs neither queries nor factors.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from transformers import PreTrainedModel

from ifcurate.artifacts import Artifact, BehaviourName, OpenArtifact, Sha256, read_artifact
from ifcurate.checksums import CHECKSUM, checked, is_whole
from ifcurate.errors import InputError
from ifcurate.files import finishing, sha256_of, write_text
from ifcurate.hub import CARD, downloaded, upload
from ifcurate.influence.direction_card import Found, direction_card
from ifcurate.model.layers import Coverage, tracked_parameters
from ifcurate.model.stored import Stored
from ifcurate.storage.fetched import at_hand
from ifcurate.version import __version__
from ifcurate.working import is_url

DIRECTION_FILE = "direction.safetensors"
"""In a folder or repository that holds one direction."""
METADATA_KEY = "ifcurate"
TENSORS_HASH = "tensors_hash"
REMEDY = "get it again from whoever made it, or make one with `ifcurate direct`"


class QueryFacts(OpenArtifact):
    """Which queries one side of a set was made of."""

    hash: str


class StoredFacts(Artifact):
    """How its model was stored, see `Stored`."""

    gguf_file: str | None = None
    dequantize: bool = False
    adapter: str | None = None


class TrackedFacts(Artifact):
    """How much of its model it is over, see `Coverage`."""

    tracked: int = Field(ge=0)
    total: int = Field(gt=0)
    left_out: dict[str, int]
    what: str = "the decoder blocks"


class Provenance(OpenArtifact):
    """What a direction's file says of itself; anybody may have written it."""

    behaviour: BehaviourName
    model: str | None = None
    tokenizer: str | None = None
    model_hash: Sha256
    tokenizer_hash: Sha256
    queries: list[dict[str, QueryFacts]] = Field(default_factory=list)
    stored: StoredFacts = Field(default_factory=StoredFacts)
    tracked: TrackedFacts | None = None


@dataclass(frozen=True)
class Direction:
    """One float32 tensor per tracked weight and bias, by parameter name, and where they come from.

    `provenance` names behaviour, model, tokenizer, queries and factors by hash.
    """

    tensors: Mapping[str, torch.Tensor]
    provenance: Mapping[str, Any]

    @property
    def behaviour(self) -> str:
        """The behaviour this direction makes likelier."""
        return str(self.provenance["behaviour"])

    @property
    def stored(self) -> Stored:
        """How its model was stored."""
        return Stored(**self.provenance.get("stored", {}))

    @classmethod
    def from_pretrained(cls, place: str | Path, revision: str | None = None) -> Direction:
        """The direction at `place`: a file, a folder that `save_pretrained` wrote, or ORG/NAME on the Hub.

        Raises:
            InputError: there is none, or it is damaged.
        """
        return load_direction(find_direction(str(place) if revision is None else f"{place}@{revision}"))

    def save_pretrained(
        self, folder: str | Path, repo: str | None = None, license: str | None = None, found: Sequence[Found] = ()
    ) -> None:
        """Write the direction and its card into `folder`; `repo` is what the card calls it.

        Raises:
            InputError: a value is NaN or infinite.
        """
        save_direction(self, Path(folder) / DIRECTION_FILE)
        write_text(Path(folder) / CARD, direction_card(repo or str(folder), self.provenance, license, found))

    def push_to_hub(self, repo: str, *, license: str, private: bool = True, found: Sequence[Found] = ()) -> str:
        """Upload the direction with its card to the model repository `repo`, and return its address.

        Raises:
            InputError: a value is NaN or infinite, or the Hub refuses.
        """
        with tempfile.TemporaryDirectory(prefix="ifcurate-") as folder:
            self.save_pretrained(folder, repo, license, found)
            return upload(Path(folder), repo, "model", private)

    def norm(self) -> float:
        """Euclidean norm over all tensors."""
        return float(torch.stack([tensor.double().norm() for tensor in self.tensors.values()]).norm())


def find_direction(place: str) -> Path:
    """The file of the direction at `place`: a file, or a folder that `save_pretrained` wrote, on disk or at a URL, or
    ORG/NAME[@REVISION] on the Hub.

    Raises:
        InputError: it is not here and cannot be downloaded.
    """
    on_disk = place.endswith(".safetensors") or is_url(place)
    found = Path(at_hand(place) if on_disk else downloaded(place, "model", DIRECTION_FILE))
    return found / DIRECTION_FILE if found.is_dir() else found


def save_direction(direction: Direction, path: Path) -> None:
    """Write a direction as safetensors, provenance as JSON in its metadata.

    Raises:
        InputError: a value is NaN or infinite.
    """
    for name, tensor in direction.tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise InputError(f"{path}: the direction has NaN or infinite values in {name}; raise --damping.")
    tensors = {name: tensor.to("cpu", torch.float32).contiguous() for name, tensor in direction.tensors.items()}
    said = {"version": __version__, **direction.provenance, TENSORS_HASH: hash_tensors(tensors)}
    metadata = {METADATA_KEY: json.dumps(checked(said), sort_keys=True)}
    with finishing(path) as part:
        save_file(tensors, part, metadata=metadata)


def load_direction(path: Path) -> Direction:
    """Read a direction.

    Raises:
        InputError: the file is missing, damaged, or not a direction.
    """
    with _opened(path) as stored:
        provenance = _provenance(stored.metadata() or {}, path)
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    if provenance[TENSORS_HASH] != hash_tensors(tensors):
        raise _damaged(path)
    return Direction(tensors, {name: v for name, v in provenance.items() if name not in (TENSORS_HASH, CHECKSUM)})


def coverage_of(path: Path) -> Coverage | None:
    """How much of its model a direction is over; None where its file does not say, as those of old do not.

    Raises:
        InputError: as `load_direction`.
    """
    with _opened(path) as stored:
        said = _provenance(stored.metadata() or {}, path).get("tracked")
    return None if said is None else Coverage(**said)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as stored:
            yield stored
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read as a direction ({error}); give a .safetensors file.") from error


def _provenance(metadata: Mapping[str, str], path: Path) -> dict[str, Any]:
    if METADATA_KEY not in metadata:
        raise InputError(
            f"{path}: lacks `{METADATA_KEY}` metadata, so it is no direction; make one with `ifcurate direct`."
        )
    provenance = read_artifact(Provenance, metadata[METADATA_KEY], path, REMEDY).model_dump(exclude_unset=True)
    if not is_whole(json.loads(metadata[METADATA_KEY])):
        raise _damaged(path)
    return provenance


def _damaged(path: Path) -> InputError:
    return InputError(f"{path}: is not what was written, it was damaged since; {REMEDY}.")


def hash_tensors(tensors: Mapping[str, torch.Tensor]) -> str:
    """Hex SHA-256 of names, shapes and values."""
    digest = sha256()
    for name in sorted(tensors):
        digest.update(json.dumps([name, str(tensors[name].dtype), list(tensors[name].shape)]).encode())
        digest.update(tensors[name].numpy().tobytes())
    return digest.hexdigest()


def hash_direction(path: Path) -> str:
    """Hex SHA-256 of a direction's file."""
    return sha256_of(path)


def check_direction(direction: Direction, model: PreTrainedModel, model_hash: str, tokenizer_hash: str) -> None:
    """Refuse a direction that was made for other weights or another tokenizer.

    Raises:
        InputError: names what differs.
    """
    for what, found in (("model", model_hash), ("tokenizer", tokenizer_hash)):
        expected = direction.provenance.get(f"{what}_hash")
        if expected != found:
            raise InputError(
                f"option --direction: was made with another {what} ({direction.provenance.get(what)!r}, hash "
                f"{str(expected)[:12]}, here {found[:12]}); give the {what} it was made with."
            )
    shapes = {name: parameter.shape for name, parameter in tracked_parameters(model).items()}
    if shapes != {name: tensor.shape for name, tensor in direction.tensors.items()}:
        raise InputError("option --direction: its tensors are not those of the model's linear layers; make it anew.")
