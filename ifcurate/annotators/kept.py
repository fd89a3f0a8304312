"""What a run keeps of its annotator: made once, before anything is marked, and the same for all workers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from ifcurate.annotators import ANNOTATORS
from ifcurate.annotators.base import Annotator, Asked
from ifcurate.artifacts import BehaviourName, OpenArtifact, read_artifact
from ifcurate.checksums import checked, is_whole
from ifcurate.errors import InputError
from ifcurate.files import write_text
from ifcurate.registry import OneOf

_REMEDY = "delete it and the scores beside it, and run `ifcurate annotate` again"


class KeptAnnotator(OpenArtifact):
    """The name of an annotator, the behaviour it marks, its state, and what it counted in the corpus."""

    name: Annotated[str, OneOf(ANNOTATORS)]
    behaviour: BehaviourName
    state: dict[str, Any]
    counts: dict[str, int]

    def load(self, asked: Asked) -> Annotator:
        """The annotator itself."""
        return ANNOTATORS[self.name].kind(self.state, self.counts, asked)


def keep_annotator(kept: KeptAnnotator, path: Path) -> None:
    """Write it to `path`."""
    write_text(path, json.dumps(checked(kept.model_dump()), indent=1, ensure_ascii=False) + "\n")


def read_annotator(path: Path) -> KeptAnnotator:
    """What `keep_annotator` wrote.

    Raises:
        InputError: it is missing or damaged.
    """
    if not path.is_file():
        raise InputError(f"{path}: is missing; run `ifcurate annotate` with the run's settings again.")
    content = path.read_bytes()
    kept = read_artifact(KeptAnnotator, content, path, _REMEDY)
    if not is_whole(json.loads(content)):
        raise InputError(f"{path}: is not what was written, it was damaged since; {_REMEDY}.")
    return kept
