"""`ifcurate export`: the annotated corpus as other training stacks read it."""

from __future__ import annotations

import typer

from ifcurate.cli.declared import declared
from ifcurate.export.config import ExportConfig


def export(settings: ExportConfig) -> None:
    """Write tokens and loss weights for datatrove/nanotron, OLMo-core, Megatron, MosaicML streaming or datasets."""
    from ifcurate.pipelines.export import export as run

    summary = run(settings)
    typer.echo(
        f"{summary.documents:,} documents, {summary.tokens:,} tokens, {summary.penalised:,} of them with a penalty, "
        f"sum of weights {summary.weight_sum:,.1f}: {settings.out}"
    )


command = declared(ExportConfig, export, arguments=["data"])
