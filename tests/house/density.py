"""`python -m tests.house.density [folder]`: how dense the code of each layer is. A report, no gate.

Measured are the modules of the layers without migrations. A code line holds a token that is no
comment and no docstring. A private function is used once if its module names it once beside its
definition. A sentence is a string that reads as one and stands outside of gettext.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.house.sources import LAYERS, ROOT, layer_of, modules

_NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}
_MARKED = re.compile(r"_|n?p?gettext(_lazy|_noop)?|ngettext_lazy")
_FOR_ENGINEERS = {"getLogger", "debug", "info", "warning", "error", "exception", "compile"}
# Its action is a key of the trail; pages of errors do not show the words of the others.
_FOR_ENGINEERS |= {"record", "DisallowedModelAdminLookup", "SignInNotSetUp"}
# Texts that are written in English, whoever reads.
UNTRANSLATED = re.compile(
    # for a terminal, a log or a program; routes have summaries for OpenAPI
    r"/management/|reports/(api|intake)\.py$|/checks\.py$|/lib/(env|openapi)\.py$|/lib/compat/|/api/|/sandbox/|health\.py$|rowsecurity\.py$"
    r"|/postgres/|pushpilot/(startup|processes|product|demo\w*|api)\.py$|reports/(verify|models)\.py$"
    # exchanged with providers
    r"|fcm/(account|sender|sandbox_client|provider)\.py$|providers/http2\.py$|/lib/http\.py$"
    # kept in rows: why a run paused, who did what
    r"|engine/(breaker|installation|pipeline|work)\.py$|delivery/(connections|models)\.py$|fcm/codes\.py$|tenants/audit\.py$"
    r"|pushpilot/history\.py$|reports/sandbox_devices\.py$"
    # names, of browsers and of Unicode, and messages to import
    r"|tenants/sessions\.py$|/lib/spelling\.py$|push/words\.py$"
)
_QUERY = re.compile(r"\b(SELECT|UPDATE|INSERT|WHERE|DELETE|CREATE|ALTER|DROP)\b")
_TWO_WORDS = re.compile(r"[A-Za-z]{2,} [a-zA-Z{]")


def main() -> None:
    root = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT
    found: dict[str, Counter[str]] = {layer: Counter() for layer in LAYERS}
    for module, file in modules(root):
        layer = layer_of(module)
        if layer is not None:
            found[LAYERS[layer]] += measured(file)
    print(row("layer", "lines", "tokens/line", "if-else/1000", "nested", "skip", "once", "texts"))
    for layer, counts in found.items():
        print(figures(layer, counts))
    print(figures("all", sum(found.values(), Counter())))


def row(*cells: str) -> str:
    return f"| {cells[0]:<20} |" + "".join(f" {cell:>12} |" for cell in cells[1:])


def figures(name: str, counts: Counter[str]) -> str:
    lines = max(1, counts["lines"])
    return row(
        name,
        f"{counts['lines']:,}",
        f"{counts['tokens'] / lines:.1f}",
        f"{1000 * counts['conditional'] / lines:.1f}",
        *(str(counts[key]) for key in ("nested", "skip", "once", "texts")),
    )


def measured(file: Path) -> Counter[str]:
    source = file.read_text(encoding="utf-8")
    tree = ast.parse(source)
    is_told = UNTRANSLATED.search(file.as_posix()) is None
    conditional = [node for node in ast.walk(tree) if isinstance(node, ast.IfExp)]
    return Counter(
        **_size(source, _docstring_lines(tree)),
        conditional=len(conditional),
        nested=sum(map(_is_nested, conditional)),
        skip=source.count("# fmt: skip"),
        once=sum(1 for _ in _used_once(tree, source)),
        texts=sum(1 for _ in sentences(tree)) if is_told else 0,
    )


def _size(source: str, docstrings: set[int]) -> dict[str, int]:
    tokens = [
        token
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in _NO_CODE and token.start[0] not in docstrings
    ]
    return {"tokens": len(tokens), "lines": len({token.start[0] for token in tokens})}


def _docstring_lines(tree: ast.Module) -> set[int]:
    texts = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]
    return {line for node in texts for line in range(node.lineno, (node.end_lineno or 0) + 1)}


def _is_nested(node: ast.IfExp) -> bool:
    return any(isinstance(part, ast.IfExp) for part in ast.walk(node) if part is not node)


def _used_once(tree: ast.Module, source: str) -> Iterator[str]:
    for node in ast.walk(tree):
        is_private = isinstance(node, ast.FunctionDef) and re.match(r"_[a-z]", node.name)
        if is_private and len(re.findall(rf"\b{node.name}\b", source)) == 2:
            yield node.name


def sentences(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, text) of strings of two words or more that begin or end as a sentence does."""
    passed = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr | ast.Call) and _is_passed(node)
        for part in ast.walk(node)
    }
    inner = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
    }
    passed |= inner
    for node in ast.walk(tree):
        if id(node) in passed or not isinstance(node, ast.Constant | ast.JoinedStr):
            continue
        text = _text(node)
        if _reads_as_a_sentence(text):
            yield node.lineno, text


def _is_passed(node: ast.Expr | ast.Call) -> bool:
    """A docstring, a marked text, or one for engineers."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    name = getattr(node.func, "id", getattr(node.func, "attr", ""))
    return bool(_MARKED.fullmatch(name)) or name in _FOR_ENGINEERS or name.endswith("Error")


def _text(node: ast.Constant | ast.JoinedStr) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    return "".join(
        str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
    )


def _reads_as_a_sentence(text: str) -> bool:
    plain = re.sub(r"<[^>]*>", "", text).strip()
    if _QUERY.search(plain) or not _TWO_WORDS.search(plain):
        return False
    return bool(re.match(r"[A-Z“{]", plain)) or plain.endswith((".", ":", "?"))


if __name__ == "__main__":
    main()
