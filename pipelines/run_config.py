"""What a run is asked to do: every option of `ifcurate annotate` and its stages, with its default."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from ifcurate.annotators import NAIVE
from ifcurate.annotators.settings import AnnotatorSettings
from ifcurate.config import Restartable
from ifcurate.corpus.settings import CorpusSettings
from ifcurate.influence.settings import DirectionSettings, RefinementSettings, ScoringSettings, StudentSettings
from ifcurate.model.settings import ComputeSettings, ModelSettings
from ifcurate.pipelines.cluster_config import ClusterSettings
from ifcurate.registry import OneOf
from ifcurate.screening.settings import ScreeningSettings
from ifcurate.selection.settings import SelectionOptions
from ifcurate.working import Folder, named

PRESETS: dict[str, dict[str, Any]] = {
    "paper": {
        "rank_by": "window",
        "length_exponent": 0,
        "damping": 1e-8,
        "quantile": 0.99,
        "neighbours": 1,
        "budget": "2%",
        "query_mean": "query",
    }
}
PRESETS["paper-code"] = PRESETS["paper"] | {"alignment": "position", "budget_ends": "neighbourhood"}
"""Named settings; whatever is given explicitly overrides them. `paper`: IF-Guide as written. `paper-code`: as its
published code computes it, with the scores of positions: the mask of token t is the score of the position that reads
t, whose own loss predicts t + 1."""

StageName = Literal["fit", "direct", "score", "select", "write"]
STAGES: tuple[StageName, ...] = ("fit", "direct", "score", "select", "write")

SELECTION_SETTINGS = frozenset(SelectionOptions.model_fields)
"""Settings that a new selection may change without scoring again."""

_FIRST_STAGE: dict[StageName, frozenset[str]] = {
    "direct": frozenset(
        {"behaviour", "queries", "contrast", "max_queries", "query_mean", "damping", "direction", "student"}
        | RefinementSettings.model_fields.keys()
        | AnnotatorSettings.model_fields.keys()
    ),
    "score": frozenset(
        {"engine", "alignment", "dtype", "threads", "precision", "with_loss", "bad_rows"}
        | ScreeningSettings.model_fields.keys()
    ),
    "select": SELECTION_SETTINGS,
    "write": frozenset({"token_ids", "output_format"}),
}


def first_stage(setting: str) -> StageName:
    """The first stage whose results depend on a setting."""
    return next((stage for stage, settings in _FIRST_STAGE.items() if setting in settings), "fit")


class WorkerSettings(ComputeSettings):
    """How the work is divided."""

    panel = "Machine"

    threads: int = Field(1, ge=1, description="CPU threads a worker")
    workers: int | None = Field(
        None,
        ge=1,
        description="processes, or tasks of a cluster at a time; default: what cores and memory allow, or one a GPU",
    )
    seed: int = Field(0, ge=0, description="of every random choice")


class AnnotationSettings(
    WorkerSettings,
    AnnotatorSettings,
    SelectionOptions,
    ScreeningSettings,
    StudentSettings,
    ScoringSettings,
    RefinementSettings,
    DirectionSettings,
    ModelSettings,
    CorpusSettings,
):
    """All that decides what an annotated corpus is, and how the work is divided here."""

    preset: Annotated[str, OneOf(PRESETS)] | None = Field(None, description="named settings, overridden by others")
    token_ids: bool = Field(True, description="write the column token_ids")
    output_format: Literal["same", "parquet", "jsonl"] = Field(
        "same", description="of the annotated shards; same: JSON Lines stay lines, with our keys appended"
    )

    @property
    def has_contrast(self) -> bool:
        """See `DirectionSettings.has_contrast`."""
        return self.by != NAIVE


class RunConfig(Restartable, ClusterSettings, AnnotationSettings):
    """Settings of a run; names are those of the options and of `run.yaml`."""

    dry_run: bool = Field(
        False, exclude=True, description="say what `ifcurate plan` says of these settings, and write nothing"
    )
    out: Folder = Field(description="the run folder, on disk or at a URL; the same command continues a stopped run")

    @property
    def only_looks(self) -> bool:
        """See `Config.only_looks`."""
        return self.dry_run

    @property
    def has_directions(self) -> bool:
        """Whether the corpus is scored along directions, not by a student or another annotator."""
        return self.student is None and not self.marks

    @property
    def needs_factors(self) -> bool:
        """Whether the curvature is to be fitted."""
        return self.has_directions and not self.directions and self.has_curvature

    @property
    def value(self) -> str:
        """What the number of a token is called."""
        return "influence" if self.by is None else "value"

    def for_behaviour(self, behaviour: str) -> RunConfig:
        """The same settings for one of the behaviours that a run scores."""
        return self.model_copy(update={"behaviour": behaviour})

    @field_validator("out")
    @classmethod
    def _is_shared(cls, value: str, settings: ValidationInfo) -> str:
        executor = settings.data.get("executor", "local")
        if executor != "local" and named(value) != value:
            raise ValueError(
                f"must be a folder that all nodes share with --executor {executor}, not a URL, which one machine writes"
            )
        return value
