"""What a page of the console may not do, refused at start. Each rule is a hole that was seen in
other admins.

tenants.E001  raw_id_fields shows and accepts rows of every workspace
tenants.E002  an inline without WorkspaceInline's rights and rows
tenants.E003  an action that names no permissions: everybody may call its address
tenants.E004  a list, row or detail action without a dialog runs on GET, without a CSRF token
tenants.E005  import or export with a resource, rights or kwargs that know no workspace
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error
from import_export.mixins import BaseImportExportMixin
from unfold.checks import UnfoldModelAdminChecks

from pushpilot.lib.compat.unfold import actions_of, bulk_actions_of


class WorkspaceAdminChecks(UnfoldModelAdminChecks):
    def check(self, admin_obj: Any, **kwargs: Any) -> list[CheckMessage]:
        return [
            *super().check(admin_obj, **kwargs),
            *_raw_ids(admin_obj),
            *_inlines(admin_obj),
            *_actions(admin_obj),
            *_resources(admin_obj),
        ]


def _error(page: Any, number: int, sentence: str, hint: str) -> Error:
    return Error(
        f"{type(page).__name__}: {sentence}", hint=hint, obj=type(page), id=f"tenants.E{number:03}"
    )


def _raw_ids(page: Any) -> Iterator[Error]:
    if page.raw_id_fields:
        yield _error(
            page, 1, "raw_id_fields shows rows of every workspace.", "Use autocomplete_fields."
        )


def _inlines(page: Any) -> Iterator[Error]:
    from tenants.admin.base import WorkspaceRows

    for inline in page.inlines:
        if not issubclass(inline, WorkspaceRows):
            yield _error(
                page, 2, f"{inline.__name__} is not scoped.", "Let it inherit from WorkspaceInline."
            )


def _actions(page: Any) -> Iterator[Error]:
    for place, actions in actions_of(page).items():
        for action in actions:
            name = getattr(action.method, "original_function_name", action.action_name)
            if not getattr(action.method, "allowed_permissions", None):
                yield _error(
                    page,
                    3,
                    f"anybody may call the {place} action {name}.",
                    "Give it permissions=[…].",
                )
            if (
                place != "submit line"
                and not action.dialog
                and not getattr(action.method, "reads_only", False)
            ):
                hint = "Give it dialog={…}; mark one that only links with @reads_only."
                yield _error(page, 4, f"the {place} action {name} runs on GET.", hint)
    for function, name, _ in bulk_actions_of(page):
        if not getattr(function, "allowed_permissions", None):
            yield _error(
                page, 3, f"anybody may call the action {name}.", "Give it permissions=[…]."
            )


def _resources(page: Any) -> Iterator[Error]:
    if not isinstance(page, BaseImportExportMixin):
        return
    classes = page.resource_classes or ([page.resource_class] if page.resource_class else [])
    if not classes:
        yield _error(
            page,
            5,
            "the default resource reads and writes every workspace.",
            "Set resource_classes.",
        )
    for resource in classes:
        if "workspace" not in inspect.signature(resource.__init__).parameters:
            hint = "Let its __init__ take workspace, and use it for every row."
            yield _error(page, 5, f"{resource.__name__} knows no workspace.", hint)
    for hook in ("get_resource_kwargs", "has_import_permission", "has_export_permission"):
        theirs = getattr(type(page), hook, None)
        if theirs is not None and theirs.__module__.startswith("import_export."):
            yield _error(
                page,
                5,
                f"{hook} is import-export's own, which lets everybody in.",
                f"Override {hook}.",
            )
