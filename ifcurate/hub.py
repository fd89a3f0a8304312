"""The Hugging Face Hub: what is named there, found on this machine; and folders that are uploaded to it.

An upload that was killed goes on when it is called again: files are committed a few at a time, those that the Hub has
are not sent again, and the card comes last, so that no card speaks of files that are not there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ifcurate.errors import InputError, first_line
from ifcurate.files import sha256_of
from ifcurate.progress import counting, track

if TYPE_CHECKING:
    from huggingface_hub import HfApi

Kind = Literal["model", "dataset"]

CARD = "README.md"
FILES_A_COMMIT = 20
BYTES_A_COMMIT = 2_000_000_000
"""A commit ends with the file that takes it to either."""

_ID = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")


def downloaded(place: str, kind: Kind, pattern: str) -> str:
    """The folder with the files of `place`, written `ORG/NAME[@REVISION]`, that match `pattern`; `place` itself where
    that is something on disk, or no such name.

    Files are downloaded once, and again when they change.

    Raises:
        InputError: they cannot be downloaded.
    """
    found = _ID.fullmatch(place)
    if found is None or Path(place).exists():
        return place
    from huggingface_hub import snapshot_download

    try:
        return str(snapshot_download(found[1], repo_type=kind, revision=found[2], allow_patterns=pattern))
    except Exception as error:  # the Hub client raises many unrelated types here
        raise InputError(
            f"{place}: is no file or folder here and cannot be loaded from the Hub ({first_line(error)}); give a path, "
            f"or ORG/NAME or ORG/NAME@REVISION of a {kind} repository."
        ) from error


def upload(folder: Path, repo: str, kind: Kind, private: bool, owned: Sequence[str] = ()) -> str:
    """Upload every file of `folder` but hidden ones to `repo`, which is made if need be, and return its address.

    Args:
        folder: with a card, `README.md`; nobody changes it meanwhile.
        repo: ORG/NAME.
        kind: of the repository.
        private: a new repository is private, and one that is public is refused.
        owned: folders of the repository whose other files are deleted when all is there.

    Raises:
        InputError: the Hub cannot be reached or refuses, the card is not valid there, or the repository is public.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    api = HfApi()
    files = {
        file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*")) if _is_visible(folder, file)
    }
    with _refusals(repo):
        _require_valid_card(api, files[CARD].read_text(encoding="utf-8"), kind)
        _require_repository(api, repo, kind, private)
        there = _files_of(api, repo, kind)
        stale = [name for name in there if name.split("/")[0] in owned and name not in files]
        missing = [name for name, file in files.items() if not _is_same(file, there.get(name))]
        with track("upload", sum(files[name].stat().st_size for name in missing), "bytes") as tracker:
            count = counting(tracker)
            for names in _commits([name for name in missing if name != CARD], files):
                added = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=str(files[name])) for name in names]
                api.create_commit(repo, added, commit_message=f"Upload {names[0]}", repo_type=kind)
                count(sum(files[name].stat().st_size for name in names))
        last: list[Any] = [CommitOperationDelete(path_in_repo=name) for name in stale]
        if CARD in missing:
            last.append(CommitOperationAdd(path_in_repo=CARD, path_or_fileobj=str(files[CARD])))
        if last:
            api.create_commit(repo, last, commit_message=f"Upload {CARD}", repo_type=kind)
    return f"{api.endpoint}/{'datasets/' if kind == 'dataset' else ''}{repo}"


def _is_visible(folder: Path, file: Path) -> bool:
    return file.is_file() and not any(part.startswith(".") for part in file.relative_to(folder).parts)


def _require_valid_card(api: HfApi, content: str, kind: Kind) -> None:
    """Ask the Hub whether it takes a card; `RepoCard.validate` of older clients asks another Hub than `HF_ENDPOINT`.

    Raises:
        ValueError: it does not; says what the Hub says.
    """
    from huggingface_hub.utils import get_session

    asked = {"repoType": kind, "content": content}
    answer = get_session().post(f"{api.endpoint}/api/validate-yaml", json=asked)
    if answer.status_code >= 400:
        raise ValueError(f"its card is refused: {answer.text}")


def _require_repository(api: HfApi, repo: str, kind: Kind, private: bool) -> None:
    """Make the repository unless it is there.

    Raises:
        InputError: it is there, and public where it should be private.
    """
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        info = api.repo_info(repo, repo_type=kind)
    except RepositoryNotFoundError:
        api.create_repo(repo, repo_type=kind, private=private, exist_ok=True)
        return
    if private and not info.private:
        raise InputError(f"option --repo: {repo} is public already; give --public, or another one.")


def _files_of(api: HfApi, repo: str, kind: Kind) -> dict[str, Any]:
    """Path of each file in the repository -> what the Hub says of it."""
    from huggingface_hub.hf_api import RepoFile

    tree = api.list_repo_tree(repo, recursive=True, repo_type=kind)
    return {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}


def _is_same(file: Path, there: Any) -> bool:
    """Whether the Hub has `file`; large ones are known by their SHA-256, others by git's hash."""
    if there is None or there.size != file.stat().st_size:
        return False
    if there.lfs is not None:
        return bool(there.lfs.sha256 == sha256_of(file))
    content = file.read_bytes()
    return bool(there.blob_id == hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest())


def _commits(names: Sequence[str], files: dict[str, Path]) -> Iterator[list[str]]:
    pending: list[str] = []
    size = 0
    for name in names:
        pending.append(name)
        size += files[name].stat().st_size
        if len(pending) == FILES_A_COMMIT or size >= BYTES_A_COMMIT:
            yield pending
            pending, size = [], 0
    if pending:
        yield pending


@contextmanager
def _refusals(repo: str) -> Iterator[None]:
    """Turn whatever goes wrong with the Hub into one sentence.

    Raises:
        InputError: names the repository and the reason.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # the Hub client raises many unrelated types here
        raise InputError(
            f"{repo}: cannot be uploaded to the Hub ({first_line(error)}); put that right (`hf auth login` says who you"
            " are) and run the same command again: it goes on where it stopped."
        ) from error
