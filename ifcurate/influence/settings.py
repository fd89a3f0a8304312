"""What decides a direction and a score: settings, without importing anything that computes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from ifcurate.config import Config
from ifcurate.corpus.settings import On
from ifcurate.influence.engines import AUTO, ENGINES, Alignment
from ifcurate.influence.precision import Precision
from ifcurate.influence.refinement import NONE, REFINEMENTS
from ifcurate.model.settings import DeviceMap
from ifcurate.model.stored import AS_IS, Stored
from ifcurate.model.trust import Trust
from ifcurate.registry import OneOf

EngineName = Annotated[str, OneOf((AUTO, *ENGINES))]
STUDENT = "student"
"""The engine of a student."""
IN_ITS_PLACE = (
    *("model", "queries", "contrast", "direction", "refine", "adapter", "gguf_file", "dequantize"),
    *("alignment", "with_loss", "screen"),
)
"""Settings that have no meaning beside a student: it has a model of its own, and scores everything at little cost."""


class DirectionSettings(Config):
    """What a direction is made of: queries and curvature, or published ones in their place."""

    panel = "Queries and direction"

    behaviour: str = Field("toxic", description="name of what is looked for; column names begin with it")
    queries: str | list[str] | None = Field(
        None, description="queries that show the behaviour; may be repeated: the mean of all sets"
    )
    contrast: str | list[str] | None = Field(
        None, description="queries that show its contrast; one for each of --queries, none if weights have both signs"
    )
    max_queries: int = Field(10_000, ge=1, description="most queries a file, drawn with the seed")
    query_mean: Literal["token", "query"] = Field("token", description="what a query set's loss is a mean over")
    direction: str | list[str] | None = Field(
        None,
        description="published direction, in place of queries and factors; file, folder or ORG/NAME[@REVISION]; "
        "may be repeated",
    )
    fit_tokens: int = Field(32_768, ge=1, description="tokens of the corpus that the curvature is fitted on")
    fit_with: Literal["ifcurate", "kronfluence"] = Field(
        "ifcurate",
        description="whose passes fit the curvature; Kronfluence's give the same, several times slower",
    )
    damping: float | Literal["heuristic"] = Field(
        "heuristic", description="added to the curvature's eigenvalues; heuristic: 0.1 x their mean in each layer"
    )

    @property
    def has_contrast(self) -> bool:
        """Whether the behaviour's gradient is taken less that of a contrast."""
        return True

    @property
    def query_files(self) -> list[str]:
        """The files of queries."""
        return _as_list(self.queries)

    @property
    def contrast_files(self) -> list[str]:
        """The files of contrast."""
        return _as_list(self.contrast)

    @property
    def directions(self) -> list[str]:
        """The published directions."""
        return _as_list(self.direction)

    @field_validator("behaviour")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", value):
            raise ValueError("must be letters, digits and underscores, it begins column names")
        return value

    @field_validator("queries", "contrast", "direction")
    @classmethod
    def _is_one_or_several(cls, value: str | list[str] | None) -> str | list[str] | None:
        if isinstance(value, list):
            return value[0] if len(value) == 1 else value or None
        return value

    @field_validator("damping")
    @classmethod
    def _is_positive(cls, value: float | str) -> float | str:
        if isinstance(value, float) and not 0 < value < float("inf"):
            raise ValueError("must be positive and finite, or `heuristic`")
        return value


def _as_list(given: str | list[str] | None) -> list[str]:
    return [given] if isinstance(given, str) else given or []


class RefinementSettings(Config):
    """How a direction is refined beyond EK-FAC."""

    panel = "Refinement"

    refine: Annotated[str, OneOf((NONE, *REFINEMENTS))] = Field(
        NONE, description="solve for the direction over the corpus: cg on one sample, astra on minibatches"
    )
    refine_steps: int | None = Field(None, ge=1, description="products with the curvature; default: cg 20, astra 80")
    refine_tokens: int | None = Field(
        None, ge=1, description="tokens of the corpus that a step reads; default: cg 16,384, astra 4,096"
    )
    refine_damping: float = Field(
        1.0, gt=0, allow_inf_nan=False, description="x the mean eigenvalue of each layer, added to the curvature"
    )


class StudentSettings(Config):
    """A student in the place of a model, queries and directions."""

    panel = "Scores"

    student: str | None = Field(
        None,
        description="folder of a student, which scores at one forward pass, approximately; it is the model too",
    )

    @model_validator(mode="before")
    @classmethod
    def _brings_its_model(cls, given: Any) -> Any:
        """A student is model and engine at once."""
        student = given.get("student") if isinstance(given, dict) else None
        if student is None:
            return given
        engine = given.get("engine")
        return {"model": student, **given, "engine": STUDENT if engine in (None, AUTO) else engine}

    @model_validator(mode="after")
    def _stands_alone(self) -> StudentSettings:
        engine = getattr(self, "engine", AUTO)
        if self.student is None:
            if engine == STUDENT:
                raise ValueError("--engine student needs a --student, a folder that `ifcurate distil` made")
            return self
        if engine != STUDENT:
            raise ValueError(f"a student is no engine {engine}; leave out --engine")
        for name in IN_ITS_PLACE:
            default = type(self).model_fields[name].get_default(call_default_factory=True)
            if getattr(self, name) != (self.student if name == "model" else default):
                raise ValueError(f"a student stands in the place of --{name.replace('_', '-')}; leave one of them out")
        return self


class ScoringSettings(Config):
    """How tokens are scored along a direction."""

    panel = "Scores"

    engine: EngineName = Field(AUTO, description="auto: the fastest exact one for alignment, dtype and device")
    alignment: Alignment = Field(
        "label", description="label: a token's score is its own loss's derivative; position: Kronfluence's"
    )
    precision: Precision = Field(
        "float32", description="significant bits that are stored of influence: 24, 11 or 8; fewer take less room"
    )
    with_loss: bool = Field(False, description="store each token's own loss too, as the column `loss`")


@dataclass(frozen=True)
class ScoreSettings:
    """What decides a score, all of it: equal settings give equal scores, whichever documents a process sees.

    Up to rounding, which depends on the batches that documents share.

    Args:
        model: folder or Hub id.
        directions: files, folders or Hub ids (ORG/NAME[@REVISION]) of the directions to score along.
        revision: of a Hub id.
        context: tokens a window; default: the model's, capped at 2,048.
        overlap: tokens of it that a document's later windows read again, without a loss.
        on: whose messages carry a loss, where documents are messages (`messages.as_text`); None: they are texts.
        engine: `auto` is the fastest exact one for alignment, dtype and device.
        alignment: `label`: a token's score is the derivative of its own loss.
        device: `auto`: a GPU where there is one.
        device_map: `auto`: the model is shared out over all GPUs, in the place of `device`.
        dtype: `auto`: bfloat16 for forward mode on a GPU, else float32.
        batch_tokens: positions a batch, padding included; default: what fits into memory.
        threads: CPU threads of this process.
        allow_pickle: whether the model's weights may be pickled.
        trust_remote_code: whether the model's own code may run.
        stored: whether the model is in GGUF, to be dequantized, or with an adapter.
        student: file of a student's head, in the place of directions; its checkpoint is the model.
        steps: relative finite-difference steps, one a direction; default: those found best on tokens drawn from the
            vocabulary, the same in every process. A run finds them on a sample of its corpus, and keeps them.
    """

    model: str
    directions: tuple[str, ...]
    revision: str | None = None
    context: int | None = None
    overlap: int = 0
    on: On | None = None
    engine: str = AUTO
    alignment: Alignment = "label"
    device: str = "auto"
    device_map: DeviceMap | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float64"] = "auto"
    batch_tokens: int | None = None
    threads: int = 1
    allow_pickle: bool = False
    trust_remote_code: bool = False
    stored: Stored = AS_IS
    student: str | None = None
    steps: tuple[float, ...] | None = None

    @property
    def trust(self) -> Trust:
        """What may run code while the model is loaded."""
        return Trust(self.allow_pickle, self.trust_remote_code)
