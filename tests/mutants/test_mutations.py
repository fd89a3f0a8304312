from __future__ import annotations

from pathlib import Path

import pytest
from covering import COVERING
from mutations import mutants_of
from run import equivalent, name_of

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("line", "mistakes"),
    [
        ("a + b", {"(a - b)"}),
        ("a < b", {"(a <= b)"}),
        ("a == b", {"(a != b)"}),
        ("a < b <= c", {"(a <= b <= c)", "(a < b < c)"}),
        ("a and b", {"(a or b)"}),
        ("not a", {"(a)"}),
        ("min(a, b)", {"(max(a, b))"}),
        ("a.max()", {"(a.min())"}),
        ("a[i]", {"(a[i + 1])"}),
        ("a[i:]", {"(a[i + 1:])"}),
        ("a[1:]", {"a[(0):]"}),
        ("-a", {"(a)"}),
        ("True", {"(False)"}),
        ("7", {"(8)"}),
        ("f(strict=True)", set()),
        ("f'{a + b}'", set()),
        ("'a' + b", set()),
    ],
)
def test_mistakes(line: str, mistakes: set[str]) -> None:
    source = f"def f(a: list[0]) -> None:\n    é = {line}\n"
    found = {mutant.of(source).splitlines()[1].removeprefix("    é = ") for mutant in mutants_of("x.py", source)}
    assert found == mistakes


def test_constants_in_capitals_and_messages_are_left_alone() -> None:
    assert mutants_of("x.py", "MOST = 1 << 16\nif TYPE_CHECKING:\n    a = 1\nraise ValueError(1)\n") == []


@pytest.mark.parametrize("path", COVERING)
def test_every_source_has_mutants_and_tests(path: str) -> None:
    assert mutants_of(path, (ROOT / path).read_text(encoding="utf-8"))
    tests = [test.removeprefix("--deselect=").partition("::") for test in COVERING[path]]
    assert all((ROOT / file).is_file() for file, _, _ in tests)
    assert all(f"def {name}(" in (ROOT / file).read_text(encoding="utf-8") for file, _, name in tests if name)


def test_what_is_called_equivalent_is_there() -> None:
    names = set()
    for path in COVERING:
        source = (ROOT / path).read_text(encoding="utf-8")
        names |= {name_of(mutant, source) for mutant in mutants_of(path, source)}
    assert equivalent() - names == set(), "left over from code that has changed"
