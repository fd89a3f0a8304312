"""Which corpus: settings that several commands share."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ifcurate.config import Config
from ifcurate.corpus.places import Part

BadRows = Literal["refuse", "skip"]
"""What becomes of rows whose text is null or not UTF-8: an error, or a document without text that is counted."""


On = Literal["replies", "all"]
"""Whose messages carry a loss: the assistant's, or everybody's."""


class TextSettings(Config):
    """Where the documents stand in a shard."""

    panel = "Corpus"

    text_column: str = Field("text", description="column that holds the documents: strings, or lists of messages")


class CorpusSettings(TextSettings):
    """A corpus, and the columns of its documents and their ids."""

    corpus: str = Field(
        description="file, folder or glob of .parquet, .arrow, .jsonl[.gz|.zst], .csv[.gz|.zst], on disk or any URL; "
        "or the id of a Hub data set, OWNER/NAME[@REVISION]"
    )
    id_column: str | None = Field(None, description="column that holds their ids; default: `id` if there is one")
    on: On = Field("replies", description="of documents that are messages: whose carry a loss and are scored")
    bad_rows: BadRows = Field(
        "refuse", description="rows whose text is null or not UTF-8: refuse, or skip: no tokens, counted"
    )
    limit: int | None = Field(None, ge=1, description="only the first documents, to try: how many")

    subset: str | None = Field(None, description="of a data set with several configurations: which")
    split: str | None = Field(None, description="of a data set; default: the only one, or train")

    @property
    def part(self) -> Part:
        """Which documents of the corpus."""
        return Part(self.limit, self.subset, self.split)
