"""What `ifcurate attach` is asked to do."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ifcurate.config import Restartable
from ifcurate.corpus.settings import TextSettings
from ifcurate.working import Folder


class AttachConfig(Restartable, TextSettings):
    """`ifcurate attach`."""

    annotations: str = Field(
        description="published annotations: ORG/NAME[@REVISION] of a data set on the Hub, or a folder, file or glob"
    )
    to: str = Field(description="your copy of the corpus: file, folder or glob, on disk or any fsspec URL")
    out: Folder = Field(description="folder for the corpus with the columns; appears when it is complete")
    id_column: str | None = Field(
        None, description="column of the corpus that holds ids; default: `id`, if there is one"
    )
    unmatched: Literal["refuse", "keep", "drop"] = Field(
        "refuse", description="documents without an annotation: refuse; keep, with nulls; or drop"
    )
