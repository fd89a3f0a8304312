"""`ifcurate inspect`: texts on the terminal, coloured by influence."""

from __future__ import annotations

from ifcurate.cli.declared import declared
from ifcurate.pipelines.inspect_config import InspectConfig


def inspect(settings: InspectConfig) -> None:
    """Show documents of a run, or any text scored with a direction, every token coloured by its influence."""
    from rich.console import Console

    from ifcurate.pipelines.inspect import inspect as run_recipe
    from ifcurate.report.terminal import coloured, plain

    inspection = run_recipe(settings)
    console = Console(markup=False, highlight=False)
    if settings.plain or not console.is_terminal or console.color_system is None:
        for line in plain(inspection):
            print(line)
        return
    for text in coloured(inspection):
        console.print(text)


command = declared(InspectConfig, inspect, arguments=["run"])
