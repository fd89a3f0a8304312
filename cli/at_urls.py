"""Commands at URLs: they work in folders on disk, and what they print and save names the URLs."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, TextIO, cast, get_args

from pydantic.fields import FieldInfo

from ifcurate.config import Config, read_yaml
from ifcurate.credentials import has_credentials
from ifcurate.working import Folder, folder_of, is_url, named, work_at

_MARKS = get_args(Folder)[1:]


def begin(places: Iterable[Any]) -> list[str]:
    """Have this process work at those of `places` that are URLs, in folders that are not made yet.

    One with credentials is left to those who refuse it.

    Returns:
        The URLs, each once; in the place of one that lies in what was written to another, such as RUN/evaluation, that.

    Raises:
        InputError: one of them cannot be reached.
    """
    urls = [place for place in places if isinstance(place, str) and is_url(place) and not has_credentials(place)]
    if not urls:
        return []
    from ifcurate.storage.mirrored import root_of

    roots = list(dict.fromkeys(map(root_of, urls)))
    for root in roots:
        work_at(root)
    return roots


def folders_in(kind: type[Config], given: Mapping[str, Any], file: Path | None) -> Iterator[Any]:
    """What is given where settings of `kind` want a folder, on the command line or in a file of settings."""
    stored = {} if file is None else read_yaml(file)
    for name, field in kind.model_fields.items():
        value = given.get(name, stored.get(name))
        if _is_folder(field):
            yield from value if isinstance(value, list) else [value]


@contextmanager
def present(urls: Collection[str], written: Collection[str], command: str) -> Iterator[list[str]]:
    """While the block runs, the working folders of `urls` are what lies there.

    Args:
        urls: what `begin` returned.
        written: folders that the command writes; a URL with one of them is sent what changes.
        command: for those who are refused.

    Yields:
        Those of `written` that are of none of the URLs.

    Raises:
        InputError: see `ifcurate.storage.mirrored`.
    """
    if not urls:
        yield list(written)
        return
    from ifcurate.launch import is_first_process
    from ifcurate.storage.launches import announced, require_one_machine, wait_for
    from ifcurate.storage.mirrored import read_at, written_at

    left = [folder for folder in written if not any(_lies_in(folder, url) for url in urls)]
    with ExitStack() as stack:
        stack.enter_context(redirect_stdout(_naming(sys.stdout)))
        stack.enter_context(redirect_stderr(_naming(sys.stderr)))
        for url in urls:
            require_one_machine(url)
            if not is_first_process():
                wait_for(Path(folder_of(url)))
                continue
            is_written = any(_lies_in(folder, url) for folder in written)
            folder = stack.enter_context((written_at if is_written else read_at)(url, command))
            stack.enter_context(announced(folder))
        yield left


def _is_folder(field: FieldInfo) -> bool:
    marks = [*field.metadata]
    for kind in (field.annotation, *get_args(field.annotation)):
        marks += getattr(kind, "__metadata__", ())
    return all(mark in marks for mark in _MARKS)


def _lies_in(folder: str, url: str) -> bool:
    return Path(folder).is_relative_to(folder_of(url))


class _Naming:
    """A stream of text that names URLs in the place of their working folders."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(named(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _naming(stream: TextIO) -> TextIO:
    return cast(TextIO, _Naming(stream))
