"""Which corpus: settings that several commands share."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ifcurate.config import Config

BadRows = Literal["refuse", "skip"]
"""What becomes of rows whose text is null or not UTF-8: an error, or a document without text that is counted."""


class TextSettings(Config):
    """Where the documents stand in a shard."""

    panel = "Corpus"

    text_column: str = Field("text", description="column that holds the documents")


class CorpusSettings(TextSettings):
    """A corpus, and the columns of its documents and their ids."""

    corpus: str = Field(description="file, folder or glob of .parquet, .jsonl[.gz|.zst], on disk or any fsspec URL")
    id_column: str | None = Field(None, description="column that holds their ids; default: `id` if there is one")
    bad_rows: BadRows = Field(
        "refuse", description="rows whose text is null or not UTF-8: refuse, or skip: no tokens, counted"
    )
