"""Working folders: what a command writes to a URL is made in a folder on disk, and everything shown names the URL.

A setting that is a folder has the type `Folder`. Where it is given as a URL that this process works at, its value is
the working folder; saved settings, which travel, have the URL again.
"""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, PlainSerializer

PLACE = "IFCURATE_CACHE"
"""Environment variable: the folder that working folders lie in; default: `ifcurate` in the user's cache."""

_at: dict[str, Path] = {}
"""The URLs that this process works at, and their folders."""


def is_url(place: str) -> bool:
    """Whether `place` names something by a URL, or a chain of them."""
    return "://" in place or "::" in place


def cache() -> Path:
    """Where what is kept of URLs lies on this machine."""
    of_user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ifcurate"
    return Path(os.environ.get(PLACE) or of_user).absolute()


def work_at(url: str) -> Path:
    """The folder in which this process works for `url`, the same one every time."""
    url = url.rstrip("/")
    _at[url] = cache() / "urls" / sha256(url.encode()).hexdigest()[:20] / "folder"
    return _at[url]


def folder_of(place: str) -> str:
    """The folder on disk that `place` means, which is `place` itself unless this process works at a URL of it."""
    for url, folder in _at.items():
        if f"{place.rstrip('/')}/".startswith(f"{url}/"):
            return str(folder) + place.rstrip("/").removeprefix(url)
    return place


def named(text: str) -> str:
    """`text` with URLs in the place of their working folders."""
    for url, folder in _at.items():
        text = text.replace(str(folder), url)
    return text


def _on_disk(place: str) -> str:
    folder = folder_of(place)
    if is_url(folder):
        raise ValueError("must be a folder on disk, not a URL, of which the command line alone makes one")
    return folder


Folder = Annotated[str, AfterValidator(_on_disk), PlainSerializer(named, when_used="json")]
"""A folder that a command writes, or reads what it wrote from; see `ifcurate.cli.at_urls` for URLs."""
