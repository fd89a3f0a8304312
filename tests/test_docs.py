"""What is written is true: links lead somewhere, quoted commands parse, quoted Python imports what there is."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest

from ifcurate.cli.commands import COMMANDS, load

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
MOST_LINES_OF_README = 150


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, *languages: str) -> Iterator[str]:
    """The fenced blocks of `page` in one of `languages`."""
    for language, text in re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S):
        if language in languages:
            yield text


def anchors(page: Path) -> set[str]:
    """Of the headings of `page`, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(page: Path) -> list[str]:
    """Every `ifcurate ...` that stands in a block or between backticks."""
    text = page.read_text(encoding="utf-8")
    lines = "\n".join(blocks(page, "", "console", "bash", "sh")).replace("\\\n", " ").splitlines()
    whole = [part.strip() for line in lines for part in line.removeprefix("$ ").split("&&")]
    return [line for line in [*whole, *re.findall(r"`(ifcurate [^`]*)`", text)] if line.startswith("ifcurate ")]


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= MOST_LINES_OF_README


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{name_of(page)} links to {target}"
        if anchor:
            assert anchor in anchors(found), f"{name_of(page)} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_quoted_commands_parse(page: Path) -> None:
    for line in commands(page):
        words = [word for word in shlex.split(line.partition("  #")[0])[1:] if not word.startswith("[")]
        if words and words[0] in COMMANDS:
            parse(load(words[0]), [word for word in words[1:] if word != "..."], line)


def parse(command: Any, words: list[str], line: str) -> None:
    """Let the command read its options as it would, without running it."""
    while hasattr(command, "commands") and words:
        name, *words = words
        assert name in command.commands, line
        command = command.commands[name]
    options = [word for word in words if word.startswith("-")]
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {option.partition("=")[0] for option in options} <= known | {"-h", "--help", "--debug", "-v", "-q"}, line
    if len(words) > 1:  # a name alone is no quoted command
        command.make_context(command.name, list(words), resilient_parsing=True)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_quoted_python_imports_what_there_is(page: Path) -> None:
    for text in blocks(page, "python"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "ifcurate":
                module = importlib.import_module(str(node.module))
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


def test_the_pages_hold_commands_and_python() -> None:
    assert sum(len(commands(page)) for page in PAGES) > 15
    assert sum(len(list(blocks(page, "python"))) for page in PAGES) > 3


def test_the_table_of_private_interfaces_is_true() -> None:
    """Each name stands in the file that is named, and the bounds are those of `pyproject.toml`."""
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \| (.*?) \| `(.*?\.py)` \| .* \| `(.*?)` \|$", page, re.M)
    assert len(rows) == 14
    for library, what, file, bounds in rows:
        text = (ROOT / file).read_text(encoding="utf-8")
        assert [name for name in re.findall(r"`(.*?)`", what) if name not in text] == [], file
        asked = [re.sub(r"^[\w-]+", "", line) for line in requires("ifcurate") or [] if line.startswith(library)]
        assert library == "Python" or [set(one.split(",")) for one in asked] == [set(bounds.split(","))], library
