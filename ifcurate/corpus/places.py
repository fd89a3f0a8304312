"""Where a corpus is, which part of it is meant, and the shards that this makes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ifcurate.corpus.data_sets import data_set_files, is_data_set_id
from ifcurate.corpus.shards import Listing, first_documents, list_corpus


@dataclass(frozen=True)
class Part:
    """Which documents of a place.

    Attributes:
        limit: how many, from the first; None for all.
        subset: the configuration of a data set; None where there is one only.
        split: of a data set; None for the only one, or `train`.
    """

    limit: int | None = None
    subset: str | None = None
    split: str | None = None


WHOLE = Part()


def list_place(source: str, part: Part = WHOLE) -> Listing:
    """The shards of a corpus.

    Args:
        source: as `list_corpus` takes it, or a data set as `data_set_files` takes it.
        part: which of its documents; the last shard may be cut.

    Raises:
        InputError: there is no such corpus or part; or a shard cannot be opened, where documents have to be counted.
    """
    if part.subset is None and part.split is None and not is_data_set_id(source):
        listing = list_corpus(source)
    else:
        found = data_set_files(source, part.subset, part.split)
        others = f" (not {', '.join(found.others)})" if found.others else ""
        listing = Listing(found.shards, split=f"{found.split} of {source}{others}")
    if part.limit is None:
        return listing
    return replace(listing, shards=first_documents(listing.shards, part.limit), limit=part.limit)
