"""Two tenants whose every text and number can be told apart, the eight roles, and what may not
happen between them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any

from allauth.account.models import EmailAddress
from django.apps import apps
from django.contrib.admin.helpers import AdminForm
from django.contrib.messages import get_messages
from django.db import connection, models, transaction
from django.db.models.signals import pre_save
from django.forms import BaseForm
from django.forms.formsets import BaseFormSet
from django.http import HttpResponse
from django.template.context import BaseContext
from django.test import Client
from django.test.utils import ContextList
from django.urls import clear_script_prefix
from django.utils import timezone

from campaigns.models import Campaign, Contact, Endpoint, Run, Template
from delivery.models import Message
from reports.models import Engagement, Rollup
from tenants import identity, keys, roles
from tenants.models import ApiKey, AuditEntry, Membership, User, Workspace
from tenants.roles import Role
from tenants.scope import belongs_to_workspace, every_workspace, scope
from tenants.workspaces import add_member
from tests.cast import Cast
from tests.house.rows import Rows, rows_of
from tests.tenants.api.app import App

ROLES = ("anonymous", "outsider", "viewer", "member", "admin", "owner", "other_owner", "operator")
INSIDERS = ("viewer", "member", "admin", "owner")

OURS, THEIRS = "kolibri", "zanzibar"
# What stands in no address or form of ours: the first ids of the other tenant's rows, and their
# counts.
THEIR_IDS = 7_770_017
THEIR_COUNT = 90_210
ABSENT = 8_880_017
GLOBAL = "shared-by-all"

LOGIN, MISSING, FORBIDDEN, ALLOWED, WRONG_METHOD, NO_KEY = (
    "login",
    "404",
    "403",
    "allowed",
    "405",
    "401",
)
_TABLE = re.compile(
    r"^\s*(?:WITH\s.*?\)\s+)?(?:INSERT (?:OR IGNORE )?INTO|UPDATE|DELETE "
    r'FROM)\s+"?(\w+)"?',
    re.IGNORECASE | re.DOTALL,
)
Prints = dict[tuple[str, str], str]  # {(tenant, model's label): hash of its rows}


@dataclass
class World:
    cast: Cast
    ours: Rows
    theirs: Rows
    shared: Template
    secrets: dict[str, str]
    identity_secrets: dict[str, str] = field(default_factory=dict)
    _prints: Prints = field(default_factory=dict)
    clients: dict[str, Client] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    drafts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def sign_in(self, role: str) -> Client:
        """A browser of the role. A header must never decide whose rows it sees: it claims the
        tenant it is not in."""
        client = self.cast.client(role)
        claimed = self.cast.workspace if role == "other_owner" else self.cast.other_workspace
        claims = {"HTTP_X_WORKSPACE_ID": str(claimed.pk), "HTTP_X_WORKSPACE": claimed.slug}
        client.defaults.update({**claims, "HTTP_X_FORWARDED_PREFIX": f"/w/{claimed.slug}"})
        return client

    def token(self, role: str) -> str:
        """An access token of the role's own session of the API."""
        if role not in self.tokens:
            user = getattr(self.cast, role)
            EmailAddress.objects.get_or_create(
                user=user, email=user.email, verified=True, primary=True
            )
            self.tokens[role] = App().sign_in(user.email, "correct horse").tokens["access_token"]
        return self.tokens[role]

    def prints_of(self, tables: Iterable[str]) -> Prints:
        """What these tables hold between visits, which undo all that they did: a table is read
        when somebody has written into it for the first time."""
        labels = {tenant_tables()[table]._meta.label: table for table in tables}
        known = {label for _, label in self._prints}
        self._prints |= fingerprints(self, [labels[one] for one in labels.keys() - known])
        return {key: value for key, value in self._prints.items() if key[1] in labels}

    def url(self, path: str, *, home_of: str = "ours") -> str:
        workspace = self.cast.workspace if home_of == "ours" else self.cast.other_workspace
        return f"/w/{workspace.slug}/admin/{path}"

    def capabilities(self, role: str) -> frozenset[str]:
        return roles.ROLE_CAPABILITIES.get(role, frozenset())


# --- making it ------------------------------------------------------------------------------------
def make_world(cast: Cast) -> World:
    # Ours keeps its name: it stands in the frame of every page, where its mark would prove nothing.
    Workspace.objects.filter(pk=cast.other_workspace.pk).update(
        name=f"{THEIRS} Foods", slug=f"{THEIRS}-place"
    )
    cast.other_workspace.refresh_from_db()
    User.objects.filter(pk=cast.other_owner.pk).update(
        full_name=f"Olga {THEIRS}", email=f"olga@{THEIRS}.test"
    )
    with _far_away_ids():
        helper = User.objects.create_user(
            f"hans@{THEIRS}.test", "correct horse", full_name=f"Hans {THEIRS}"
        )
        add_member(cast.other_workspace, helper, Role.MEMBER)
        theirs = _rows(cast.other_workspace, THEIRS)
        secrets = _secrets(cast.other_workspace, "their")
    ours = _rows(cast.workspace, OURS)
    with scope(cast.workspace):
        # whom every manager of members may change
        ours[Membership] = Membership.objects.get(user=cast.viewer)
    secrets |= _secrets(cast.workspace, "our")
    with every_workspace():
        shared = Template.objects.create(
            workspace=None, name=GLOBAL, category="offer", fields={"title": "x", "body": "y"}
        )
    world = World(cast, ours, theirs, shared, secrets, _identity_secrets(cast))
    # Before the first visit, which undoes all that it did.
    world.clients = {role: world.sign_in(role) for role in ROLES}
    return world


@contextmanager
def _far_away_ids() -> Iterator[None]:
    """Rows that are saved meanwhile get ids that cannot be mistaken: the same first one for
    every model."""
    given: dict[type[models.Model], int] = {}

    def far_away(sender: type[models.Model], instance: models.Model, **kwargs: Any) -> None:
        if instance.pk is None and isinstance(sender._meta.pk, models.AutoField):
            given[sender] = given.get(sender, THEIR_IDS - 1) + 1
            instance.pk = given[sender]

    pre_save.connect(far_away)
    try:
        yield
    finally:
        pre_save.disconnect(far_away)


def _rows(workspace: Workspace, mark: str) -> Rows:
    rows = rows_of(workspace, mark)
    count = THEIR_COUNT if mark == THEIRS else 3
    now = timezone.now()
    with scope(workspace):
        run, campaign = rows[Run], rows[Campaign]
        assert isinstance(run, Run)
        message = rows[Message] = Message.objects.get(run=run)
        rows[Endpoint] = Endpoint.objects.get(contact=rows[Contact])
        Message.objects.filter(run=run).update(error_code="UNREGISTERED")
        Run.objects.filter(pk=run.pk).update(tally={"accepted": count}, audience_size=count)
        about = {"campaign_id": campaign.pk, "run_id": run.pk, "type": "opened"}
        Rollup.objects.create(workspace=workspace, quarter=now, events=count, people=count, **about)
        Engagement.objects.create(workspace=workspace, message_id=message.pk, first_at=now, **about)
    return rows


def _secrets(workspace: Workspace, whose: str) -> dict[str, str]:
    """{"our secret": the key itself, …}"""
    kinds = {
        "write": {"kind": ApiKey.Kind.WRITE},
        "secret": {"kind": ApiKey.Kind.SECRET, "scopes": list(keys.SCOPES)},
        "narrow": {"kind": ApiKey.Kind.SECRET, "scopes": [keys.WORKSPACE_READ]},
        "test": {"kind": ApiKey.Kind.WRITE, "mode": ApiKey.Mode.TEST},
        "test secret": {
            "kind": ApiKey.Kind.SECRET,
            "mode": ApiKey.Mode.TEST,
            "scopes": [keys.EVENTS_WRITE],
        },
        "revoked": {"kind": ApiKey.Kind.WRITE, "revoked_at": timezone.now()},
        "expired": {"kind": ApiKey.Kind.WRITE, "expires_at": timezone.now() - timedelta(days=1)},
    }
    with scope(workspace):
        return {
            f"{whose} {name}": keys.create(
                ApiKey(workspace=workspace, name=f"{name} key", **fields), by=None
            )
            for name, fields in kinds.items()
        }


def _identity_secrets(cast: Cast) -> dict[str, str]:
    tenants = {"ours": cast.workspace, "theirs": cast.other_workspace}
    found = {}
    for name, workspace in tenants.items():
        with scope(workspace):
            found[name] = identity.make(workspace, by=workspace.owner, now=timezone.now())
    return found


# --- what is in the tables ------------------------------------------------------------------------
@cache
def tenant_tables() -> dict[str, type[models.Model]]:
    """{table: model} of everything that is a workspace's, and of the people."""
    found = [model for model in apps.get_models() if belongs_to_workspace(model) or model is User]
    return {model._meta.db_table: model for model in found}


def _rows_of(model: type[models.Model], workspace: Workspace | None) -> models.QuerySet[Any]:
    rows = model._base_manager.order_by("pk")
    if model is Workspace:
        return rows.filter(pk=workspace.pk if workspace else None)
    if model is User:
        return rows.filter(memberships__workspace=workspace) if workspace else rows.none()
    names = {one.name for one in model._meta.get_fields()}
    for path, first in (("workspace", "workspace"), ("content_object", "content_object")):
        if first in names:
            return rows.filter(**{path: workspace})
    return rows.filter(connection__workspace=workspace)


def _columns(model: type[models.Model]) -> list[str]:
    return [
        one.attname
        for one in model._meta.concrete_fields
        if one.name not in ("last_login", "last_used_at")
    ]


def contents(model: type[models.Model], workspace: Workspace | None) -> str:
    """All that the table holds of the workspace (None: the global library), as one text."""
    with every_workspace():
        found = _rows_of(model, workspace).values_list(*_columns(model))
        return "\n".join(
            repr(tuple(bytes(v) if isinstance(v, memoryview) else v for v in row)) for row in found
        )


def fingerprints(world: World, tables: Iterable[str] | None = None) -> Prints:
    """Hashes of what these tables (None: all) hold of each tenant, "ours", "theirs" and the
    library, "shared"."""
    tenants = {"ours": world.cast.workspace, "theirs": world.cast.other_workspace, "shared": None}
    return {
        (tenant, model._meta.label): hashlib.sha256(contents(model, workspace).encode()).hexdigest()
        for tenant, workspace in tenants.items()
        for table, model in tenant_tables().items()
        if tables is None or table in tables
    }


def changed(before: Prints, after: Prints, tenant: str, *, trail: bool = False) -> set[str]:
    """Labels of the models of which this tenant's rows are not what they were; without the audit
    trail, which takes refusals in, unless `trail`."""
    return {
        label
        for (whose, label), print_ in after.items()
        if whose == tenant
        and before[whose, label] != print_
        and (trail or label != AuditEntry._meta.label)
    }


def smuggled(world: World, tenant: str, tables: Iterable[str], asked: str) -> list[str]:
    """Models of these tables of which a row of this tenant holds an id of the other one's, or a
    text that the visitor did not write. The trail may say what was asked for."""
    workspace = world.cast.workspace if tenant == "ours" else world.cast.other_workspace
    texts, ids = ([THEIRS], [str(THEIR_IDS)]) if tenant == "ours" else ([OURS], [])
    unasked = [mark for mark in texts if mark not in asked]
    with every_workspace():
        found = []
        for model in map(tenant_tables().__getitem__, tables):
            foreign = unasked + [
                mark for mark in ids if model is not AuditEntry or mark not in asked
            ]
            if model is not User and any(mark in contents(model, workspace) for mark in foreign):
                found.append(model._meta.label)
        return found


# --- one request ----------------------------------------------------------------------------------
@dataclass
class Visit:
    """What a request answered and did; all of it is undone afterwards. `before` and `after` tell
    of the tables that it wrote into."""

    answer: str
    body: str = ""
    wrote: bool = False
    before: Prints = field(default_factory=dict)
    after: Prints = field(default_factory=dict)
    smuggled: list[str] = field(default_factory=list)
    choices: list[str] = field(default_factory=list)


def visit(
    world: World,
    send: Callable[[], HttpResponse],
    *,
    before: Callable[[], None] | None = None,
    tenant: str = "ours",
    asked: str = "",
) -> Visit:
    """Send a request and look at what came of it in the database. `before` puts the rows into
    the state it needs."""
    saved = {role: client.cookies.copy() for role, client in world.clients.items()}
    with transaction.atomic():
        prepared, written = Prints(), set[str]()
        if before is not None:
            with connection.execute_wrapper(_notes_writes(written)):
                before()
            prepared = fingerprints(world, written)
            written.clear()
        found = Visit("")
        with connection.execute_wrapper(_notes_writes(written)):
            try:
                response = send()
                found.answer, found.body = classify(response), _body(response)
                if found.answer == ALLOWED:
                    found.choices = _foreign_choices(world, response, tenant)
            except Exception as error:  # a page that raises is a fault
                found.answer = f"raised {type(error).__name__}: {error}"
        # A page that raised may have broken the transaction; then there is nothing to look at.
        written &= tenant_tables().keys()
        if written and not connection.needs_rollback:
            found.wrote, found.after = True, fingerprints(world, written)
            found.smuggled = smuggled(world, tenant, written, asked)
        transaction.set_rollback(True)
    if found.wrote:
        found.before = world.prints_of(written) | prepared
    for role, cookies in saved.items():
        world.clients[role].cookies = cookies
    keys.forget_all()
    clear_script_prefix()
    return found


def _notes_writes(written: set[str]) -> Callable[..., Any]:
    def wrapper(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        match = _TABLE.match(sql)
        if match:
            written.add(match[1])
        return execute(sql, params, many, context)

    return wrapper


def _body(response: HttpResponse) -> str:
    """All that the visitor gets to see: the text, where it leads, and the messages of the next
    page."""
    content = b"".join(response.streaming_content) if response.streaming else response.content  # type: ignore[arg-type]
    text = (
        content.decode("utf-8", "replace") if not content.startswith(b"PK") else _unzipped(content)
    )
    said = " ".join(str(message) for message in get_messages(response.wsgi_request))  # type: ignore[attr-defined]
    leads = response.headers.get("Location", "") + response.headers.get("HX-Redirect", "")
    return f"{text}\n{leads}\n{said}"


def _unzipped(content: bytes) -> str:
    import io
    import zipfile

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return "\n".join(
            archive.read(name).decode("utf-8", "replace") for name in archive.namelist()
        )


def classify(response: HttpResponse) -> str:
    status = response.status_code
    if status in (301, 302) and response.headers["Location"].startswith("/accounts/login/"):
        return LOGIN
    named = {404: MISSING, 403: FORBIDDEN, 405: WRONG_METHOD, 401: NO_KEY}
    if status in named:
        return named[status]
    # 400, 409 and 422 are the page's own word on its input, 503 on the sandbox that is not there:
    # the role is in.
    return ALLOWED if status < 500 or status == 503 else f"{status}"


# --- forms ----------------------------------------------------------------------------------------
def forms_of(response: HttpResponse) -> list[BaseForm]:
    """Every form that the page showed: its own with their parts, those of its inlines, a
    dialog's."""
    found: dict[int, BaseForm] = {}
    context = getattr(response, "context", None)
    for layer in _layers(context) if context is not None else ():
        for value in layer.values():
            for one in value if isinstance(value, list) else [value]:
                form = getattr(one, "form", one) if isinstance(one, AdminForm) else one
                if isinstance(form, BaseForm):
                    found |= {id(part): part for part in (form, *getattr(form, "parts", ()))}
                formset = getattr(one, "formset", None)
                if isinstance(formset, BaseFormSet):
                    found |= {id(row): row for row in formset.forms}
    return list(found.values())


def _layers(context: Any) -> Iterator[dict[str, Any]]:
    """The test client gives a dict, a Context of layers, or a list of either."""
    if isinstance(context, ContextList | list):
        for one in context:
            yield from _layers(one)
    elif isinstance(context, BaseContext):
        for layer in context.dicts:
            yield from _layers(layer)
    elif isinstance(context, dict):
        yield context


def _foreign_choices(world: World, response: HttpResponse, tenant: str) -> list[str]:
    """Fields of the page's forms that offer rows of the other tenant, and inlines that hold such
    rows."""
    found = []
    rows = world.theirs if tenant == "ours" else world.ours
    people = world.cast.other_owner if tenant == "ours" else world.cast.owner
    foreign = {model: row.pk for model, row in rows.items()} | {User: people.pk}
    with every_workspace():
        for form in forms_of(response):
            for name, one in form.fields.items():
                queryset = getattr(one, "queryset", None)
                pk = foreign.get(queryset.model) if queryset is not None else None
                if pk is not None and queryset.filter(pk=pk).exists():
                    found.append(f"the field {name} offers a row of the other tenant")
            instance = getattr(form, "instance", None)
            if instance is not None and instance.pk == foreign.get(type(instance), ABSENT):
                found.append(
                    f"a form holds {type(instance).__name__} {instance.pk} of the other tenant"
                )
    return found


# --- what may be seen -----------------------------------------------------------------------------
_MARKS = {
    "ours": (OURS, "biddano tech"),
    "theirs": (THEIRS, str(THEIR_IDS), f"{THEIR_COUNT:,}", str(THEIR_COUNT)),
}


def seen(role: str, body: str, asked: str, *, on_platform: bool = False) -> list[str]:
    """Marks in the body that this role must not see; what the request itself said does not
    count."""
    if role in INSIDERS:
        hidden = _MARKS["theirs"]
    elif role == "other_owner":
        hidden = _MARKS["ours"]
    else:
        hidden = () if on_platform and role == "operator" else (*_MARKS["ours"], *_MARKS["theirs"])
    return [mark for mark in hidden if mark in body.lower() and mark not in asked.lower()]
