"""What `ifcurate inspect` is asked to show."""

from __future__ import annotations

from pydantic import Field

from ifcurate.config import Config
from ifcurate.model.settings import DeviceSettings, RevisionSettings, WindowSettings
from ifcurate.working import Folder

TOP = 5
"""Documents shown, where nobody says how many."""


class DocumentChoice(Config):
    """Which documents of a run; the highest ranked where nothing is asked."""

    panel = "Documents of a run"

    document: str | None = Field(None, description="the document with this id")
    row: str | None = Field(None, description="the document in this row, counted from 0, of a shard: SHARD:N")
    grep: str | None = Field(None, description="documents that contain this, upper or lower case")
    top: int | None = Field(None, ge=1, description=f"most documents, from the highest rank down; default: {TOP}")
    behaviour: str | None = Field(None, description="whose influence is shown; default: the only one there is")
    corpus: str | None = Field(None, description="where the corpus is now, if it has moved; read before `write` only")


class TextToScore(WindowSettings, RevisionSettings, DeviceSettings):
    """Any text, scored on the spot."""

    panel = "Any text"

    direction: str | None = Field(
        None, description="score with this direction, without a run: file, folder or ORG/NAME[@REVISION]"
    )
    text: str | None = Field(None, description="the text to score")
    file: str | None = Field(None, description="a file with the text to score; - is standard input")
    model: str | None = Field(
        None, description="folder or Hub id of the direction's model; default: where the direction says it is"
    )


class InspectConfig(TextToScore, DocumentChoice):
    """`ifcurate inspect`."""

    run: Folder | None = Field(None, description="a run that is scored; or give --direction and a text")
    plain: bool = Field(False, description="no colours, selected runs between **; so in a pipe or file in any case")
