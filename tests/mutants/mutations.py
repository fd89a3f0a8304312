"""Single mistakes in Python source: a sign, a comparison, an index, a border, a constant, a condition the other way."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
}
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
OPPOSITES = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum", "any": "all", "all": "any"}
NOT_COMPUTED = {"description", "frozen", "repr", "strict"}
"""Keyword arguments that are words for people, or guards against mistakes of our own."""


@dataclass(frozen=True)
class Mutant:
    """One mistake: characters `start .. end` of the source of `path` replaced."""

    path: str
    line: int
    start: int
    end: int
    before: str
    after: str

    def of(self, source: str) -> str:
        """The source with the mistake in it."""
        return source[: self.start] + self.after + source[self.end :]

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.before} -> {self.after}"


def mutants_of(path: str, source: str) -> list[Mutant]:
    """Every mistake we know that can be made in `source`, in its order; each compiles."""
    lines = source.encode().splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))

    def place(line: int, column: int) -> int:
        return len(source.encode()[: starts[line - 1] + column].decode())

    found = []
    for node, mistakes in _mistakes(ast.parse(source)):
        start, end = place(node.lineno, node.col_offset), place(node.end_lineno or 0, node.end_col_offset or 0)
        for mistake in mistakes:
            mutant = Mutant(path, node.lineno, start, end, source[start:end], f"({ast.unparse(mistake)})")
            compile(mutant.of(source), path, "exec")
            found.append(mutant)
    return sorted(found, key=lambda mutant: (mutant.start, mutant.end, mutant.after))


def _mistakes(node: ast.AST) -> Iterator[tuple[ast.expr, list[ast.expr]]]:
    """Every expression below `node` that computes something, and what may stand there in its place."""
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or _is_no_computation(child):
                continue
            if isinstance(child, ast.expr):
                yield child, _changed(child)
            yield from _mistakes(child)


def _is_no_computation(node: ast.AST) -> bool:
    if isinstance(node, ast.JoinedStr | ast.Raise):
        return True  # a message
    if isinstance(node, ast.keyword):
        return node.arg in NOT_COMPUTED
    if isinstance(node, ast.Assign):
        return all(isinstance(target, ast.Name) and target.id.isupper() for target in node.targets)  # sizes we chose
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _changed(node: ast.expr) -> list[ast.expr]:
    match node:
        case ast.BinOp(left, operator, right) if type(operator) in OPERATORS and not _is_text(node):
            return [ast.BinOp(left, OPERATORS[type(operator)](), right)]
        case ast.Compare(left, [operator], [right]) if type(operator) in COMPARISONS:
            return [ast.Compare(left, [COMPARISONS[type(operator)]()], [right])]
        case ast.Compare(left, [one, other], rights) if type(one) in COMPARISONS and type(other) in COMPARISONS:
            return [
                ast.Compare(left, [COMPARISONS[type(one)](), other], rights),
                ast.Compare(left, [one, COMPARISONS[type(other)]()], rights),
            ]
        case ast.BoolOp(operator, values):
            return [ast.BoolOp(ast.Or() if isinstance(operator, ast.And) else ast.And(), values)]
        case ast.UnaryOp(ast.USub() | ast.Not() | ast.Invert(), operand):
            return [operand]
        case ast.Constant(value) if isinstance(value, bool):
            return [ast.Constant(not value)]
        case ast.Constant(value) if isinstance(value, int):
            return [ast.Constant(1 - value if value in (0, 1) else value + 1)]
        case ast.Subscript(value, ast.Slice() as border):
            return [ast.Subscript(value, moved, ast.Load()) for moved in _moved(border)]
        case ast.Subscript(value, ast.Name() as index, ast.Load()):
            return [ast.Subscript(value, ast.BinOp(index, ast.Add(), ast.Constant(1)), ast.Load())]
        case ast.Call(ast.Name(name) as function, arguments, keywords) if name in OPPOSITES:
            return [ast.Call(ast.Name(OPPOSITES[function.id]), arguments, keywords)]
        case ast.Call(ast.Attribute(value, name), arguments, keywords) if name in OPPOSITES:
            return [ast.Call(ast.Attribute(value, OPPOSITES[name], ast.Load()), arguments, keywords)]
    return []


def _moved(border: ast.Slice) -> Iterator[ast.Slice]:
    """The slice with one of its borders, where it is no constant, one place further."""
    for name in ("lower", "upper"):
        edge = getattr(border, name)
        if edge is not None and not isinstance(edge, ast.Constant | ast.UnaryOp):
            given = {"lower": border.lower, "upper": border.upper, "step": border.step}
            yield ast.Slice(**{**given, name: ast.BinOp(edge, ast.Add(), ast.Constant(1))})


def _is_text(node: ast.BinOp) -> bool:
    """Strings that are joined: another operator is a TypeError, which any test notices."""
    sides = (node.left, node.right)
    return any(isinstance(side, ast.JoinedStr) or isinstance(getattr(side, "value", None), str) for side in sides)
