"""The `ifcurate` command: one file a command, heavy imports inside the command, errors in one sentence."""

from __future__ import annotations

import sys

import typer

from ifcurate.cli import commands
from ifcurate.errors import InputError, sentence
from ifcurate.version import __version__

USAGE_ERROR = 2
INTERRUPTED = 130
DEBUG = "--debug"

app = typer.Typer(
    name="ifcurate",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
commands.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit()


@app.callback()
def root(
    debug: bool = typer.Option(False, DEBUG, help="Show the traceback of an error."),
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    """Find the tokens of a corpus that teach a behaviour, mark them, and train models away from them."""


def main() -> None:
    """Run the command line; exit 0 on success, 2 on bad input (one sentence on standard error), 130 on Ctrl-C.

    `--debug` may stand anywhere, before the command or after it.
    """
    words = [word for word in sys.argv[1:] if word != DEBUG]
    try:
        app(words)
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            typer.echo("Interrupted; run the same command again to continue.", err=True)
        raise
    except (InputError, OSError) as error:
        if DEBUG in sys.argv[1:]:
            raise
        typer.echo(f"Error: {sentence(error)}", err=True)
        sys.exit(USAGE_ERROR)
