"""What a study keeps of a piece that is made: from which settings, how long it took, and who judged it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from ifcurate.artifacts import read_artifact
from ifcurate.files import write_text
from ifcurate.studies.pieces import Kind, Piece

RECORDS = "pieces"


@dataclass(frozen=True)
class JudgedBy:
    """A judge as it was asked, and the name of its column in the file of completions."""

    classifier: str
    label: str | None
    column: str


@dataclass(frozen=True)
class Record:
    """A piece that is made.

    Attributes:
        kind: of the piece.
        name: of the piece.
        settings: what the study said of it.
        seconds: that it took, by the process that ended it.
        likeness: equal to that of pieces that take as long, see `ifcurate.studies.costs`.
        whole: whether that process began it too, so that its seconds are those of all of it.
        judged: by the judges' names in the study; of completions without any text, nobody.
        silent: whether no completion has any text.
    """

    kind: Kind
    name: str
    settings: dict[str, Any]
    likeness: str
    whole: bool
    seconds: float = 0.0
    judged: dict[str, JudgedBy] = field(default_factory=dict)
    silent: bool = False


_FORMAT = TypeAdapter(Record)


def record_file(piece: Piece, root: Path) -> Path:
    """Where the record of `piece` is, below the study's folder."""
    return root / RECORDS / f"{piece.place}.json"


def read_record(piece: Piece, root: Path) -> Record | None:
    """The record of `piece`; None while it is not made.

    Raises:
        InputError: the file is damaged.
    """
    file = record_file(piece, root)
    if not file.is_file():
        return None
    return read_artifact(Record, file.read_bytes(), file, "delete it to look at the piece again")


def read_records(root: Path) -> list[Record]:
    """Of all pieces that were ever made below `root`.

    Raises:
        InputError: a file is damaged.
    """
    remedy = "delete it to look at the piece again"
    files = sorted((root / RECORDS).glob("*/*.json"))
    return [read_artifact(Record, file.read_bytes(), file, remedy) for file in files]


def write_record(piece: Piece, record: Record, root: Path) -> None:
    """Keep `record`, whole or not at all."""
    write_text(record_file(piece, root), _FORMAT.dump_json(record, indent=2).decode() + "\n")
