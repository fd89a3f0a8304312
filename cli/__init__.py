"""The `ifcurate` command: one file a command, heavy imports inside the command, errors in one sentence."""

from __future__ import annotations

import sys

import typer

from ifcurate.cli import commands
from ifcurate.cli.messages import BROKEN_PIPE, VERBOSITY, close_quietly, is_broken_pipe, show_log
from ifcurate.cli.stopping import INTERRUPTED, TERMINATED, stopping_in_order
from ifcurate.errors import InputError, sentence
from ifcurate.version import __version__
from ifcurate.working import named

USAGE_ERROR = 2
DEBUG = "--debug"

app = typer.Typer(
    name="ifcurate",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    cls=commands.LazyGroup,
    context_settings=commands.CONTEXT,
)
commands.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit()


@app.callback()
def root(
    debug: bool = typer.Option(False, DEBUG, help="Show the traceback of an error."),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Say what is chosen, too: engine, batches, workers."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Say nothing but results, warnings and errors."),
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    """Find the tokens of a corpus that teach a behaviour, mark them, and train models away from them."""


def main() -> None:
    """Run the command line; exit 0 on success, 2 on bad input (one sentence on standard error), 130 on Ctrl-C, 143 when
    it was asked to terminate.

    `--debug`, `-v` and `-q` may stand anywhere, before the command or after it. A reader that closes the pipe, as
    `head` does, ends the command without a word.
    """
    words = [word for word in sys.argv[1:] if word != DEBUG and word not in VERBOSITY]
    show_log(sys.argv[1:])
    try:
        try:
            with stopping_in_order():
                app(words)
        finally:
            sys.stdout.flush()
    except SystemExit as stop:
        if stop.code in (INTERRUPTED, TERMINATED):
            how = "Interrupted" if stop.code == INTERRUPTED else "Terminated"
            typer.echo(f"{how}; run the same command again to continue.", err=True)
        if is_broken_pipe(stop.__context__):  # Typer and rich make it an exit of their own, with 1
            close_quietly()
            sys.exit(BROKEN_PIPE)
        raise
    except BrokenPipeError:
        close_quietly()
        sys.exit(BROKEN_PIPE)
    except (InputError, OSError) as error:
        if DEBUG in sys.argv[1:]:
            raise
        typer.echo(f"Error: {named(sentence(error))}", err=True)
        sys.exit(USAGE_ERROR)
