"""Which answer every address gives to every role. The addresses are read from the URLconf, the
answers from here.

A page of a model needs no entry: its rules follow from the model's `capabilities` and its admin
class. A page of its own gets one line in CONSOLE or SITE; without it the matrix fails and says
so. What a page then shows or changes is said in tests/house/matrix/proofs.py, what opens an
operation of the API in tests/house/matrix/api.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib.admin import ModelAdmin
from django.db import models
from django.urls import get_resolver
from django.urls.resolvers import URLPattern, URLResolver

from pushpilot.api import api
from pushpilot.sites import console
from tenants import roles
from tenants.admin.base import ReadOnlyAdmin

# What a rule may say beside a capability of tenants.roles.
NOBODY = "nobody"  # 403 whatever the role
GONE = "gone"  # 404 whatever the role
NO_SUCH_METHOD = "no such method"  # 405, or 403 where the role is looked at first
SIGNED_IN = "signed in"  # outside of workspaces: whoever is signed in
PUBLIC = "public"
# allauth's own door: what it says depends on how far somebody has come, but it never breaks
ENTRANCE = "entrance"
OPERATORS = "operators"  # superusers; for everybody else there is no platform
BY_KEY = "by key"  # 401 without an API key or access token, signed in by cookie or not


@dataclass(frozen=True, slots=True)
class Rule:
    get: str
    post: str


@dataclass(frozen=True, slots=True)
class Route:
    """`path` with its parameters still in it, e.g. admin/campaigns/run/<int:pk>/pause/."""

    path: str
    name: str
    model: type[models.Model] | None
    rule: Rule | None


def all_patterns(
    resolver: URLResolver | None = None, path: str = "", space: str = ""
) -> Iterator[tuple[str, str]]:
    """(path, namespaced name) of every address of the URLconf."""
    for pattern in (resolver or get_resolver()).url_patterns:
        here = path + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield here, f"{space}{pattern.name or ''}"
        else:
            yield from all_patterns(
                pattern, here, f"{pattern.namespace}:" if pattern.namespace else space
            )


def both(capability: str) -> Rule:
    return Rule(capability, capability)


def get_only(capability: str) -> Rule:
    return Rule(capability, NO_SUCH_METHOD)


def post_only(capability: str) -> Rule:
    return Rule(NO_SUCH_METHOD, capability)


# --- pages of models ------------------------------------------------------------------------------
# Where a page allows less than its model's capabilities.
NARROWED: dict[str, dict[str, str]] = {
    "tenants.membership": {"add": NOBODY, "delete": NOBODY},
    "tenants.apikey": {"change": NOBODY, "delete": NOBODY},
    "tenants.invitation": {"change": NOBODY, "delete": NOBODY},
    "tenants.workspace": {"add": NOBODY, "delete": NOBODY},
}


def model_rules(page: ModelAdmin[Any]) -> dict[str, Rule]:
    """{last part of the URL's name: rule} of the addresses that every ModelAdmin has."""
    capabilities = dict(getattr(page.model, "capabilities", {}))
    if isinstance(page, ReadOnlyAdmin):
        capabilities |= {"add": NOBODY, "change": NOBODY, "delete": NOBODY}
    capabilities |= NARROWED.get(page.model._meta.label_lower, {})
    view, add, change, delete = (
        capabilities.get(action, NOBODY) for action in ("view", "add", "change", "delete")
    )
    return {
        "changelist": both(view),
        "add": both(add),
        "change": Rule(view, change),
        "delete": both(delete),
        "history": both(GONE),
        "import": both(roles.IMPORT),
        "export": both(view),
    }


# --- pages of their own in the console ------------------------------------------------------------
CONSOLE: dict[str, Rule] = {
    "index": both(roles.VIEW),
    "login": both(roles.VIEW),
    "logout": both(roles.VIEW),
    "password_change": both(roles.VIEW),
    "search": both(roles.VIEW),
    "jsi18n": get_only(roles.VIEW),
    "app_list": both(roles.VIEW),
    # asks for the field that it completes; without one it refuses
    "autocomplete": Rule(NOBODY, NO_SUCH_METHOD),
    "preview": post_only(roles.VIEW),
    "check_message": post_only(roles.EDIT),
    "send_test": post_only(roles.SEND),
    "tenants_auditentry_export": both(roles.EXPORT),
    "tenants_apikey_created": both(roles.CONNECTIONS),
    "tenants_apikey_revoke": both(roles.CONNECTIONS),
    "tenants_apikey_identity": both(roles.CONNECTIONS),
    "tenants_apikey_verify_identity": both(roles.CONNECTIONS),
    "tenants_membership_remove": both(roles.MEMBERS),
    "tenants_apikey_rotate": both(roles.CONNECTIONS),
    "tenants_invitation_created": both(roles.MEMBERS),
    "tenants_invitation_resend": both(roles.MEMBERS),
    "tenants_invitation_revoke": both(roles.MEMBERS),
    "tenants_membership_invite": both(roles.MEMBERS),
    "tenants_membership_leave": both(roles.VIEW),
    "tenants_membership_roles": both(roles.VIEW),
    "tenants_workspace_logo": both(roles.VIEW),
    "tenants_workspace_time_zone": both(roles.MEMBERS),
    "tenants_workspace_transfer": both(roles.DELETE_WORKSPACE),
    "tenants_workspace_delete_workspace": both(roles.DELETE_WORKSPACE),
    "connect_sandbox": post_only(roles.CONNECTIONS),
    "tenants_connection_test": post_only(roles.CONNECTIONS),
    "tenants_connection_send_test": post_only(roles.CONNECTIONS),
    "tenants_connection_switch": post_only(roles.CONNECTIONS),
    "campaigns_campaign_audience": both(roles.EDIT),  # counts for the editor; changes nothing
    "campaigns_campaign_dates": both(roles.EDIT),
    "campaigns_campaign_drafts": both(roles.EDIT),  # suggests texts; changes nothing
    "campaigns_campaign_templates": both(roles.VIEW),
    "campaigns_campaign_review": Rule(roles.VIEW, roles.SEND),
    # and roles.EDIT, which every role that may send holds
    "campaigns_campaign_schedule": both(roles.SEND),
    "campaigns_campaign_duplicate": both(roles.EDIT),
    "campaigns_contact_change": both(roles.VIEW),  # a page that only shows, whatever the method
    "campaigns_contact_devices": both(roles.VIEW),
    "campaigns_contact_retire": post_only(roles.EDIT),
    "campaigns_contact_consent": post_only(roles.EDIT),
    "campaigns_run_change": both(roles.VIEW),
    "campaigns_template_import_sample": both(roles.IMPORT),
    "campaigns_template_import_errors": both(roles.IMPORT),
    "campaigns_template_import_refused": both(roles.IMPORT),
    "campaigns_template_process_import": both(roles.IMPORT),
    "campaigns_template_copy_to_workspace": both(roles.EDIT),
    "phone_wall": both(roles.VIEW),
    "phone_wall_received": both(roles.VIEW),
    "phone_wall_key": post_only(roles.SEND),
    "campaigns_run_progress": both(roles.VIEW),
    "campaigns_run_errors": both(roles.VIEW),
    "campaigns_run_shards": both(roles.VIEW),
    # and roles.EDIT, which every role that may send holds
    "campaigns_run_rewrite": both(roles.SEND),
    "campaigns_run_recipients": both(roles.VIEW),
    "campaigns_run_message": both(roles.VIEW),
    "campaigns_run_export": both(roles.EXPORT),
    **{
        f"campaigns_run_{verb}": post_only(roles.SEND)
        for verb in (
            "pause",
            "resume",
            "cancel",
            "undo",
            "send-now",
            "retry-failed",
            "resend-unknown",
            "close-unknown",
            "try-held",
            "close-held",
            "revive",
            "send-missed",
            "drill",
            "skip",
            "move",
            "end-series",
        )
    },
    "reports_campaign_funnel": both(roles.VIEW),
    "reports_run_funnel": both(roles.VIEW),
    "reports_run_figures": both(roles.VIEW),
}

# --- everything outside of the console ------------------------------------------------------------
SITE: dict[str, Rule] = {
    "home": both(SIGNED_IN),
    "healthz": both(PUBLIC),
    "words": both(PUBLIC),
    "account_profile": both(SIGNED_IN),
    "deleted_workspaces": both(SIGNED_IN),
    "waiting_invitations": both(SIGNED_IN),
    "invitation": both(ENTRANCE),  # the token decides
    "api:openapi-json": both(PUBLIC),
    "api:openapi-view": both(PUBLIC),
    "api_reference": get_only(PUBLIC),
    "api:api-root": both(GONE),
    "api:preflight": post_only(BY_KEY),  # OPTIONS of the address of events
}

# Operations of the API for who has nothing yet: tests/tenants/api walks through them.
WITHOUT_KEY = {
    "register",
    "login",
    "second_factor",
    "google",
    "apple",
    "refresh",
    "reset_password",
    "confirm_reset",
    "verify_email",
    "resend_verification",
    "authenticate_with_passkey",
}


def operations() -> Iterator[tuple[str, str, str]]:
    """(name, method, address) of every operation of the API, the address with its parameters
    still in it."""
    assert get_resolver().url_patterns  # ninja mounts routers in routers when the URLconf is read
    for prefix, router in api._routers:
        for path, view in router.path_operations.items():
            for operation in view.operations:
                for method in operation.methods:
                    parts = [part.strip("/") for part in (prefix, path) if part.strip("/")]
                    yield operation.view_func.__name__, method, "/".join(["/api/v1", *parts])


def _operation_rule(name: str) -> Rule | None:
    """What the methods of the operation's address answer without a key."""
    known = list(operations())
    address = next((address for found, _method, address in known if found == name), None)
    if address is None:
        return None
    opened = PUBLIC if name in WITHOUT_KEY else BY_KEY
    methods = {method for _name, method, at in known if at == address}
    get, post = (opened if one in methods else NO_SUCH_METHOD for one in ("GET", "POST"))
    return Rule(get, post)


def rule_for(path: str, name: str) -> tuple[Rule | None, type[models.Model] | None]:
    if path.startswith("admin/"):
        return _console_rule(path, name.removeprefix("admin:"))
    if path.startswith("platform/"):
        return both(OPERATORS), None
    if path.startswith("accounts/") and name not in SITE:
        return both(ENTRANCE), None
    if name.startswith("api:") and name not in SITE:
        return _operation_rule(name.removeprefix("api:")), None
    return SITE.get(name), None


def _console_rule(path: str, name: str) -> tuple[Rule | None, type[models.Model] | None]:
    for model, page in console._registry.items():
        options = model._meta
        prefix = f"admin/{options.app_label}/{options.model_name}/"
        if path.startswith(prefix):
            if path == f"{prefix}<path:object_id>/":
                return both(roles.VIEW), model  # Django's old address, redirects to the change page
            last = name.removeprefix(f"{options.app_label}_{options.model_name}_")
            return CONSOLE.get(name) or model_rules(page).get(last), model
    if path == "admin/(?P<url>.*)$":
        return both(GONE), None
    return CONSOLE.get(name), None


def all_routes() -> list[Route]:
    routes = []
    for path, name in dict.fromkeys(all_patterns()):
        rule, model = rule_for(path, name)
        routes.append(Route(path, name, model, rule))
    return routes


# --- filling in -----------------------------------------------------------------------------------
_ARGUMENT = re.compile(r"<(?:\w+:)?(\w+)>|\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)")
PLAIN_ARGUMENTS = {
    "key": "abc",
    "language": "en",
    "uidb36": "1",
    "app_label": "campaigns",
    "url": "nowhere/",
    "content_type_id": "1",
}


def fill(path: str, row: models.Model | None) -> str:
    """The path with a value for each parameter: the row's id where it asks for one."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name in PLAIN_ARGUMENTS:
            return PLAIN_ARGUMENTS[name]
        return str(row.pk) if row is not None else "1"

    return _ARGUMENT.sub(value, path).replace("^", "").replace("$", "").replace("\\Z", "")
