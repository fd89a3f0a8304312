"""Files and functions that grow past these sizes are telling that a name is missing."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("ifcurate", "pipelines", "cli", "benchmarks")
LONGEST_FILE, LONGEST_FUNCTION = 300, 60


def test_no_file_and_no_function_is_too_long() -> None:
    found = []
    paths = {folder: sorted((ROOT / folder).rglob("*.py")) for folder in FOLDERS}
    assert all(paths.values())
    for path in (path for those in paths.values() for path in those):
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(ROOT)
        if (lines := text.count("\n")) > LONGEST_FILE:
            found.append(f"{name} has {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION:
                found.append(f"{name}:{node.lineno} {node.name} is longer than {LONGEST_FUNCTION} lines")
    assert found == []
