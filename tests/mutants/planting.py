"""Every small fault that can be planted in a file of Python: one node of its syntax tree
changed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

_SWAPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
# Keywords of these calls are conditions or columns: each is a rule of its own.
_OF_ROWS = {"filter", "exclude", "get", "update", "create", "alias", "annotate", "Q"}
# What they do is seen by nobody, or by a machine that is slower than ours.
_QUIET = {"debug", "info", "warning", "exception", "error", "sleep", "beat"}
# Memory, a guard for mypy, and how strong a lock is: no result depends on them.
_WITHOUT_EFFECT = {"slots", "frozen", "no_key"}


@dataclass(frozen=True, slots=True)
class Fault:
    """`line` of the file: what stood there, and in words what was planted instead; `source`: the
    whole file so."""

    line: int
    was: str
    instead: str
    source: str

    def __str__(self) -> str:
        return f"{self.line}: {_short(self.was)} → {_short(self.instead)}"


def faults(source: str) -> Iterator[Fault]:
    """Every fault of a file, in the order of its lines."""
    tree = ast.parse(source)
    lines = source.encode().splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    raw = source.encode()
    spared = {
        keyword.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg in _WITHOUT_EFFECT
    }
    for node in ast.walk(tree):
        if node in spared:
            continue
        for instead, words in _variants(node):
            begin = starts[node.lineno - 1] + node.col_offset
            end = starts[node.end_lineno - 1] + node.end_col_offset
            was = raw[begin:end].decode()
            planted = (raw[:begin] + instead.encode() + raw[end:]).decode()
            yield Fault(node.lineno, was, words or instead, planted)


def _variants(node: ast.AST) -> Iterator[tuple[str, str]]:
    """What may stand in place of a node, with words for it if they are shorter."""
    match node:
        case ast.Compare(ops=[op], left=left, comparators=comparators) if type(op) in _SWAPPED:
            yield ast.unparse(ast.Compare(left, [_SWAPPED[type(op)]()], comparators)), ""
        case ast.BoolOp(op=op, values=values):
            other = ast.Or() if isinstance(op, ast.And) else ast.And()
            yield f"({ast.unparse(ast.BoolOp(other, values))})", ""
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield f"({ast.unparse(operand)})", ""
        case ast.Constant(value=bool(value)):
            yield str(not value), ""
        case ast.Expr(value=ast.Call(func=function)) if _name(function) not in _QUIET:
            yield "pass", ""
        case ast.Call(func=function, keywords=keywords) if _name(function) in _OF_ROWS:
            for keyword in keywords:
                if keyword.arg:
                    rest = [other for other in keywords if other is not keyword]
                    yield ast.unparse(ast.Call(function, node.args, rest)), f"without {keyword.arg}"
        case ast.AugAssign(target=target, op=ast.Add(), value=value):
            yield ast.unparse(ast.AugAssign(target, ast.Sub(), value)), ""
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as op, right=right) if _counts(node):
            other = ast.Sub() if isinstance(op, ast.Add) else ast.Add()
            yield f"({ast.unparse(ast.BinOp(left, other, right))})", ""


def _name(function: ast.expr) -> str:
    return getattr(function, "attr", None) or getattr(function, "id", "")


def _counts(node: ast.BinOp) -> bool:
    """Numbers or moments, as far as a tree without types can tell: no part is a text or a list."""
    texts = (ast.JoinedStr, ast.List, ast.ListComp, ast.Tuple)
    return not any(
        isinstance(part, texts) or (isinstance(part, ast.Constant) and isinstance(part.value, str))
        for part in ast.walk(node)
    )


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 90 else f"{words[:87]}…"
