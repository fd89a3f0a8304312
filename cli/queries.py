"""`ifcurate queries`: two query sets from any table of prompts and continuations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ifcurate.cli import evaluation_options as o

if TYPE_CHECKING:
    from ifcurate.evaluation.query_mining import Mined

Source = Annotated[str | None, typer.Argument(help="rtp, a Hub id, or files of .parquet, .jsonl[.gz|.zst].")]
QueryFolder = Annotated[str | None, typer.Option("--out", help="Folder of the two sets and the summary.")]
ContinuationColumn = Annotated[str | None, typer.Option(help="Column of the continuation, dotted where nested.")]
Behaviour = Annotated[str | None, typer.Option(help="File of the behaviour's queries; default: toxic.")]
Contrast = Annotated[str | None, typer.Option(help="File of the contrast's queries; default: safe.")]
BehaviourFrom = Annotated[float | None, typer.Option(help="Scores from here on show the behaviour; default: 0.5.")]
ContrastBelow = Annotated[float | None, typer.Option(help="Scores below this are the contrast; default: 0.1.")]
PerSide = Annotated[int | None, typer.Option(help="Most queries a side, drawn with the seed; default: 10000.")]
NearDuplicate = Annotated[float | None, typer.Option(help="Jaccard index of near-duplicates; default: 0.8.")]
Exclude = Annotated[list[str] | None, typer.Option(help="Prompts that are evaluated on; as for `eval`.")]
Separator = Annotated[
    str | None, typer.Option(help="Between prompt and continuation; default: a space where words would run together.")
]


def queries(
    source: Source = None,
    out: QueryFolder = None,
    config: o.ConfigFile = None,
    split: o.Split = None,
    prompt_column: o.PromptColumn = None,
    continuation_column: ContinuationColumn = None,
    classifier: o.ClassifierName = None,
    label: o.Label = None,
    behaviour: Behaviour = None,
    contrast: Contrast = None,
    behaviour_from: BehaviourFrom = None,
    contrast_below: ContrastBelow = None,
    per_side: PerSide = None,
    near_duplicate: NearDuplicate = None,
    exclude: Exclude = None,
    separator: Separator = None,
    device: o.Device = None,
    seed: o.Seed = None,
) -> None:
    """Build query sets: continuations that show the behaviour, and their contrast."""
    given = {name: value for name, value in locals().items() if name != "config"}
    from ifcurate.cli.quiet import quieten
    from ifcurate.config import build
    from ifcurate.evaluation.classifiers import load_classifier
    from ifcurate.evaluation.query_mining import MiningConfig, mine_queries, write_queries
    from ifcurate.model.devices import resolve_device

    quieten()
    settings = build(MiningConfig, given, config)
    classify = load_classifier(settings.classifier, settings.label, resolve_device(settings.device))
    mined = mine_queries(settings, classify)
    _print(mined, write_queries(mined, settings))


def _print(mined: Mined, written: list[Path]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table("rows", f"{mined.rows:,}", box=box.SIMPLE)
    table.columns[1].justify = "right"
    for what, count in sorted(mined.counts.items(), key=lambda item: -item[1]):
        table.add_row(what, f"{count:,}")
    console = Console()
    console.print(table)
    if mined.spaces_added:
        console.print(f"{mined.spaces_added:,} queries got a space between prompt and continuation", highlight=False)
    if mined.texts_cut:
        console.print(f"{mined.texts_cut:,} continuations were classified by their beginning only", highlight=False)
    console.print(f"written: {', '.join(map(str, written))}", highlight=False, soft_wrap=True)
