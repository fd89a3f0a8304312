"""`ifcurate plan`: what a run would take, before anything of it runs."""

from __future__ import annotations

from ifcurate.cli.declared import declared
from ifcurate.pipelines.plan_config import PlanConfig
from ifcurate.pipelines.run_config import PRESETS


def plan(settings: PlanConfig) -> None:
    """Say what annotating a corpus would take: tokens, memory, hours, disk and cost; nothing is written."""
    from ifcurate.cli.plan_tables import print_plan
    from ifcurate.pipelines.plan import plan as run

    print_plan(run(settings), settings.as_json)


command = declared(PlanConfig, plan, arguments=["corpus"], presets=PRESETS)
