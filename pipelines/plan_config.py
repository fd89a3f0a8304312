"""What `ifcurate plan` is asked: the settings of a run, and what it is to be compared with."""

from __future__ import annotations

from pydantic import Field

from ifcurate.config import ALIASES
from ifcurate.pipelines.run_config import AnnotationSettings


class PlanConfig(AnnotationSettings):
    """`ifcurate plan`: the settings of `annotate`, but for what says where it is written."""

    panel = "Plan"

    price: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="of an hour of the machine, or of a GPU with --gpu; in any currency",
    )
    as_json: bool = Field(False, description="print JSON", json_schema_extra={ALIASES: ["--json"]})
