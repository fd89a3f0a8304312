"""What `ifcurate publish` and `ifcurate directions publish` are asked to do."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import Field, field_validator

from ifcurate.config import Restartable
from ifcurate.working import Folder

FOLDER = "published"
"""Below the run."""

_REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z]+)?|code|multilingual")


class HubSettings(Restartable):
    """Where something is published, and under which terms."""

    panel = "Hub"

    repo: str = Field(description="ORG/NAME on the Hub; made where it does not exist")
    license: str = Field(description="identifier of the licence, such as odc-by, cc-by-4.0, apache-2.0 or other")
    public: bool = Field(False, description="for everybody to see; otherwise private")
    dry_run: bool = Field(False, exclude=True, description="write the folder, and upload nothing")
    model_id: str | None = Field(None, description="id of the scoring model on the Hub; default: as the run names it")
    language: list[str] = Field([], description="code of the texts' language, such as en; may be repeated")

    @field_validator("repo")
    @classmethod
    def _is_a_repository(cls, value: str) -> str:
        if not _REPO.fullmatch(value):
            raise ValueError("must be ORG/NAME")
        return value

    @field_validator("license")
    @classmethod
    def _is_a_licence(cls, value: str) -> str:
        if not _LICENSE.fullmatch(value):
            raise ValueError("must be an identifier as the Hub knows it, such as odc-by, or other")
        return value

    @field_validator("language")
    @classmethod
    def _are_languages(cls, value: list[str]) -> list[str]:
        for language in value:
            if not _LANGUAGE.fullmatch(language):
                raise ValueError("must be codes of ISO 639, such as en, or code or multilingual")
        return value


class PublishConfig(HubSettings):
    """`ifcurate publish`."""

    panel = "Data set"

    run: Folder = Field(description="a run with an annotated corpus")
    out: Folder | None = Field(None, description="folder of what is uploaded; default: RUN/published")
    text: bool = Field(True, description="publish the corpus with its texts; otherwise annotations alone")
    token_scores: bool = Field(
        False, description="influence and loss of every token in `annotations`, too: texts can be rebuilt from them"
    )
    source: list[str] = Field(
        [], description="data set that the corpus is made from; may be repeated; default: that which was annotated"
    )
    title: str | None = Field(None, description="heading of the card; default: made of corpus and behaviours")
    figures: bool = Field(True, description="draw figures for the card; needs matplotlib")
    file_megabytes: int = Field(500, ge=1, description="size in memory at which a Parquet file ends")

    @property
    def folder(self) -> Path:
        """Where the data set is written."""
        return Path(self.out) if self.out is not None else Path(self.run) / FOLDER

    @property
    def folders(self) -> list[str]:
        """What the command writes to."""
        return [str(self.folder)]


class PublishDirectionConfig(HubSettings):
    """`ifcurate directions publish`."""

    panel = "Direction"

    direction: Folder = Field(description="a run, the file of a direction, or a folder with one")
    behaviour: str | None = Field(None, description="whose direction of the run; default: the only one there is")
    out: Folder | None = Field(None, description="folder of what is uploaded; default: published-NAME here")

    @property
    def folder(self) -> Path:
        """Where the direction is written."""
        return Path(self.out) if self.out is not None else Path(f"{FOLDER}-{self.repo.split('/')[1]}")

    @property
    def folders(self) -> list[str]:
        """What the command writes to."""
        return [str(self.folder)]
