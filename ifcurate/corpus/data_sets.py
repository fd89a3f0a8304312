"""Data sets as `datasets` knows them: an id on the Hugging Face Hub or a folder with a card, a subset and a split.

`datasets` says which files make a split, by the card or by their names; they are read where they are, as any shard.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fsspec.core import url_to_fs

from ifcurate.corpus.formats import FORMATS
from ifcurate.corpus.shards import Shard, shard_of
from ifcurate.errors import InputError, first_line

USUAL_SPLIT = "train"
_ID = re.compile(r"(?P<id>[\w-][\w.-]*/[\w.-]+)(@(?P<revision>[\w./-]+))?")


class DataSetFiles(NamedTuple):
    """The shards of a split, and which split of which others it is."""

    shards: list[Shard]
    split: str
    others: list[str]


def is_data_set_id(source: str) -> bool:
    """Whether `source` is written as an id on the Hub, `OWNER/NAME[@REVISION]`, and nothing here has that name."""
    return bool(_ID.fullmatch(source)) and not source.endswith(tuple(FORMATS)) and not Path(source).exists()


def data_set_files(source: str, subset: str | None, split: str | None) -> DataSetFiles:
    """The files of one split; of a revision on the Hub that is looked up once, so that all are of the same.

    Args:
        source: see `is_data_set_id`; or a folder on disk.
        subset: its configuration, where there are several.
        split: default: the only one, or `train`.

    Raises:
        InputError: there is no such data set, subset or split, it cannot be read, or its files are of other formats.
    """
    root = _place(source)
    try:
        places = _data_files(*root.builder_arguments(source), subset)
    except Exception as error:  # datasets and the Hub's client raise many unrelated types here
        raise InputError(f"{source}: {_reason(error, subset)}.") from error
    name = split or (USUAL_SPLIT if USUAL_SPLIT in places else next(iter(places)))
    if name not in places or (split is None and len(places) > 1 and name != USUAL_SPLIT):
        raise InputError(f"option --split: {source} has the splits {', '.join(places)}; name one of them.")
    shards = [_shard(source, root.address, url) for url in places[name]]
    return DataSetFiles(sorted(shards), name, [other for other in places if other != name])


class _Root(NamedTuple):
    """Where the files of a data set are, and its revision where it has one."""

    address: str
    revision: str | None

    def builder_arguments(self, source: str) -> tuple[str, str | None]:
        return source.partition("@")[0] if self.revision else source, self.revision


def _place(source: str) -> _Root:
    """A folder, or the newest commit of what the id names.

    Raises:
        InputError: there is neither.
    """
    if Path(source).is_dir():
        return _Root(str(Path(source).resolve()), None)
    found = _ID.fullmatch(source)
    if found is None:
        raise InputError(
            f"options --subset and --split: {source} is no data set with parts; give the id of one, or leave them out."
        )
    from huggingface_hub import HfApi

    try:
        sha = HfApi().dataset_info(found["id"], revision=found["revision"]).sha
    except Exception as error:  # as above
        raise InputError(
            f"{source}: there is no such file or folder here, and no data set of this id can be read on the Hub "
            f"({first_line(error)}); give a file, a folder, a glob or an id."
        ) from error
    return _Root(f"hf://datasets/{found['id']}@{sha}", str(sha))


def _data_files(source: str, revision: str | None, subset: str | None) -> Mapping[str, Sequence[str]]:
    from datasets import load_dataset_builder

    found = load_dataset_builder(source, subset, revision=revision).config.data_files
    if not found:
        raise ValueError("it has no files of its own")
    return {str(split): [str(url) for url in urls] for split, urls in found.items()}


def _reason(error: Exception, subset: str | None) -> str:
    """What `datasets` says, with what to do about a subset."""
    said = " ".join(line.strip() for line in str(error).splitlines()[:2]).rstrip(".")
    advice = "; name a subset with --subset" if subset is None else "; correct --subset"
    return f"cannot be read as a data set ({said or type(error).__name__}){advice if 'onfig' in said else ''}"


def _shard(source: str, root: str, url: str) -> Shard:
    relative = url.removeprefix(root).lstrip("/")
    filesystem, path = url_to_fs(url)
    info: dict[str, Any] = filesystem.info(path)
    shard = shard_of(filesystem, relative, info)
    if shard is None:
        raise InputError(
            f"{source}: its file {relative} is of another format than {', '.join(FORMATS)}; the Hub has most data sets "
            "as Parquet too: give hf://datasets/OWNER/NAME@~parquet/SUBSET/SPLIT."
        )
    return shard
