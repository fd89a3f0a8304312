"""What lies at a URL: the files of a folder that was sent there, as they were at one moment."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, Field

from ifcurate.artifacts import Artifact, Sha256, read_artifact

CONTROL = ".ifcurate"
"""Folder at the URL for what is none of the files; no corpus has files below such a name."""
MANIFEST = f"{CONTROL}/manifest.json"
REMEDY = "delete what is at the URL and begin anew, or give another URL"


def _inside(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or name != str(path) or path.parts[:1] in ((), (CONTROL,)):
        raise ValueError(f"{name!r} is no name of a file in a folder")
    return name


Name = Annotated[str, AfterValidator(_inside)]
"""Of a file: its path below the folder, with slashes. It comes from a URL, and must not lead out of the folder."""


class Sent(Artifact):
    """A file that was sent: bytes, their hash, and when it was changed, in nanoseconds of the epoch."""

    size: int = Field(ge=0)
    sha256: Sha256
    changed: int


class Manifest(Artifact):
    """The files of a folder at one moment, and names that may be at the URL but are none of them.

    Such a name is being written, and was not before, or is being deleted; whoever goes on deletes it.
    """

    files: dict[Name, Sent] = Field(default_factory=dict)
    doomed: list[Name] = Field(default_factory=list)

    @classmethod
    def read(cls, content: bytes | None, where: str) -> Manifest:
        """What `encoded` gave; of a URL without a manifest, that of an empty folder.

        Raises:
            InputError: it is damaged.
        """
        return cls() if content is None else read_artifact(cls, content, where, REMEDY)

    def encoded(self) -> bytes:
        """As it is stored; two are the same if and only if this is."""
        return self.model_dump_json().encode()
