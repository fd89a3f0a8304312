"""What `ifcurate screen` is asked to do."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ifcurate.config import Restartable
from ifcurate.registry import OneOf
from ifcurate.screening.kinds import FEATURES
from ifcurate.working import Folder


class ProbeSettings(Restartable):
    """What `--kind probe` reads with."""

    panel = "Probe"

    model: str | None = Field(None, description="folder or Hub id of a small decoder-only model; default: the run's")
    revision: str | None = Field(None, description="branch, tag or commit on the Hub")
    tokens: int | None = Field(None, ge=1, description="tokens of a document that are read; default: all")


class ScreenConfig(ProbeSettings):
    """`ifcurate screen`."""

    run: Folder = Field(description="a scored and selected run, whose documents are learnt from")
    out: Folder = Field(description="folder of the screen")
    kind: Annotated[str, OneOf(FEATURES)] = Field(
        "ngrams", description="ngrams: words and pairs of words, hashed; probe: the middle layer of a small model"
    )
    behaviour: str | None = Field(None, description="whose selection is learnt; default: the only one there is")
    corpus: str | None = Field(None, description="where the run's corpus is now; default: where it was")
    seed: int = Field(0, ge=0, description="of the order in which documents are learnt from")
