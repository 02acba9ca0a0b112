"""What the layers call each other by beside imports: URL names, templates, scripts and styles,
tag libraries.

Open to every layer is what no layer of ours brings (a library's name, also where the root
overrides the library's template) and the theme, which every page wears.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from django.apps import apps
from django.contrib.staticfiles.finders import get_finders
from django.template import engines
from django.template.base import Lexer, TokenType
from django.template.utils import get_app_template_dirs
from django.urls import URLPattern, URLResolver, get_resolver
from unfold.sites import UnfoldAdminSite

from pushpilot.sites import console, platform
from tests.house.sources import LAYERS, ROOT, layer_of, modules

# What every page wears. It may itself use nothing but itself, the bottom layer and libraries.
THEME = ("pushpilot/static/pushpilot/", "pushpilot/templates/plain/")
BOTTOM, TOP = 0, len(LAYERS) - 1
SITES = (console, platform)
HOLE = "\0"  # in a name, for a part that only the running program knows

_FILE = re.compile(r"[\w./-]+\.(?:html|txt|css|js|svg)")
_ON_SITE = re.compile(rf"(?:{'|'.join(site.name for site in SITES)}):\S*")
_QUOTED = re.compile(r"""["']([^"']*)["']""")
_BEGUN = re.compile(r"""["']([^"']*)["']\|add:""")
_IMPORT = {
    ".js": re.compile(
        r"""^\s*(?:import|export)\b[^"'();]*["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']""", re.M
    ),
    ".css": re.compile(r"""@import\s+["']([^"']+)["']|url\(\s*["']?([^"')]+)"""),
}
_NAMING_TAGS = ("include", "extends", "static", "url")  # their first argument is a name
_GIVING_ADDRESSES = ("reverse", "reverse_lazy", "redirect", "resolve_url")


# --- who brings what ------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Names:
    """{name: the layer that brings it}, for each kind of name. BOTTOM: open to every layer."""

    url: dict[str, int] = field(default_factory=dict)
    file: dict[str, int] = field(default_factory=dict)
    tags: dict[str, int] = field(default_factory=dict)


def all_names(root: Path = ROOT) -> Names:
    """The names that the running product knows."""
    libraries = engines["django"].engine.libraries  # type: ignore[attr-defined]
    tags = {name: _layer(module) for name, module in libraries.items()}
    return Names(url_names(), file_names(root) | dict.fromkeys(_files_of_libraries(), BOTTOM), tags)


def _layer(module: str) -> int:
    found = layer_of(module)
    return BOTTOM if found is None else found


def url_names() -> dict[str, int]:
    """A page class brings the names of its page, also those that Django makes from a lower
    layer's model. Every other name belongs to the module of its view; what every site of Unfold
    has, to a library."""
    found = {name: _layer(module) for name, module in _named(get_resolver().url_patterns)}
    for site in SITES:
        for page in site._registry.values():
            names = (f"{site.name}:{name}" for name, _ in _named(page.get_urls()))
            found |= dict.fromkeys(names, _layer(type(page).__module__))
        found |= {
            f"{site.name}:{name}": BOTTOM
            for name, _ in _named(UnfoldAdminSite(site.name).get_urls())
        }
    return found


def _named(patterns: Iterable[Any], space: str = "") -> Iterator[tuple[str, str]]:
    """(name with its namespace, module of the view)"""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _named(
                pattern.url_patterns, f"{space}{pattern.namespace}:" if pattern.namespace else space
            )
        elif isinstance(pattern, URLPattern) and pattern.name:
            yield (
                f"{space}{pattern.name}",
                getattr(pattern.callback, "view_class", pattern.callback).__module__,
            )


def own_files(root: Path) -> Iterator[tuple[Path, str, int]]:
    """(file, name, layer) of every template, script and style of ours: a package's `static` or
    `templates` holds it."""
    for package in sorted({layer.split(".")[0] for layer in LAYERS}):
        for file in sorted((root / package).rglob("*.*")):
            parts = file.relative_to(root).parts
            place = next(
                (at for at, part in enumerate(parts) if part in ("static", "templates")), None
            )
            if place and file.is_file():
                is_theme = file.relative_to(root).as_posix().startswith(THEME)
                yield (
                    file,
                    "/".join(parts[place + 1 :]),
                    BOTTOM if is_theme else _layer(".".join(parts[:place])),
                )


def file_names(root: Path) -> dict[str, int]:
    return {name: layer for _, name, layer in own_files(root)}


@cache
def _files_of_libraries() -> frozenset[str]:
    """The names of templates, scripts and styles that a library brings."""
    own = [Path(app.path) for app in apps.get_app_configs() if layer_of(app.name) is not None]
    folders = [Path(folder) for folder in get_app_template_dirs("templates")]
    templates = {
        file.relative_to(folder).as_posix()
        for folder in folders
        if not any(folder.is_relative_to(app) for app in own)
        for file in folder.rglob("*.*")
    }
    static = {
        name
        for finder in get_finders()
        for name, storage in finder.list([])
        if not any(Path(storage.path(name)).is_relative_to(app) for app in own)
    }
    return frozenset(templates | static)


# --- who uses what --------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Use:
    kind: str  # a field of Names
    name: str
    line: int


def uses_in_python(tree: ast.AST) -> Iterator[Use]:
    """Every string that is a template's, script's or style's name, or a URL's with its site; any
    name that is asked for an address. A variable is none: the string that it holds is met where
    it is written."""
    parts = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            asked = (
                node.func.attr
                if isinstance(node.func, ast.Attribute)
                else getattr(node.func, "id", "")
            )
            name = _text(node.args[0]) if asked in _GIVING_ADDRESSES and node.args else ""
            if name and not _ON_SITE.fullmatch(name) and not set("/?") & set(name):
                yield Use("url", name, node.lineno)
        elif isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in parts:
            name = _text(node)
            if _ON_SITE.fullmatch(name):
                yield Use("url", name + HOLE if name.endswith(":") else name, node.lineno)
            elif _FILE.fullmatch(name.replace(HOLE, "_")):
                yield Use("file", name, node.lineno)


def _text(node: ast.AST) -> str:
    """A string, a HOLE for each part that is computed; "" for everything else.

    Also for a name made of a model's labels: it leads to the page of a row that the code holds.
    """
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if not isinstance(node, ast.JoinedStr) or _has_label_of_a_model(node):
        return ""
    return "".join(
        str(part.value) if isinstance(part, ast.Constant) else HOLE for part in node.values
    )


def _has_label_of_a_model(text: ast.JoinedStr) -> bool:
    return any(
        isinstance(node, ast.Attribute) and node.attr == "app_label" for node in ast.walk(text)
    )


def uses_in_template(text: str) -> Iterator[Use]:
    for token in Lexer(text).tokenize():
        if token.token_type not in (TokenType.BLOCK, TokenType.VAR):
            continue
        words, line = token.split_contents(), token.lineno or 0
        tag = words[0] if token.token_type == TokenType.BLOCK else ""
        if tag == "load":
            libraries = words[words.index("from") + 1 :] if "from" in words else words[1:]
            yield from (Use("tags", library, line) for library in libraries)
        elif tag in _NAMING_TAGS:
            yield Use("url" if tag == "url" else "file", _first_name(words[1]), line)
            words = words[2:]
        for name in (name for word in words for name in _QUOTED.findall(word)):
            if _FILE.fullmatch(name) or _ON_SITE.fullmatch(name):
                yield Use("file" if _FILE.fullmatch(name) else "url", name, line)


def _first_name(word: str) -> str:
    """ "a.html" names a.html; "channels/"|add:x whatever begins so; a variable anything."""
    if literal := _QUOTED.fullmatch(word):
        return literal[1]
    begun = _BEGUN.match(word)
    return f"{begun[1]}{HOLE}" if begun else HOLE


def uses_in_asset(text: str, kind: str, name: str) -> Iterator[Use]:
    """What the script or style `name` loads, by the name under which it is served."""
    for match in _IMPORT[kind].finditer(text):
        parts = name.split("/")[:-1]
        for part in next(filter(None, match.groups())).split("/"):
            parts = parts[:-1] if part == ".." else parts if part == "." else [*parts, part]
        yield Use("file", "/".join(parts), text.count("\n", 0, match.start()) + 1)


# --- which uses point right -----------------------------------------------------------------------
def faults(root: Path, names: Names) -> list[str]:
    """One sentence for each name that points right, may do so, or is no URL's. The wiring names
    everyone."""
    found = []
    for module, file in modules(root):
        uses = uses_in_python(ast.parse(file.read_text(encoding="utf-8")))
        found += _judged(file.relative_to(root), _layer(module), uses, names)
    for file, name, layer in own_files(root):
        if file.suffix in _IMPORT:
            uses = uses_in_asset(file.read_text(encoding="utf-8"), file.suffix, name)
        elif file.suffix in (".html", ".txt"):
            uses = uses_in_template(file.read_text(encoding="utf-8"))
        else:
            continue
        found += _judged(file.relative_to(root), layer, uses, names)
    return found


def _judged(where: Path, own: int, uses: Iterable[Use], names: Names) -> Iterator[str]:
    for use in uses if own != TOP else ():
        owners: dict[str, int] = getattr(names, use.kind)
        pattern = re.compile(".*".join(map(re.escape, use.name.split(HOLE))))
        meant = (
            [name for name in owners if pattern.fullmatch(name)] if HOLE in use.name else [use.name]
        )
        right = sorted(name for name in meant if owners.get(name, BOTTOM) > own)
        shown = use.name.replace(HOLE, "{…}")
        if right:
            may_be = f" (it may be {right[0]})" if HOLE in use.name else ""
            yield (
                f"{where}:{use.line} names {shown}{may_be}, which lies to the right of "
                f"{LAYERS[own]}."
            )
        elif use.kind == "url" and not any(name in owners for name in meant):
            yield f"{where}:{use.line} names {shown}, and no page has this name."
