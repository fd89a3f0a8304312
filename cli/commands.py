"""The list of commands, each in a file of its own that is imported when the command is called.

`ifcurate --help` needs a sentence of every command only: it is read from the file, as the docstring of what it runs.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

COMMANDS = (
    *("plan", "annotate", "fit", "direct", "score", "select", "write", "status"),
    *("report", "inspect", "combine", "screen", "distil", "queries", "train", "verify", "overlap", "export"),
    *("publish", "attach", "directions"),
    *("demo", "eval", "reward-model", "preferences", "dpo", "study"),
)
CONTEXT = {"help_option_names": ["-h", "--help"]}
MODULES = {"eval": "evaluate", "reward-model": "reward_model"}
"""Commands whose file has another name."""


class LazyGroup(TyperGroup):
    """Commands that are made when they are called; until then each is a name and a sentence."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Replace the command that `args` begins with by the one that does the work."""
        if args and args[0] in COMMANDS:
            self.commands[args[0]] = load(args[0])
        return super().resolve_command(ctx, args)


def register(app: typer.Typer) -> None:
    """Add the name and sentence of every command to `app`, whose group is a `LazyGroup`."""
    for name in COMMANDS:
        app.command(name)(_placeholder(MODULES.get(name, name)))


def load(name: str) -> Any:
    """The command `name`, with its options, or a group of commands."""
    module = import_module(f"ifcurate.cli.{MODULES.get(name, name)}")
    if isinstance(module.command, typer.Typer):
        return typer.main.get_group(module.command)
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, context_settings=CONTEXT)
    alone.command(name)(module.command)
    return typer.main.get_command(alone)


def _placeholder(module: str) -> Callable[[], None]:
    def command() -> None: ...

    command.__doc__ = _docstring_of(module)
    return command


def _docstring_of(module: str) -> str | None:
    """That of the function called as its module is, read without running it."""
    tree = ast.parse((Path(__file__).parent / f"{module}.py").read_text(encoding="utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    return next((ast.get_docstring(node) for node in functions if node.name == module), None)
