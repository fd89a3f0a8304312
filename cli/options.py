"""Options that several commands share; defaults live in `RunConfig`, so that YAML files and options agree."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

CORPUS = "Corpus"
QUERIES = "Queries and direction"
SCORES = "Scores"
SELECTION = "Selection"
MACHINE = "Machine"

Corpus = Annotated[
    str | None, typer.Argument(help="File, folder or glob of .parquet, .jsonl[.gz|.zst]; a path or fsspec URL.")
]
RunFolder = Annotated[str, typer.Argument(metavar="RUN", help="A folder made by `annotate` or `fit`.")]
Out = Annotated[str | None, typer.Option(help="The run folder; the same command continues a stopped run.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="YAML with these options; a run.yaml replays a run.")]
Preset = Annotated[str | None, typer.Option(help="Named settings, overridden by options: paper.")]

Model = Annotated[str | None, typer.Option(help="Folder or Hub id of a decoder-only model.", rich_help_panel=CORPUS)]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit on the Hub.", rich_help_panel=CORPUS)]
TextColumn = Annotated[
    str | None, typer.Option(help="Column with the documents; default: text.", rich_help_panel=CORPUS)
]
IdColumn = Annotated[
    str | None, typer.Option(help="Column with their ids; default: id, or shard:row.", rich_help_panel=CORPUS)
]
Context = Annotated[
    int | None, typer.Option(help="Tokens a window; default: the model's, at most 2048.", rich_help_panel=CORPUS)
]

Behaviour = Annotated[
    str | None, typer.Option(help="Its name begins column names; default: toxic.", rich_help_panel=QUERIES)
]
ToxicQueries = Annotated[str | None, typer.Option(help="Queries that show the behaviour.", rich_help_panel=QUERIES)]
SafeQueries = Annotated[str | None, typer.Option(help="Queries that show its contrast.", rich_help_panel=QUERIES)]
MaxQueries = Annotated[
    int | None, typer.Option(help="Most queries a side, drawn with the seed; default: 10000.", rich_help_panel=QUERIES)
]
FitTokens = Annotated[
    int | None, typer.Option(help="Tokens that the curvature is fitted on; default: 32768.", rich_help_panel=QUERIES)
]
Damping = Annotated[
    str | None,
    typer.Option(help="A number, or heuristic: 0.1 x mean eigenvalue; default: heuristic.", rich_help_panel=QUERIES),
]
DirectionFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--direction", help="A published direction, in place of queries; may be repeated.", rich_help_panel=QUERIES
    ),
]

Engine = Annotated[
    str | None,
    typer.Option(
        help="auto, finite-difference, one-sided, jvp, compiled-jvp, kronfluence; default: auto.",
        rich_help_panel=SCORES,
    ),
]
Alignment = Annotated[
    str | None,
    typer.Option(help="label: a token's own loss; position: Kronfluence's; default: label.", rich_help_panel=SCORES),
]
TokenIds = Annotated[
    bool | None,
    typer.Option("--token-ids/--no-token-ids", help="Write token_ids; default: yes.", rich_help_panel=SCORES),
]
WithLoss = Annotated[
    bool | None,
    typer.Option("--with-loss/--no-loss", help="Write each token's loss too; default: no.", rich_help_panel=SCORES),
]

Quantile = Annotated[
    float | None, typer.Option(help="tau is this quantile of all influence; default: 0.99.", rich_help_panel=SELECTION)
]
Window = Annotated[
    int | None, typer.Option(help="Neighbours taken on both sides of a token; default: 1.", rich_help_panel=SELECTION)
]
Budget = Annotated[
    str | None, typer.Option(help="Tokens to select: a share or a count; default: 2%.", rich_help_panel=SELECTION)
]
Record = Annotated[
    str | None, typer.Option(help="Rank documents or windows; default: document.", rich_help_panel=SELECTION)
]
LengthExponent = Annotated[
    float | None,
    typer.Option(help="Ranks divide by length to the power 0, 0.5 or 1; default: 1.", rich_help_panel=SELECTION),
]

Device = Annotated[
    str | None, typer.Option(help="cpu, cuda or cuda:1; default: a GPU if there is one.", rich_help_panel=MACHINE)
]
Dtype = Annotated[
    str | None,
    typer.Option(help="float32, bfloat16 or float64; default: float32; bfloat16 on a GPU.", rich_help_panel=MACHINE),
]
BatchTokens = Annotated[int | None, typer.Option(help="Positions a batch.", rich_help_panel=MACHINE)]
Threads = Annotated[int | None, typer.Option(help="CPU threads a worker; default: 1.", rich_help_panel=MACHINE)]
Workers = Annotated[int | None, typer.Option(help="Processes; default: one a core, or a GPU.", rich_help_panel=MACHINE)]
Seed = Annotated[int | None, typer.Option(help="Of every random choice; default: 0.", rich_help_panel=MACHINE)]
