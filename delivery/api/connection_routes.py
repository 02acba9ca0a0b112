"""The workspace's connection to Firebase: the verbs of delivery.connections behind an address."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from ninja import Router, Schema, Status
from pydantic import Field, field_validator

from campaigns.channels.push.keys import APP_PUSH, WEB_PUSH
from delivery import connections, trial
from delivery.api.trials import TestResult, check_sent, refusals_of_tests, told, unreachable
from delivery.providers.base import CheckResult, CredentialsRefused, ProviderUnreachable
from delivery.providers.fcm.account import FcmAccount, is_for_sandbox
from delivery.providers.fcm.provider import Fcm, FcmSandbox
from delivery.providers.registry import provider_of
from delivery.trial_devices import ID_CHARS, To
from pushpilot.lib.problems import Problem, invalid
from tenants import keys, roles
from tenants.api import etags
from tenants.api.errors import by_the_rules
from tenants.api.idempotency import idempotent
from tenants.api.schemas import Body, Plain, Token
from tenants.api.security import Access, actor_of, inside
from tenants.models import Connection, Workspace
from tenants.secrets import SecretUnreadable

router = Router(tags=["Connections"])
MANAGE = Access(keys.CONNECTIONS_MANAGE)
KEY_ID_SHOWN = 8
_PROVIDERS = (Fcm.key, FcmSandbox.key)


# --- what is given and taken ----------------------------------------------------------------------
class Credentials(Body):
    project_id: Annotated[str, Plain(100)] = Field(
        "", description="The Firebase project; must be that of the service account."
    )
    service_account: dict[str, Any] | str = Field(
        "",
        description="The service account's JSON file, as an object or as text: Firebase console → "
        "Project settings → Service accounts → Generate new private key. It is encrypted and never "
        "shown again.",
    )
    server_key: Any = Field(
        None,
        deprecated=True,
        description="Refused: Google switched these keys off in 2024. Send `service_account`.",
    )
    name: str = Field("", description="1 to 100 characters.")
    per_second: int = Field(
        0, description="The most messages a second, of all campaigns together: 1 to 100,000."
    )

    @field_validator("service_account", mode="before")
    @classmethod
    def check_shape(cls, value: Any) -> Any:
        if not isinstance(value, dict | str):
            raise ValueError(_("Send the JSON file as an object, or as text."))
        return value

    @field_validator("server_key")
    @classmethod
    def refuse_legacy_keys(cls, value: Any) -> Any:
        words = _(
            "Google switched off the server keys of FCM in 2024. Send the service account instead: "
            "in the Firebase console open Project settings → Service accounts → Generate new "
            "private key, and send the whole JSON file as service_account."
        )
        raise ValueError(words)

    @property
    def secret(self) -> str:
        """The service account as text, "" for none."""
        if isinstance(self.service_account, dict):
            return msgspec.json.encode(self.service_account).decode()
        return self.service_account

    @property
    def fields(self) -> dict[str, Any]:
        """The other fields that were sent."""
        return self.model_dump(exclude_unset=True, include=set(connections.FIELDS))


class ConnectionChanges(Credentials):
    """Only the fields that are sent are changed."""

    in_use: bool = Field(
        False, description="`true` tests the connection and puts it in use, `false` stops using it."
    )


class FirebaseOut(Schema):
    id: int
    name: str
    state: Literal["in_use", "off"]
    is_sandbox: bool = Field(description="Messages reach no real phone.")
    project_id: str
    client_email: str
    key_id: str = Field(description="The first characters of the key's id, as Google lists it.")
    problem: str = Field(description="Why the stored credentials cannot be read, else empty.")
    per_second: int
    checked_at: datetime | None = Field(description="When the credentials were last tested.")
    check_ok: bool | None
    check_message: str
    created_at: datetime
    updated_at: datetime


class TestOfConnection(Body):
    """Without `token` and `contact` the credentials alone are tested."""

    token: Token | None = None
    contact: Annotated[str, Plain(ID_CHARS)] | None = Field(
        None, description="An external id; all devices of the contact get the notification."
    )
    channel: Literal["app_push", "web_push"] = "app_push"
    title: Annotated[str, Plain(200)] | None = None
    body: Annotated[str, Plain(1000)] | None = None


class CredentialsChecked(Schema):
    ok: bool
    message: str
    code: str


class ConnectionTested(Schema):
    credentials: CredentialsChecked
    results: list[TestResult]
    left_out: int = Field(description="Devices beyond the ten that a test goes to.")


def _told(connection: Connection) -> dict[str, Any]:
    key_id = problem = ""
    try:
        account: FcmAccount = connections.account_of(connection)
        key_id = provider_of(connection.provider).key_id(account)[:KEY_ID_SHOWN]
    except (SecretUnreadable, ValueError) as error:
        problem = str(error)
    same = ("id", "name", "per_second", "checked_at", "check_ok", "check_message")
    return {
        **{name: getattr(connection, name) for name in (*same, "created_at", "updated_at")},
        "state": "in_use" if connection.is_active else "off",
        "is_sandbox": connection.is_sandbox,
        "project_id": connection.settings.get("project_id", ""),
        "client_email": connection.settings.get("account", ""),
        "key_id": f"{key_id}…" if key_id else "",
        "problem": problem,
    }


# --- which one ------------------------------------------------------------------------------------
def _known(workspace: Workspace) -> Any:
    return Connection.objects.filter(workspace=workspace, provider__in=_PROVIDERS)


def _current(workspace: Workspace) -> Connection:
    """The connection in use, else the newest one. Raises Problem 404."""
    found: Connection | None = _known(workspace).order_by("-is_active", "-pk").first()
    if found is None:
        detail = _("This workspace is not connected to Firebase. POST a service account first.")
        raise Problem(404, "connection_not_found", detail)
    found.workspace = workspace
    return found


@contextmanager
def _refusals() -> Iterator[None]:
    """What the verbs of connections refuse, as problems."""
    try:
        with by_the_rules():
            yield
    except ProviderUnreachable as error:
        raise unreachable(error) from error
    except CredentialsRefused as error:
        raise _wrong("service_account", "refused", str(error)) from error
    except connections.ChangedMeanwhile as error:
        raise Problem(409, "conflict", str(error)) from error
    except SecretUnreadable as error:
        raise Problem(409, "connection_unusable", str(error)) from error
    except ValueError as error:
        raise _wrong("service_account", "invalid", str(error)) from error


def _wrong(field: str, code: str, detail: str) -> Problem:
    return invalid([{"field": field, "code": code, "detail": detail}])


def _project_of(secret: str, body: Credentials, provider: str) -> str:
    """The project of the service account. Raises ValueError, or Problem 422 if the body names
    another one."""
    project_id: str = provider_of(provider).read(secret).settings["project_id"]
    if body.project_id not in ("", project_id):
        words = _("The service account belongs to the project “%(project)s”.")
        raise _wrong("project_id", "invalid", words % {"project": project_id})
    return project_id


# --- the routes -----------------------------------------------------------------------------------
@router.get(
    "/workspaces/{workspace}/firebase",
    response=FirebaseOut,
    auth=MANAGE,
    summary="The connection to Firebase",
)
def get_firebase(request: HttpRequest, response: HttpResponse, workspace: str) -> dict[str, Any]:
    """The one in use, else the newest. Without the secret: of the key only the beginning of its
    id."""
    with inside(request, workspace, roles.CONNECTIONS) as found:
        connection = _current(found)
        etags.put(response, connection)
        return _told(connection)


@router.post(
    "/workspaces/{workspace}/firebase",
    response={200: FirebaseOut, 201: FirebaseOut},
    auth=MANAGE,
    summary="Connect Firebase",
)
@idempotent(roles.CONNECTIONS)
def connect_firebase(
    request: HttpRequest, response: HttpResponse, workspace: str, body: Credentials
) -> Status[dict[str, Any]]:
    """Tests the service account and puts the connection in use, in the place of the former one.
    201 for a project that is new here; 200 if the workspace had a connection to this project,
    which gets the new credentials. If Google refuses them (422) or does not answer (503), nothing
    is stored. A key file of the sandbox connects the sandbox."""
    with inside(request, workspace, roles.CONNECTIONS) as found, _refusals():
        secret, by = body.secret, actor_of(request)
        if not secret:
            raise _wrong("service_account", "missing", _("Send the service account's JSON."))
        provider = Fcm.key
        if is_for_sandbox(secret, settings.SANDBOX_URL):
            provider = FcmSandbox.key
        project_id = _project_of(secret, body, provider)
        known = _known(found).filter(provider=provider, settings__project_id=project_id)
        connection = known.order_by("-is_active", "-pk").first()
        status = 200
        if connection is not None:
            connection.workspace = found
            connections.change(connection, body.fields, credentials=secret, in_use=True, by=by)
        else:
            status, connection = 201, _new(found, provider, body)
            connections.connect(connection, secret, by=by)
        etags.put(response, connection)
        return Status(status, _told(connection))


def _new(workspace: Workspace, provider: str, body: Credentials) -> Connection:
    carrier = provider_of(provider)
    start = {"name": str(carrier.label), "per_second": carrier.manners.per_second}
    fields = {**start, **body.fields}
    return Connection(workspace=workspace, provider=provider, service=carrier.service, **fields)


@router.patch(
    "/workspaces/{workspace}/firebase",
    response=FirebaseOut,
    auth=MANAGE,
    summary="Change the connection",
    openapi_extra=etags.DOCUMENTED,
)
def change_firebase(
    request: HttpRequest, response: HttpResponse, workspace: str, body: ConnectionChanges
) -> dict[str, Any]:
    """All of it or nothing. New credentials are tested first: if Google refuses them (422) or does
    not answer (503), nothing is changed."""
    with inside(request, workspace, roles.CONNECTIONS) as found, _refusals():
        connection, secret = _current(found), body.secret
        # Before the provider is asked, and again when the row is locked.
        etags.expect(request, connection, _told)
        if secret:
            _project_of(secret, body, connection.provider)
        elif body.project_id not in ("", connection.settings.get("project_id")):
            words = _("Send the service account of this project as service_account.")
            raise _wrong("project_id", "invalid", words)
        connections.change(
            connection,
            body.fields,
            credentials=secret,
            in_use=body.in_use if "in_use" in body.model_fields_set else None,
            by=actor_of(request),
            expect=lambda locked: etags.expect(request, locked, _told),
        )
        etags.put(response, connection)
        return _told(connection)


@router.post(
    "/workspaces/{workspace}/firebase/test",
    response=ConnectionTested,
    auth=MANAGE,
    summary="Test the connection",
)
@idempotent(roles.CONNECTIONS)
def test_firebase(request: HttpRequest, workspace: str, body: TestOfConnection) -> dict[str, Any]:
    """Asks Google whether it takes the credentials. With a `token` or a `contact` it then sends a
    real notification to those devices, marked with `pp_test` and counted nowhere, and answers what
    Google said of each. Who has unsubscribed gets none: 409 `not_sent`."""
    names = {"contacts": "contact", "tokens": "token"}
    with inside(request, workspace, roles.CONNECTIONS) as found, refusals_of_tests(names):
        connection, by = _current(found), actor_of(request)
        checked = connections.test_connection(connection, by=by)
        if checked.is_unanswered:
            raise unreachable(ProviderUnreachable(checked.message))
        made = trial.Trial()
        if checked.ok and (body.token or body.contact):
            made = trial.send_greeting(
                connection,
                {"app_push": APP_PUSH, "web_push": WEB_PUSH}[body.channel],
                To([body.contact] if body.contact else [], [body.token] if body.token else []),
                by=by,
                title=body.title or "",
                body=body.body or "",
            )
            check_sent(made)
        return {"credentials": _check(checked), "results": told(made), "left_out": made.left_out}


def _check(checked: CheckResult) -> dict[str, Any]:
    return {"ok": checked.ok, "message": checked.message, "code": checked.code}
