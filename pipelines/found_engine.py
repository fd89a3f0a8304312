"""`scores/engine.json`: what a run finds once, when scoring begins, and keeps for all of its workers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ifcurate.annotators import ANNOTATORS
from ifcurate.artifacts import Artifact, BehaviourName, Sha256, read_artifact
from ifcurate.errors import InputError
from ifcurate.files import write_text
from ifcurate.influence.engines import ENGINES
from ifcurate.pipelines.run import Run
from ifcurate.registry import OneOf


class FoundStep(Artifact):
    """A finite-difference step and the error measured for it, see `calibration.Step`."""

    relative: float = Field(gt=0)
    error: float = Field(ge=0)


class FoundEngine(Artifact):
    """The engine or other annotator of a run, dtype and context, its steps (one a behaviour, or none) and its sizes."""

    engine: Annotated[str, OneOf((*ENGINES, *ANNOTATORS))]
    dtype: Literal["float32", "bfloat16", "float64"]
    context: int = Field(ge=1)
    tokenizer_hash: Sha256
    behaviours: list[BehaviourName] = Field(min_length=1)
    steps: list[FoundStep]
    batch_tokens: int = Field(ge=1)
    worker_bytes: int = Field(ge=1)

    @property
    def relative_steps(self) -> tuple[float, ...] | None:
        """As `ScoreSettings` wants them."""
        return tuple(step.relative for step in self.steps) or None

    @property
    def errors(self) -> dict[str, float | None]:
        """Behaviour to the error of its step; None for engines that need no step."""
        if not self.steps:
            return dict.fromkeys(self.behaviours)
        return dict(zip(self.behaviours, (step.error for step in self.steps), strict=True))


def keep_engine(run: Run, found: FoundEngine) -> None:
    """Write `scores/engine.json`."""
    write_text(run.engine, found.model_dump_json(indent=2) + "\n")


def read_engine(run: Run) -> FoundEngine:
    """What `keep_engine` wrote.

    Raises:
        InputError: the file is damaged or of another version.
    """
    remedy = f"delete {run.scores}, and score again"
    found = read_artifact(FoundEngine, run.engine.read_bytes(), run.engine, remedy)
    if len(found.steps) not in (0, len(found.behaviours)):
        raise InputError(
            f"{run.engine}: has {len(found.steps)} steps for {len(found.behaviours)} behaviours; {remedy}."
        )
    return found


def kept_engine(run: Run) -> FoundEngine:
    """What `keep_engine` wrote, to go on scoring with.

    Raises:
        InputError: see `read_engine`; or the run has got other directions since.
    """
    found = read_engine(run)
    if found.behaviours != run.behaviours:
        raise InputError(
            f"{run.root}: was scored for {', '.join(found.behaviours)}, and now has directions for "
            f"{', '.join(run.behaviours)}; give another run folder."
        )
    return found
