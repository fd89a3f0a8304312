"""Commands made from settings: every field of a pydantic model is an option, and stands nowhere else.

Name, type, default, help, heading and aliases come from the field. What is not given on the command line is left to
`--config FILE`, a preset or the field's default, in this order.
"""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ifcurate.cli.commands import COMMANDS
from ifcurate.config import ALIASES, Config
from ifcurate.credentials import require_none
from ifcurate.launch import is_first_process, processes
from ifcurate.registry import OneOf
from ifcurate.working import folder_of, is_url

Settings = TypeVar("Settings", bound=Config)
Given = dict[str, Any]

CONFIG = "config"
LAUNCHED = ("fit", "direct", "train", "eval", "preferences")
"""Commands that torchrun may start in several processes, which then share the work out."""
NUMBERS = (int, float)
SUBMITTED = "logs/jobs.json"
"""In a run folder whose stages were submitted to a cluster, see `ifcurate.pipelines.cluster`."""


def declared(
    kind: type[Settings],
    run: Callable[[Settings], None],
    arguments: Collection[str] = (),
    presets: Mapping[str, Mapping[str, Any]] | None = None,
    only: Collection[str] | None = None,
) -> Callable[..., None]:
    """A Typer command that builds settings of `kind` and hands them to `run`, whose docstring is its help.

    Args:
        kind: the settings.
        run: what the command does; imports whatever is heavy itself.
        arguments: fields that are positional.
        presets: named settings, see `ifcurate.config.build`.
        only: fields that are offered; default: all.
    """

    def command(**given: Any) -> None:
        from ifcurate.cli.at_urls import begin, folders_in
        from ifcurate.cli.quiet import quieten
        from ifcurate.config import build

        file = given.pop(CONFIG)
        quieten()
        urls = begin(folders_in(kind, _really_given(given), file))
        settings = build(kind, _really_given(given), file, presets)
        with nullcontext() if settings.only_looks else _owning(_written_by(settings), urls):
            run(settings)

    parameters = _parameters(kind, arguments, only)
    file = Annotated[Path | None, typer.Option("--config", help="YAML with these options; a saved one replays a run")]
    parameters.append(_parameter(CONFIG, file))
    return _with_signature(command, parameters, run)


def declared_stage(
    kind: type[Config], fields: Collection[str], run: Callable[[str, Given], None]
) -> Callable[..., None]:
    """A Typer command on an existing run that changes some of its settings, the `fields` of `kind`."""

    def command(run_folder: str, **given: Any) -> None:
        from ifcurate.cli.at_urls import begin
        from ifcurate.cli.quiet import quieten

        quieten()
        require_none(run_folder)
        urls = begin([run_folder])
        with _owning([folder_of(run_folder)], urls):
            run(folder_of(run_folder), _really_given(given))

    folder = Annotated[str, typer.Argument(metavar="RUN", help="a folder, or a URL, made by `annotate` or `fit`")]
    first = inspect.Parameter("run_folder", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=folder)
    return _with_signature(command, [first, *_parameters(kind, (), fields)], run)


def _written_by(settings: Config) -> list[str]:
    """The folders on disk that a command writes: `out`, or those it adds to."""
    out = getattr(settings, "out", None)
    places = list(getattr(settings, "folders", [])) if out is None else [out]
    return [place for place in places if not is_url(place)]


@contextmanager
def _owning(folders: Collection[str], urls: list[str]) -> Iterator[None]:
    """The folders belong to this command, and to all processes of its launch, while the block runs.

    Args:
        folders: that it writes.
        urls: that it works at; folders there belong to it with the whole URL.

    Raises:
        InputError: another command has one of them, or a launch was started of a command that knows none.
    """
    from ifcurate.cli.at_urls import present
    from ifcurate.errors import InputError
    from ifcurate.lock import owning

    command = next((word for word in sys.argv[1:] if word in COMMANDS), "")
    if processes() > 1 and command not in LAUNCHED:
        raise InputError(f"ifcurate {command}: the processes of a launch cannot share it out; start it once, alone.")
    with ExitStack() as stack:
        elsewhere = stack.enter_context(present(urls, folders, f"ifcurate {command}"))
        for folder in elsewhere if is_first_process() else ():
            stack.enter_context(owning(Path(folder), f"ifcurate {command}"))
            if (Path(folder) / SUBMITTED).is_file():
                from ifcurate.pipelines.cluster import require_free

                require_free(Path(folder))
        yield


def _with_signature(
    command: Callable[..., None], parameters: list[inspect.Parameter], run: Callable[..., None]
) -> Callable[..., None]:
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__doc__ = run.__doc__
    command.__name__ = run.__name__
    return command


def _really_given(given: Given) -> Given:
    return {name: value for name, value in given.items() if value is not None and value != []}


def _parameters(
    kind: type[Config], arguments: Collection[str], only: Collection[str] | None
) -> list[inspect.Parameter]:
    fields = {name: field for name, field in kind.model_fields.items() if only is None or name in only}
    positional = [_parameter(name, _argument(name, fields[name])) for name in arguments]
    options = [_parameter(name, _option(kind, name, field)) for name, field in fields.items() if name not in arguments]
    return positional + options


def _parameter(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _argument(name: str, field: FieldInfo) -> Any:
    several = "..." if _is_list(field) else ""
    return Annotated[_typed(field), typer.Argument(metavar=name.upper() + several, help=field.description)]


def _option(kind: type[Config], name: str, field: FieldInfo) -> Any:
    word = name.replace("_", "-")
    names = [f"--{word}/--no-{word}" if field.annotation is bool else f"--{word}", *_aliases(field)]
    option = typer.Option(
        *names,
        help=field.description,
        metavar=_metavar(field),
        show_default=shown_default(field) or False,
        rich_help_panel=kind.panel_of(name),
    )
    return Annotated[_typed(field), option]


def shown_default(field: FieldInfo) -> str | None:
    """A field's default as the help shows it; None where there is none to show."""
    default = field.default_factory() if field.default_factory is not None else field.default  # type: ignore[call-arg]
    if default is None or default is PydanticUndefined or default == []:
        return None
    if isinstance(default, bool):
        return "yes" if default else "no"
    if isinstance(default, list):
        return " ".join(default)
    return str(default)


def _aliases(field: FieldInfo) -> list[str]:
    extra = field.json_schema_extra
    return list(extra.get(ALIASES, [])) if isinstance(extra, dict) else []  # type: ignore[arg-type,union-attr]


def _alternatives(field: FieldInfo) -> list[Any]:
    """The types that a field takes, None left out."""
    annotation = field.annotation
    several = get_origin(annotation) in (Union, types.UnionType)
    return [kind for kind in (get_args(annotation) if several else [annotation]) if kind is not type(None)]


def _is_list(field: FieldInfo) -> bool:
    return any(get_origin(kind) is list for kind in _alternatives(field))


def _typed(field: FieldInfo) -> Any:
    """What Typer parses: numbers and switches as what they are, all else as text for pydantic to judge."""
    if _is_list(field):
        return list[str] | None
    kinds = _alternatives(field)
    if kinds == [bool]:
        return bool | None
    return kinds[0] | None if len(kinds) == 1 and kinds[0] in NUMBERS else str | None


def _metavar(field: FieldInfo) -> str | None:
    """The values to choose from, where they are few."""
    (kind, *others) = _alternatives(field)
    if get_origin(kind) is Literal and not others:
        return "|".join(map(str, get_args(kind)))
    metadata = (*field.metadata, *getattr(kind, "__metadata__", ()))  # of the field, or of the type beside None
    named = next((one for one in metadata if isinstance(one, OneOf)), None)
    return "|".join(named.names) if named is not None else None
