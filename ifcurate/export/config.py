"""What an export is asked to do, without importing any format."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ifcurate.config import Restartable
from ifcurate.corpus.settings import TextSettings
from ifcurate.export import EXPORTERS, TEXT_EXPORTERS
from ifcurate.model.settings import RevisionSettings
from ifcurate.registry import OneOf
from ifcurate.working import Folder


class ExportConfig(Restartable, RevisionSettings, TextSettings):
    """Settings of an export; names are those of the options and of `export.yaml`."""

    data: str = Field(description="run folder, or folder, glob or Hub data set with the annotated columns")
    out: Folder = Field(description="folder for the export")
    format: Annotated[str, OneOf((*EXPORTERS, *TEXT_EXPORTERS))] = Field(description="what is written")
    verify: bool = Field(
        False, exclude=True, description="read the beginning back with the target's own reader, where it is installed"
    )
    id_column: str = Field("id", description="column of unique ids, for --format attributes")
    tokenizer: str | None = Field(None, description="folder or Hub id; default: that of the run's model")
    behaviour: list[str] = Field(["toxic"], description="whose masks a bare --penalty number is for")
    penalty: list[str] = Field(["1"], description="BEHAVIOUR=LAMBDA, or LAMBDA for all")
    marked: Literal["penalize", "remove", "tag"] = Field(
        "penalize",
        description="what becomes of marked tokens; remove, tag: control tokens instead of weights, as in "
        "`ifcurate train`",
    )
    penalty_weights: Literal["equal", "influence"] = Field(
        "equal",
        description="influence: each marked token's lambda is proportional to its influence, and LAMBDA is their mean",
    )
