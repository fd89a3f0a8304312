"""`ifcurate distil`: a small model learns influence, token by token, from a scored run."""

from __future__ import annotations

from ifcurate.cli.declared import declared
from ifcurate.pipelines.distil_config import DistilConfig


def distil(settings: DistilConfig) -> None:
    """Teach a small model the influence that a run found, to score other text at one forward pass."""
    from ifcurate.cli.tables import plain_console
    from ifcurate.pipelines.distil import distil as run_recipe

    student = run_recipe(settings)
    console = plain_console()
    console.print(f"{student.behaviour}: {student.sentence()}", soft_wrap=True, highlight=False)
    console.print(
        f"written: {settings.out}; now give: ifcurate annotate CORPUS --student {settings.out} --out RUN",
        soft_wrap=True,
        highlight=False,
    )


command = declared(DistilConfig, distil, arguments=["run"])
