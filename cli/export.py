"""`ifcurate export`: the annotated corpus as other training stacks read it."""

from __future__ import annotations

import typer

from ifcurate.cli.declared import declared
from ifcurate.export.config import ExportConfig


def export(settings: ExportConfig) -> None:
    """Write tokens and loss weights, or texts and marked characters, as another training stack reads them."""
    from ifcurate.pipelines.export import export as run

    summary = run(settings)
    typer.echo(f"{summary.sentence()}: {settings.out}")


command = declared(ExportConfig, export, arguments=["data"])
