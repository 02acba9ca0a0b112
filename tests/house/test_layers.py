"""The import order: each layer of LAYERS; a module imports its own and those to its left. The
names by which layers call each other's pages, templates, scripts and styles follow it too.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house import references
from tests.house.references import BOTTOM, Names
from tests.house.sources import LAYERS, ROOT, layer_of, modules

pytestmark = pytest.mark.once

_DOTTED = re.compile(
    rf"({'|'.join(sorted({layer.split('.')[0] for layer in LAYERS}))})(\.\w+)+", re.ASCII
)
_SIGNAL = re.compile(
    r"(pre|post|m2m)_\w+|request_(started|finished)|setting_changed|user_logged_\w+|Signal|receiver"
)
# They know what can be said and how it is carried, and leave all book-keeping to the layers above.
WITHOUT_DATABASE = ("campaigns.channels", "delivery.providers")
# Only the root wiring names everyone: settings and the process commands.
ROOT_LAYER = len(LAYERS) - 1


def imports_of(tree: ast.AST, module: str, is_package: bool) -> Iterator[tuple[str, int]]:
    """(imported name, line) of every import in the file, those inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                above = parts[: len(parts) - node.level + (1 if is_package else 0)]
                base = ".".join([*above, base] if base else above)
            yield base, node.lineno
            yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)


def _at_load(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements that run when the file is loaded: none in functions, none for type checkers
    only."""
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.Try) or (
            isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.dump(node.test)
        ):
            yield from _at_load(ast.Module(node.body, []))


def strings_of(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """(text, line) of strings that are nothing but a dotted path."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and _DOTTED.fullmatch(node.value)
        ):
            yield node.value, node.lineno


def faults(root: Path) -> list[str]:
    """One sentence for each import or dotted string that points right, signal between apps, and
    import cycle."""
    found, edges = [], {}
    names = {name for name, _ in modules(root)}
    for module, file in modules(root):
        own = layer_of(module)
        assert own is not None
        tree = ast.parse(file.read_text(encoding="utf-8"))
        where = file.relative_to(root)
        imported = dict(imports_of(tree, module, file.name == "__init__.py"))
        loaded = dict(
            imports_of(ast.Module(list(_at_load(tree)), []), module, file.name == "__init__.py")
        )
        edges[module] = {name for name in loaded if name in names and name != module}
        if own == ROOT_LAYER:
            continue
        for kind, pairs in (("imports", imported.items()), ("names", strings_of(tree))):
            for name, line in pairs:
                theirs = layer_of(name)
                if (
                    theirs is not None
                    and theirs > own
                    and (kind == "imports" or _is_real(name, names))
                ):
                    found.append(
                        f"{where}:{line} {kind} {name}, which lies to the right of {LAYERS[own]}."
                    )
        for name, line in imported.items():
            if LAYERS[own] in WITHOUT_DATABASE and (
                name.startswith("django.db") or name.endswith(".models")
            ):
                found.append(f"{where}:{line} imports {name}; {LAYERS[own]} knows no database.")
            if "signals" in name.split(".")[:-1] and _SIGNAL.fullmatch(name.rsplit(".", 1)[-1]):
                found.append(f"{where}:{line} uses the signal {name}; call the verb instead.")
    return [*found, *_cycles(edges)]


def _is_real(name: str, names: set[str]) -> bool:
    """Does the dotted string start with one of our modules? "tenants.User" is a model's label,
    not a path."""
    parts = name.split(".")
    return any(".".join(parts[:length]) in names for length in range(2, len(parts) + 1))


def _cycles(edges: dict[str, set[str]]) -> list[str]:
    """Modules that load each other in a circle."""
    found, done, path = [], set(), []

    def visit(module: str) -> None:
        if module in path:
            circle = [*path[path.index(module) :], module]
            found.append(f"Import cycle: {' → '.join(circle)}.")
            return
        if module in done:
            return
        path.append(module)
        for other in sorted(edges.get(module, ())):
            # A package's __init__ is loaded before its modules whatever they import: no news in
            # that direction.
            if not module.startswith(f"{other}."):
                visit(other)
        path.pop()
        done.add(module)

    for module in sorted(edges):
        visit(module)
    return found


def test_imports_point_left_and_form_no_circle():
    found = faults(ROOT)
    assert not found, "\n".join(found)


def test_names_of_pages_templates_scripts_and_styles_point_left():
    found = references.faults(ROOT, references.all_names())
    assert not found, "\n".join(found)


# --- shown to catch -------------------------------------------------------------------------------
def _tree(root: Path, **files: str) -> list[str]:
    for name, text in files.items():
        file = root / (name.replace("__", "/") + ".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        (file.parent / "__init__.py").touch()
        file.write_text(text)
    return faults(root)


def test_an_import_that_points_right_is_caught(tmp_path):
    assert "imports delivery.tasks" in _tree(tmp_path, campaigns__plan="import delivery.tasks")[0]


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("campaigns__channels__sms__channel", "campaigns.plan"),
        ("campaigns__channels__sms__channel", "delivery.providers"),
        ("campaigns__plan", "delivery.providers.base"),
        ("delivery__providers__twilio__sender", "delivery.engine"),
    ],
)
def test_a_room_that_reaches_out_of_its_layer_is_caught(tmp_path, module, imported):
    assert any(
        f"imports {imported}" in fault
        for fault in _tree(tmp_path, **{module: f"import {imported}"})
    )


@pytest.mark.parametrize("imported", ["django.db", "tenants.models"])
def test_a_channel_that_asks_the_database_is_caught(tmp_path, imported):
    assert (
        "knows no database"
        in _tree(tmp_path, campaigns__channels__sms__channel=f"import {imported}")[0]
    )


def test_an_import_inside_a_function_is_caught(tmp_path):
    text = "def late():\n    from reports import queries\n"
    assert "campaigns/plan.py:2 imports reports" in _tree(tmp_path, campaigns__plan=text)[0]


def test_a_relative_import_that_points_right_is_caught(tmp_path):
    assert (
        "imports tenants"
        in _tree(tmp_path, pushpilot__lib__wake="from ...tenants import models")[0]
    )


def test_the_library_importing_the_root_wiring_is_caught(tmp_path):
    assert (
        "imports pushpilot.sites"
        in _tree(tmp_path, pushpilot__lib__wake="import pushpilot.sites")[0]
    )


def test_a_dotted_string_that_points_right_is_caught(tmp_path):
    found = _tree(tmp_path, delivery__tasks="", campaigns__plan='TASK = "delivery.tasks.tick"')
    assert any("names delivery.tasks.tick" in fault for fault in found)


def test_a_model_label_is_no_dotted_path(tmp_path):
    assert not _tree(
        tmp_path, tenants__models="", campaigns__plan='OWNER = "reports.Event"', reports__models=""
    )


def test_a_signal_is_caught(tmp_path):
    assert (
        "uses the signal"
        in _tree(tmp_path, campaigns__plan="from django.db.models.signals import post_save")[0]
    )


def test_a_circle_is_caught(tmp_path):
    found = _tree(tmp_path, campaigns__a="import campaigns.b", campaigns__b="import campaigns.a")
    assert any("Import cycle" in fault for fault in found)


def test_imports_that_point_left_pass(tmp_path):
    assert not _tree(
        tmp_path, pushpilot__lib__wake="import os", tenants__a="from pushpilot.lib import wake"
    )


# --- names: shown to catch ------------------------------------------------------------------------
_TENANTS, _CAMPAIGNS, _DELIVERY = (
    LAYERS.index(layer) for layer in ("tenants", "campaigns", "delivery")
)
NAMES = Names(
    url={
        "admin:run_change": _DELIVERY,
        "admin:campaign_add": _CAMPAIGNS,
        "home": len(LAYERS) - 1,
        "login": BOTTOM,
    },
    tags={"static": BOTTOM, "console": len(LAYERS) - 1},
)


def _named(root: Path, path: str, text: str) -> list[str]:
    """What is found of a file of the layers beside a template, a script and a style of delivery."""
    folder = root / "delivery"
    for name in (
        "templates/delivery/run.html",
        "static/delivery/run.js",
        "static/delivery/run.css",
        path,
    ):
        file = folder / name if name != path else root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text if name == path else "")
    return references.faults(root, Names(NAMES.url, references.file_names(root), NAMES.tags))


@pytest.mark.parametrize(
    "text",
    [
        'reverse("admin:run_change", args=[1])',
        'NAME = "admin:run_change"',
        "PAGE = f'admin:run_{page}'",
        'link = "admin:" + name',
        'redirect("home")',
        'reverse(f"{page}_change")',
        'render(request, "delivery/run.html")',
        'static("delivery/run.js")',
        'TEMPLATE = f"delivery/{page}.html"',
    ],
)
def test_a_name_in_python_that_points_right_is_caught(tmp_path, text):
    assert "to the right of campaigns" in _named(tmp_path, "campaigns/plan.py", text)[0]
    assert not _named(
        tmp_path / "right", "delivery/plan.py", text.replace("home", "admin:run_change")
    )


@pytest.mark.parametrize(
    "text",
    [
        "{% url 'admin:run_change' run.pk as link %}",
        "{% url page %}",
        '{% include "delivery/run.html" %}',
        '{% include "delivery/"|add:part %}',
        "{% extends panel.template %}",
        '{% include found|default:"delivery/run.html" %}',
        "{% static 'delivery/run.css' %}",
        "{% load static console %}",
        "{% load crumbs from console %}",
    ],
)
def test_a_name_in_a_template_that_points_right_is_caught(tmp_path, text):
    assert (
        "to the right of campaigns"
        in _named(tmp_path, "campaigns/templates/campaigns/page.html", text)[0]
    )


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("campaigns/static/campaigns/phone.js", 'import { draw } from "../delivery/run.js";'),
        ("campaigns/static/campaigns/phone.js", 'const more = await import("../delivery/run.js");'),
        ("campaigns/static/campaigns/phone.css", '@import "../delivery/run.css";'),
        ("pushpilot/static/pushpilot/app.js", 'import "../delivery/run.js";'),
    ],
)
def test_a_script_or_style_that_loads_from_the_right_is_caught(tmp_path, path, text):
    assert "delivery/run." in _named(tmp_path, path, text)[0]


def test_the_theme_names_no_feature(tmp_path):
    found = _named(
        tmp_path, "pushpilot/templates/plain/page.html", '{% include "delivery/run.html" %}'
    )
    assert "to the right of pushpilot.lib" in found[0]


def test_a_name_that_no_page_has_is_caught(tmp_path):
    assert (
        "no page has this name" in _named(tmp_path, "campaigns/plan.py", 'reverse("admin:gone")')[0]
    )


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (
            "campaigns/plan.py",
            'reverse("admin:campaign_add"), redirect("login"), redirect("/w/x/"), redirect(page)',
        ),
        (
            "campaigns/plan.py",
            'reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change")',
        ),
        (
            "campaigns/templates/campaigns/a.html",
            "{% load static %}{% include 'library.html' %}{% url 'login' %}",
        ),
        ("campaigns/static/campaigns/phone.js", 'import { changed } from "../pushpilot/dom.js";'),
        (
            "reports/templates/reports/a.html",
            "{% include 'delivery/run.html' %}{% static 'delivery/run.js' %}",
        ),
        (
            "pushpilot/templates/admin/index.html",
            "{% include 'delivery/run.html' %}{% load console %}",
        ),
    ],
)
def test_names_that_point_left_or_to_what_is_open_pass(tmp_path, path, text):
    assert not _named(tmp_path, path, text)
