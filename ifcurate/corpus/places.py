"""Where a corpus is, which part of it is meant, and the shards that this makes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ifcurate.corpus.shards import Listing, first_documents, list_corpus


@dataclass(frozen=True)
class Part:
    """Which documents of a place.

    Attributes:
        limit: how many, from the first; None for all.
    """

    limit: int | None = None


WHOLE = Part()


def list_place(source: str, part: Part = WHOLE) -> Listing:
    """The shards of a corpus.

    Args:
        source: as `list_corpus` takes it.
        part: which of its documents; the last shard may be cut.

    Raises:
        InputError: see `list_corpus`; or a shard cannot be opened, where documents have to be counted.
    """
    listing = list_corpus(source)
    if part.limit is None:
        return listing
    return replace(listing, shards=first_documents(listing.shards, part.limit), limit=part.limit)
