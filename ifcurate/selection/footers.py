"""What a sidecar of scores says of itself, in its footer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pyarrow.parquet as pq
from pydantic import Field

from ifcurate.artifacts import BehaviourName, OpenArtifact, Sha256, read_artifact
from ifcurate.checksums import CHECKSUM, is_whole
from ifcurate.corpus.parquet import metadata_of_file
from ifcurate.corpus.settings import On
from ifcurate.corpus.sources import reading
from ifcurate.errors import InputError
from ifcurate.influence.approximate import APPROXIMATE
from ifcurate.influence.column_names import METHOD
from ifcurate.selection.screened import ScreenedFacts

HISTOGRAMS = "histograms"
"""Key of a sidecar's metadata: behaviour name -> `Histogram.to_text()`."""
DIRECTIONS = "directions"
"""Key of a sidecar's metadata: behaviour name -> hash of its direction, and the error measured for its step."""
SHARD = "shard"
"""Key of a sidecar's metadata: `ShardFacts`."""
ON = "on"
"""Key of a sidecar's metadata: whose messages carry a loss; null where documents are texts."""
SCORES = "scores"
"""Key of a sidecar's metadata: hash of every influence in it."""

REMEDY = "delete this file and score its shard again"


class DirectionFacts(OpenArtifact):
    """Which direction one behaviour's scores are along, and the error measured for its step.

    Where a student said them, `approximate` is there, and `correlation`, `overlap` and `share` tell how near they come,
    see `StudentFacts`. Where another annotator than influence marked, there is no direction.
    """

    direction_hash: Sha256 | None
    relative_error: float | None

    @property
    def is_approximate(self) -> bool:
        """Whether a student said the scores."""
        return bool((self.model_extra or {}).get(APPROXIMATE))


class ShardFacts(OpenArtifact):
    """The shard that was scored: bytes, rows, hash of its texts (`TextHash`), and rows without a text, skipped."""

    size: int
    rows: int
    texts: Sha256
    skipped: int


class SidecarMetadata(OpenArtifact):
    """What a sidecar says of itself, under the keys `HISTOGRAMS`, `DIRECTIONS` and `SHARD` and further ones."""

    shard: ShardFacts | None = None
    screened: ScreenedFacts | None = None
    scores: Sha256 | None = None
    on: On | None = None
    overlap: int = 0

    histograms: dict[BehaviourName, str] = Field(default_factory=dict)
    directions: dict[BehaviourName, DirectionFacts] = Field(default_factory=dict)

    @property
    def method(self) -> str | None:
        """What the scores are, where they are no influence."""
        return (self.model_extra or {}).get(METHOD)


def read_sidecar_metadata(footer: pq.FileMetaData, path: Path) -> SidecarMetadata:
    """The metadata in a sidecar's footer.

    Raises:
        InputError: it is damaged.
    """
    said = metadata_of_file(footer, path)
    if (CHECKSUM in said or SHARD in said) and not is_whole(said):
        raise InputError(f"{path}: is not what was written, it was damaged since; {REMEDY}.")
    return read_artifact(SidecarMetadata, said, path, REMEDY)


def sidecar_metadata(path: Path) -> SidecarMetadata:
    """What the sidecar at `path` says of itself.

    Raises:
        InputError: it is missing, cannot be read or is damaged.
    """
    require_file(path)
    with reading(str(path), "scores"):
        footer = pq.read_metadata(path)
    return read_sidecar_metadata(footer, path)


def hash_sidecars(sidecars: Sequence[tuple[str, Path]]) -> str:
    """Hex SHA-256 of what all sidecars of a corpus say of themselves: scores, texts and how they were made.

    Raises:
        InputError: one is missing or cannot be read.
    """
    digest = sha256()
    for name, path in sorted(sidecars):
        require_file(path)
        with reading(str(path), "scores"):
            footer = pq.read_metadata(path)
        read_sidecar_metadata(footer, path)
        said = json.dumps([name, footer.num_rows, metadata_of_file(footer, path)], sort_keys=True)
        digest.update(said.encode() + b"\n")
    return digest.hexdigest()


def require_file(path: Path) -> None:
    """Refuse a score file that is not there."""
    if not path.is_file():
        raise InputError(f"{path}: this score file is missing; score its shard again.")
