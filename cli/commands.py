"""The list of commands, each in a file of its own."""

from __future__ import annotations

import typer

from ifcurate.cli.annotate import annotate
from ifcurate.cli.demo import demo
from ifcurate.cli.direct import direct
from ifcurate.cli.evaluate import evaluate
from ifcurate.cli.export import export
from ifcurate.cli.fit import fit
from ifcurate.cli.queries import queries
from ifcurate.cli.score import score
from ifcurate.cli.select import select
from ifcurate.cli.train import train
from ifcurate.cli.write import write


def register(app: typer.Typer) -> None:
    """Add every command to `app`."""
    for command in (annotate, fit, direct, score, select, write, queries, train, export, demo):
        app.command()(command)
    app.add_typer(evaluate, name="eval")
