"""Settings of annotators other than influence, and what they do to all others of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from ifcurate.annotation.run_folder import RUN_FILE
from ifcurate.annotators import ANNOTATORS, IDENTITY
from ifcurate.config import Config, read_yaml
from ifcurate.influence.settings import DirectionSettings, RefinementSettings, ScoringSettings, StudentSettings
from ifcurate.registry import OneOf
from ifcurate.screening.settings import ScreeningSettings

OF_INFLUENCE = (
    {name for kind in (DirectionSettings, RefinementSettings, ScoringSettings) for name in kind.model_fields}
    | StudentSettings.model_fields.keys()
    | ScreeningSettings.model_fields.keys()
    | {"overlap", "dtype", "device_map", "batch_tokens", "adapter"}
) - {"behaviour", "precision"}
"""Settings that have no meaning beside an annotator which does not read them."""


class AnnotatorSettings(Config):
    """Another annotator in the place of influence."""

    panel = "Other annotators"

    by: Annotated[str, OneOf(ANNOTATORS)] | None = Field(
        None, description=f"mark tokens otherwise than by influence: {', '.join(ANNOTATORS)}"
    )
    words: str | None = Field(None, description="file of words and phrases, one a line, whose every hit is marked")
    classifier: str | None = Field(
        None, description="what scores sentences: detoxify, toxigen, profanity-check or hf:FOLDER-OR-ID"
    )
    label: str | None = Field(None, description="the classifier's label; needed for hf:")
    reference: str | None = Field(None, description="model of the same tokenizer whose loss excess-loss takes away")
    leading: float | None = Field(
        None, gt=0, le=1, description="share of each layer's eigenvectors of the curvature that lowrank keeps"
    )
    of: list[str] = Field([], description="run whose values influence-documents, fuse or dda reads; may be repeated")
    before: str | None = Field(
        None, description="run of the model as it was before it was trained, whose values dda takes away"
    )

    @property
    def marks(self) -> bool:
        """Whether another annotator marks, without a direction."""
        return self.by is not None and not ANNOTATORS[self.by].along

    @property
    def has_curvature(self) -> bool:
        """Whether the direction is divided by the curvature."""
        return self.by != IDENTITY

    @model_validator(mode="before")
    @classmethod
    def _brings_its_selection(cls, given: Any) -> Any:
        """What an annotator is selected by stands in the place of defaults."""
        spec = ANNOTATORS.get(str(given.get("by"))) if isinstance(given, dict) else None
        if spec is None:
            return given
        brought = dict(spec.selection)
        if "quantile" in given:
            brought.pop("threshold", None)
        if spec.of_scores and given.get("of") and not given.get("model"):
            brought |= _model_of(given["of"])
        return {**brought, **given}

    @model_validator(mode="after")
    def _reads_what_is_given(self) -> AnnotatorSettings:
        own = AnnotatorSettings.model_fields.keys() - {"by"}
        if self.by is None:
            for name in sorted(name for name in own if getattr(self, name)):
                readers = [one for one, spec in ANNOTATORS.items() if name in (*spec.needs, *spec.reads)]
                raise ValueError(f"--{name.replace('_', '-')} is read by --by {', '.join(readers)}; give one of them")
            return self
        spec = ANNOTATORS[self.by]
        for name in spec.needs:
            if not getattr(self, name, None):
                raise ValueError(f"--by {self.by} needs --{name.replace('_', '-')}")
        unread = spec.unread if spec.along else (OF_INFLUENCE | own) - {*spec.needs, *spec.reads}
        for name in sorted(unread):
            field = type(self).model_fields.get(name)
            if field is not None and getattr(self, name) != field.get_default(call_default_factory=True):
                raise ValueError(f"--by {self.by} does not read --{name.replace('_', '-')}; leave it out")
        return self


def _model_of(runs: str | list[str]) -> dict[str, Any]:
    """The model that the first of some runs is of: whose tokens those of all are."""
    first = runs if isinstance(runs, str) else runs[0]
    file = Path(first) / RUN_FILE
    if not file.is_file():
        raise ValueError(f"--of {first} is not a run, it has no {RUN_FILE}; give a folder made by `ifcurate annotate`")
    stored = read_yaml(file)
    return {name: stored[name] for name in ("model", "revision", "gguf_file", "dequantize") if stored.get(name)}
