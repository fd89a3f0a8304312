"""What is imported is declared, and what is declared is imported."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAMED_OTHERWISE = {"alt-profanity-check": "profanity_check", "pyyaml": "yaml", "scikit-learn": "sklearn"}
COMES_WITH = {"pydantic_core": "pydantic"}  # which pins its exact version
USED_WHERE_INSTALLED = {"vllm", "streaming", "olmo_core", "megatron"}
"""No extras: they choose a torch or a transformers of their own, and whoever lacks one is told how to get it."""
IMPORTED_BY_OTHERS = {"gguf", "liger_kernel", "s3fs"}  # transformers, fsspec


def declared(*, extras: bool) -> set[str]:
    """Top-level modules of the dependencies, or of those in extras other than `dev`."""
    found = set()
    for line in requires("ifcurate") or []:
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", line)
        name = re.match(r"[\w-]+", line)
        assert name is not None, line
        if (extra is not None) == extras and not (extra and extra[1] == "dev"):
            distribution = name[0].lower().replace("_", "-")
            found.add(NAMED_OTHERWISE.get(distribution, distribution.replace("-", "_")))
    return found


def imported(*, everywhere: bool) -> dict[str, str]:
    """Every foreign top-level module and one place that imports it; without `everywhere` not those inside functions."""
    found = {}
    for folder in ("ifcurate", "cli", "pipelines"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for line, module in names(ast.walk(tree) if everywhere else outside_functions(tree)):
                if module not in sys.stdlib_module_names and module != "ifcurate":
                    found[COMES_WITH.get(module, module)] = f"{path.relative_to(ROOT)}:{line}"
    return found


def outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
            yield from outside_functions(child)


def names(nodes: Iterator[ast.AST]) -> Iterator[tuple[int, str]]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, str(node.module).split(".")[0]


def test_what_is_imported_is_declared() -> None:
    known = declared(extras=False) | declared(extras=True) | USED_WHERE_INSTALLED
    assert {module: place for module, place in imported(everywhere=True).items() if module not in known} == {}


def test_importing_the_package_needs_no_extra() -> None:
    """What only an extra brings is imported where it is used, inside a function."""
    known = declared(extras=False)
    assert {module: place for module, place in imported(everywhere=False).items() if module not in known} == {}


def test_what_is_declared_is_imported() -> None:
    known = declared(extras=False) | declared(extras=True)
    assert known - set(imported(everywhere=True)) == IMPORTED_BY_OTHERS
