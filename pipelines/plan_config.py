"""What `ifcurate plan` is asked: the settings of a run, where it would run, and what it is to be compared with."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from ifcurate.config import ALIASES
from ifcurate.pipelines.given_rates import parsed
from ifcurate.pipelines.run_config import AnnotationSettings
from ifcurate.planning.gpus import GPUS
from ifcurate.registry import OneOf


class PlanConfig(AnnotationSettings):
    """`ifcurate plan`: the settings of `annotate`, but for what says where it is written."""

    panel = "Plan"

    gpu: Annotated[str, OneOf(GPUS)] | None = Field(
        None, description="plan for a GPU by name, at rates assumed from its data sheet, in place of this machine"
    )
    rate: list[str] = Field(
        [], description="measured tokens/s of one process: STAGE=N, or a YAML file of `STAGE: N`; may be repeated"
    )
    price: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="of an hour of the machine, or of each GPU; in any currency"
    )
    proxy: str | None = Field(None, description="a smaller model, to say what scoring with it would change")
    as_json: bool = Field(False, description="print JSON", json_schema_extra={ALIASES: ["--json"]})

    @field_validator("rate")
    @classmethod
    def _are_rates(cls, value: list[str]) -> list[str]:
        parsed(value)
        return value
