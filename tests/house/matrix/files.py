"""Surfaces that take files in or give them out: imports and exports of every console page, in
every format."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tablib
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import models
from django.http import HttpResponse
from import_export.mixins import BaseExportMixin, BaseImportMixin

from tenants import roles
from tests.house.matrix.cells import Cell, any_of, is_insider, refusal_of
from tests.house.matrix.lists import address
from tests.house.matrix.proofs import MARK
from tests.house.matrix.surfaces import pages
from tests.house.matrix.world import ALLOWED, FORBIDDEN, World


def _right(world: World, role: str, capability: str) -> frozenset[str]:
    if not is_insider(role):
        return any_of(refusal_of(role))
    return any_of(ALLOWED if capability in world.capabilities(role) else FORBIDDEN)


# --- taking in ------------------------------------------------------------------------------------
def import_cells(world: World, role: str) -> Iterator[Cell]:
    """A file whose rows name ids, workspaces and keys of the other tenant, in every format; then
    an upload of somebody else."""
    for model, page in pages():
        if not isinstance(page, BaseImportMixin):
            continue
        label, right = model._meta.label, _right(world, role, roles.IMPORT)
        for chosen in page.import_formats:
            kind = chosen().get_title()
            for whose in ("ours", "theirs"):
                yield Cell(
                    f"import of {label} as {kind}", role, whose, _importer(world, role, model, kind, whose), right,
                    asked=str(world.ours[model] if whose == "ours" else world.theirs[model]),
                    changes=label if ALLOWED in right else "", reads_only=ALLOWED not in right,
                )  # fmt: skip
        if role == "owner":
            return
        borrowed = _importer(world, role, model, "csv", "ours", by="owner")
        yield Cell(
            f"import of {label} from the owner's upload",
            role,
            "ours",
            borrowed,
            right,
            reads_only=True,
        )


def _importer(
    world: World, role: str, model: type[models.Model], kind: str, whose: str, by: str = ""
) -> Any:
    """Upload, then confirm. Every field that a row of the other tenant has is a column of the
    file."""

    def ask() -> HttpResponse:
        client, start = world.clients[role], world.url(address(model, "import/"))
        upload = SimpleUploadedFile(f"rows.{kind}", _file(world, model, kind, whose))
        response = world.clients[by or role].post(start, {"file": upload})
        if response.status_code != 302 or "upload=" not in response.headers["Location"]:
            return response
        token = response.headers["Location"].partition("upload=")[2]
        shown = client.get(f"{start}?upload={token}")
        answer = client.post(
            world.url(address(model, "process_import/")), {"upload": _unquoted(token)}
        )
        answer.content = answer.content + shown.content
        return answer

    return ask


def _unquoted(token: str) -> str:
    from urllib.parse import unquote

    return unquote(token)


def _file(world: World, model: type[models.Model], kind: str, whose: str) -> bytes:
    row: Any = (world.ours if whose == "ours" else world.theirs)[model]
    workspace = row.workspace
    cells = {
        "id": row.pk, "pk": row.pk, "workspace": workspace.pk, "workspace_id": workspace.pk,
        "workspace__slug": workspace.slug, "name": row.name, "language": row.language, "category": "offer",
        "title": "Taken", "body": "B",
    }  # fmt: skip
    table = tablib.Dataset(list(cells.values()), headers=list(cells))
    data = table.export(kind)
    return data if isinstance(data, bytes) else data.encode()


# --- giving out -----------------------------------------------------------------------------------
def export_cells(world: World, role: str) -> Iterator[Cell]:
    """Every format of every export: all rows, and those that the form names, which are the other
    tenant's."""
    for model, page in pages():
        if not isinstance(page, BaseExportMixin):
            continue
        right = _right(world, role, roles.VIEW)
        url = world.url(address(model, "export/"))
        fields = {f"{prefix}{name}": "on" for resource in page.resource_classes for name in resource.fields
                  for prefix in ("", f"{resource.__name__.lower()}_")}  # fmt: skip
        for number, chosen in enumerate(page.export_formats):
            for whose, named in (
                ("ours", {}),
                ("theirs", {"export_items": [world.theirs[model].pk]}),
            ):
                post = {"format": str(number), "resource": "0", **fields, **named}
                yield Cell(
                    f"export of {model._meta.label} as {chosen().get_title()}", role, whose,
                    _exporter(world, role, url, post), right, reads_only=True,
                    shows=MARK if ALLOWED in right and whose == "ours" else "",
                )  # fmt: skip


def _exporter(world: World, role: str, url: str, post: dict[str, Any]) -> Any:
    return lambda: world.clients[role].post(url, post)
