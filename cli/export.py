"""`ifcurate export`: the annotated corpus as other training stacks read it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ifcurate.cli import options as o

Formats = Annotated[str | None, typer.Option("--format", help="datatrove, olmo, megatron, mds or hf.")]
ExportOut = Annotated[str | None, typer.Option("--out", help="A new folder.")]
ExportConfigFile = Annotated[Path | None, typer.Option("--config", help="YAML with these options.")]
Tokenizers = Annotated[
    str | None, typer.Option("--tokenizer", help="Folder or Hub id; default: that of the run's model.")
]
Penalties = Annotated[
    list[str] | None, typer.Option("--penalty", help="BEHAVIOUR=LAMBDA, or LAMBDA for all; default: 1.")
]
Behaviours = Annotated[
    list[str] | None, typer.Option("--behaviour", help="Whose masks a bare --penalty number is for; default: toxic.")
]


def export(
    data: Annotated[str | None, typer.Argument(help="A run, or folder, glob or Hub data set.")] = None,
    format: Formats = None,
    out: ExportOut = None,
    penalty: Penalties = None,
    behaviour: Behaviours = None,
    tokenizer: Tokenizers = None,
    config: ExportConfigFile = None,
    revision: o.Revision = None,
    text_column: o.TextColumn = None,
) -> None:
    """Write tokens and loss weights for datatrove/nanotron, OLMo-core, Megatron, MosaicML streaming or datasets."""
    given = {name: value or None for name, value in locals().items() if name != "config"}
    from ifcurate.cli.quiet import quieten
    from ifcurate.config import build
    from ifcurate.pipelines.export import ExportConfig
    from ifcurate.pipelines.export import export as run_export

    quieten()
    settings = build(ExportConfig, given, config)
    summary = run_export(settings, typer.echo)
    typer.echo(
        f"{summary.documents:,} documents, {summary.tokens:,} tokens, {summary.penalised:,} of them with a penalty, "
        f"sum of weights {summary.weight_sum:,.1f}: {settings.out}"
    )
