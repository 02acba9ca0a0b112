"""Templates by API: the workspace's own and the global library, by the verbs of the console."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from ninja import Router, Status

from campaigns.api import template_schemas as schemas
from campaigns.content import library
from campaigns.filters import TemplateFilters
from campaigns.models import Template
from pushpilot.lib.lists import Listing
from pushpilot.lib.problems import Problem
from tenants import keys, roles
from tenants.api import etags
from tenants.api.errors import by_the_rules
from tenants.api.idempotency import idempotent
from tenants.api.security import Access, actor_of, at_work

router = Router(tags=["Templates"])
READ, WRITE = Access(keys.TEMPLATES_READ), Access(keys.TEMPLATES_WRITE)
TEMPLATES = Listing(TemplateFilters, schemas.TemplateOut)
_TOLD = ("id", "workspace_id", "is_global", "name", "channel", "language", "category", "tone")


def _told(template: Template) -> dict[str, Any]:
    own = {name: getattr(template, name) for name in (*_TOLD, "created_at", "updated_at")}
    return {"title": template.title, **template.fields, **own}


def _answer(template: Template, response: HttpResponse) -> dict[str, Any]:
    etags.put(response, template)
    return _told(template)


def _found(pk: int) -> Template:
    """Own or global. Raises Template.DoesNotExist."""
    return Template.objects.get(pk=pk)


@contextmanager
def _by_the_verbs() -> Iterator[None]:
    """As by_the_rules; 404 for a template that is not there, 409 for one that nobody changes."""
    try:
        with by_the_rules():
            yield
    except Template.DoesNotExist as error:
        detail = _("This workspace has no such template.")
        raise Problem(404, "template_not_found", detail) from error
    except library.GlobalTemplate as error:
        detail = _(
            "This template belongs to the global library, which does not change. Copy it to your "
            "workspace and change the copy."
        )
        raise Problem(409, "global_template", detail) from error


@router.get("/templates", **TEMPLATES.route, auth=READ, summary="Templates")
def list_templates(request: HttpRequest) -> dict[str, Any]:
    """Your own and those of the global library, by name. `search` looks in names and texts."""
    with at_work(request, roles.VIEW):
        return TEMPLATES.page(request, Template.objects.all(), _told)


@router.post(
    "/templates", response={201: schemas.TemplateOut}, auth=WRITE, summary="Create a template"
)
@idempotent(roles.EDIT)
def create_template(
    request: HttpRequest, body: schemas.NewTemplate, response: HttpResponse
) -> Status[dict[str, Any]]:
    """A message for reuse. It is judged as the import of a file judges a row."""
    with at_work(request, roles.EDIT) as workspace, _by_the_verbs():
        given = body.model_dump(exclude_unset=True)
        made = library.create(workspace, given, by=actor_of(request))
        return Status(201, _answer(made, response))


@router.get(
    "/templates/{int:template}",
    response=schemas.TemplateOut,
    auth=READ,
    summary="One template",
)
def get_template(request: HttpRequest, template: int, response: HttpResponse) -> dict[str, Any]:
    """One of your own, or of the global library. `ETag` is for If-Match."""
    with at_work(request, roles.VIEW), _by_the_verbs():
        return _answer(_found(template), response)


@router.patch(
    "/templates/{int:template}",
    response=schemas.TemplateOut,
    auth=WRITE,
    summary="Change a template",
    openapi_extra=etags.DOCUMENTED,
)
def change_template(
    request: HttpRequest, template: int, body: schemas.TemplateChanges, response: HttpResponse
) -> dict[str, Any]:
    """Campaigns that were made from it keep their texts."""
    with at_work(request, roles.EDIT), _by_the_verbs(), transaction.atomic():
        held = library.hold(_found(template))
        etags.expect(request, held, _told)
        given = body.model_dump(exclude_unset=True)
        return _answer(library.change(held, given, by=actor_of(request)), response)


@router.delete(
    "/templates/{int:template}",
    response={204: None},
    auth=WRITE,
    summary="Delete a template",
    openapi_extra=etags.DOCUMENTED,
)
def delete_template(request: HttpRequest, template: int) -> HttpResponse:
    """Campaigns that were made from it stay as they are."""
    with at_work(request, roles.EDIT), _by_the_verbs(), transaction.atomic():
        held = library.hold(_found(template))
        etags.expect(request, held, _told)
        library.remove(held, by=actor_of(request))
    return HttpResponse(status=204)


@router.post(
    "/templates/{int:template}/copy",
    response={201: schemas.TemplateOut},
    auth=WRITE,
    summary="Copy a global template",
)
@idempotent(roles.EDIT)
def copy_template(
    request: HttpRequest, template: int, response: HttpResponse
) -> Status[dict[str, Any]]:
    """A template of your own with the same texts. Where its name is taken it gets a number."""
    with at_work(request, roles.EDIT) as workspace, _by_the_verbs():
        copy = library.copy(_found(template), workspace, by=actor_of(request))
        return Status(201, _answer(copy, response))
