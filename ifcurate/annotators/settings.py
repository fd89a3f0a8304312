"""Settings of annotators other than influence, and what they do to all others of a run."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from ifcurate.annotators import ANNOTATORS
from ifcurate.config import Config
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
        return {**brought, **given}

    @model_validator(mode="after")
    def _reads_what_is_given(self) -> AnnotatorSettings:
        own = AnnotatorSettings.model_fields.keys() - {"by"}
        if self.by is None:
            for name in sorted(name for name in own if getattr(self, name) is not None):
                readers = [one for one, spec in ANNOTATORS.items() if name in (*spec.needs, *spec.reads)]
                raise ValueError(f"--{name.replace('_', '-')} is read by --by {', '.join(readers)}; give one of them")
            return self
        spec = ANNOTATORS[self.by]
        for name in spec.needs:
            if not getattr(self, name, None):
                raise ValueError(f"--by {self.by} needs --{name.replace('_', '-')}")
        for name in sorted((OF_INFLUENCE | own) - {*spec.needs, *spec.reads}):
            field = type(self).model_fields.get(name)
            if field is not None and getattr(self, name) != field.get_default(call_default_factory=True):
                raise ValueError(f"--by {self.by} does not read --{name.replace('_', '-')}; leave it out")
        return self
