"""A workspace's provider account: connecting, testing, changing it, opening it for sending. The
console and the API call the same verbs, and these write the trail.

What asks the provider may take 20 seconds: call it outside of a transaction.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from datetime import datetime
from os import getpid
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns import plan
from campaigns.channels.base import control_problem
from campaigns.channels.registry import DEFAULT, channel_of
from campaigns.models import Run
from delivery.engine import reach
from delivery.models import Shard
from delivery.providers.base import (
    CheckResult,
    CredentialsRefused,
    ProviderUnreachable,
    Sender,
)
from delivery.providers.registry import provider_of, sandbox_of
from pushpilot.lib.display import format_number
from tenants import audit
from tenants.models import Connection, User, Workspace
from tenants.scope import scope
from tenants.secrets import SecretUnreadable

CHANGED_MEANWHILE = gettext_lazy(
    "Somebody changed the connection during the test. Test the connection again."
)


NAME_CHARS = 100
PER_SECOND_MOST = 100_000
FIELDS = ("name", "per_second")
"""What people set of a connection, beside its credentials."""


class ChangedMeanwhile(Exception):
    """Somebody changed the connection while the provider was asked; nothing was changed here."""


class SandboxUnreachable(Exception):
    """The sandbox does not answer; the text says what to do."""


def account_of(connection: Connection) -> Any:
    """The account, as the connection's provider knows it. Raises SecretUnreadable or ValueError
    if the stored credentials cannot be used."""
    return provider_of(connection.provider).read(connection.credentials)


_senders: dict[tuple[int, int, str, datetime], Sender] = {}


def sender_for(connection: Connection) -> Sender:
    """This process's open sender of the connection: reading the key and minting a token costs
    more than 100 messages.

    Raises SecretUnreadable or ValueError.
    """
    key = (getpid(), connection.pk, str(connection.settings), connection.updated_at)
    if key not in _senders:
        for stale in [known for known in _senders if known[:2] == key[:2]]:
            _senders.pop(stale).close()
        _senders[key] = provider_of(connection.provider).open(account_of(connection))
    return _senders[key]


def drop_sender(sender: Sender) -> None:
    """Close a sender whose messages in flight nobody waits for any more."""
    for key in [known for known, open_one in _senders.items() if open_one is sender]:
        del _senders[key]
    sender.close()


# --- asking the provider --------------------------------------------------------------------------
def test_connection(connection: Connection, *, by: User | None) -> CheckResult:
    """Ask the provider whether it takes our credentials. The row keeps the answer, in the language
    of the person that tests, unless somebody changed the row meanwhile: then the answer says
    nothing about its credentials. Never raises."""
    result = _ask(connection)
    audit.record(
        connection.workspace, "connection tested", connection, by=by, detail={"ok": result.ok}
    )
    return result


def _ask(connection: Connection) -> CheckResult:
    try:
        result = provider_of(connection.provider).check(account_of(connection))
    except (SecretUnreadable, ValueError) as error:
        result = CheckResult(ok=False, message=str(error))
    if _note_check(connection, result):
        return result
    return CheckResult(ok=False, message=str(CHANGED_MEANWHILE))


def _taken(connection: Connection, credentials: str) -> CheckResult:
    """The provider's good answer about these credentials. Raises ValueError if they cannot be
    read, CredentialsRefused if the provider refuses them, ProviderUnreachable if it says
    nothing."""
    provider = provider_of(connection.provider)
    result = provider.check(provider.read(credentials))
    if result.is_unanswered:
        raise ProviderUnreachable(result.message)
    if not result.ok:
        raise CredentialsRefused(result.message)
    return result


def _note_check(connection: Connection, result: CheckResult) -> bool:
    """Keep the answer on the row; False if the row was changed since it was read."""
    checked_at, message = timezone.now(), result.message[:500]
    same = Connection.objects.filter(pk=connection.pk, updated_at=connection.updated_at)
    # Not updated_at: the account is the same, open senders stay good.
    if not same.update(checked_at=checked_at, check_ok=result.ok, check_message=message):
        return False
    connection.checked_at, connection.check_ok, connection.check_message = (
        checked_at,
        result.ok,
        message,
    )
    return True


# --- connecting and changing ----------------------------------------------------------------------
def connect(connection: Connection, credentials: str, *, by: User | None) -> int:
    """Save a new connection and use it, if the provider takes the credentials; else nothing is
    saved. Returns how many sends under way the former one paused.

    Raises ValidationError that names the field, and what `_taken` raises.
    """
    _check_fields(connection.name, connection.per_second)
    result = _taken(connection, credentials)
    with transaction.atomic():
        create(connection, credentials, by=by)
        _note_check(connection, result)
        return _take_over(connection, by=by)


@transaction.atomic
def create(connection: Connection, credentials: str, *, by: User | None) -> None:
    """Save a new connection that nobody has tested; it is off. Raises ValueError if the
    credentials cannot be read."""
    store_account(connection, credentials)
    account = {name: ("", value) for name, value in connection.settings.items()}
    fields = {name: (None, getattr(connection, name)) for name in FIELDS}
    audit.record(
        connection.workspace, "connection created", connection, by=by, changes=fields | account
    )


def change(
    connection: Connection,
    values: Mapping[str, Any],
    *,
    by: User | None,
    credentials: str = "",
    in_use: bool | None = None,
    expect: Callable[[Connection], None] | None = None,
) -> int:
    """Change some of FIELDS, the credentials, and whether the connection is in use: all of it, or
    nothing. New credentials are tested first, and so is a connection that is put in use. Returns
    how many sends under way it paused.

    `expect` is asked with the locked row, and raises what stops the change. Raises ValidationError
    that names the field, ChangedMeanwhile, SecretUnreadable, and what `_taken` raises.
    """
    tested_at, result = connection.updated_at, None
    _check_fields(
        values.get("name", connection.name), values.get("per_second", connection.per_second)
    )
    starts = bool(in_use) and not connection.is_active
    if credentials or starts:
        result = _taken(connection, credentials or connection.credentials)
    with transaction.atomic():
        locked = Connection.objects.select_for_update().get(pk=connection.pk)
        if expect is not None:
            expect(locked)
        if result is not None and locked.updated_at != tested_at:
            raise ChangedMeanwhile(str(CHANGED_MEANWHILE))
        change_fields(locked, values, by=by)
        paused = 0
        if result is not None and credentials:
            _replace(locked, credentials, by=by)
        if result is not None:
            _note_check(locked, result)
        if starts:
            paused = _take_over(locked, by=by)
        elif in_use is False and locked.is_active:
            paused = switch_off(locked, by=by)
    connection.refresh_from_db()
    return paused


@transaction.atomic
def change_fields(connection: Connection, values: Mapping[str, Any], *, by: User | None) -> None:
    """Give a saved connection these of FIELDS. Raises ValidationError that names the field."""
    before = Connection.objects.values(*FIELDS).get(pk=connection.pk)
    after = {**before, **values}
    _check_fields(after["name"], after["per_second"])
    changes = {name: (before[name], after[name]) for name in FIELDS if before[name] != after[name]}
    for name, value in after.items():
        setattr(connection, name, value)
    save_and_pause_orphans(connection)
    if changes:
        audit.record(connection.workspace, "connection changed", connection, by=by, changes=changes)


def _check_fields(name: str, per_second: int) -> None:
    faults = {}
    if not 0 < len(name.strip()) <= NAME_CHARS:
        words = _("Write a name of 1 to %(limit)s characters.")
        faults["name"] = words % {"limit": NAME_CHARS}
    elif fault := control_problem(_("Name"), name):
        faults["name"] = str(fault)
    if not 0 < per_second <= PER_SECOND_MOST:
        words = _("Write a number from 1 to %(limit)s.")
        faults["per_second"] = words % {"limit": format_number(PER_SECOND_MOST)}
    if faults:
        raise ValidationError(faults)


def put_in_use(connection: Connection, *, by: User | None) -> tuple[CheckResult, int]:
    """Test the connection; if the provider takes it, it takes the place of its service's active
    one.

    Returns (the answer, how many runs under way the former one paused). Never raises.
    """
    tested_at = connection.updated_at
    result = _ask(connection)
    if not result.ok:
        return result, 0
    with transaction.atomic():
        locked = Connection.objects.select_for_update().get(pk=connection.pk)
        if locked.updated_at != tested_at:
            return CheckResult(ok=False, message=str(CHANGED_MEANWHILE)), 0
        paused = _take_over(locked, by=by)
        connection.is_active, connection.updated_at = True, locked.updated_at
    return result, paused


def _take_over(connection: Connection, *, by: User | None) -> int:
    connection.is_active = True
    paused = save_and_pause_orphans(connection)
    audit.record(connection.workspace, "connection switched on", connection, by=by)
    return paused


@transaction.atomic
def switch_off(connection: Connection, *, by: User | None) -> int:
    """Stop using the connection. Returns how many sends under way it paused."""
    connection.is_active = False
    paused = save_and_pause_orphans(connection)
    audit.record(connection.workspace, "connection switched off", connection, by=by)
    return paused


def replace_credentials(
    connection: Connection, credentials: str, *, by: User | None
) -> CheckResult:
    """Give a connection new credentials. One that is in use keeps its own until the provider has
    taken the new ones.

    Raises ValueError if the credentials cannot be read.
    """
    if not connection.is_active:
        with transaction.atomic():
            _replace(connection, credentials, by=by)
        return _ask(connection)
    provider = provider_of(connection.provider)
    result = provider.check(provider.read(credentials))
    if result.ok:
        with transaction.atomic():
            locked = Connection.objects.select_for_update().get(pk=connection.pk)
            _replace(locked, credentials, by=by)
            _note_check(locked, result)
        connection.refresh_from_db()
    return result


def _replace(connection: Connection, credentials: str, *, by: User | None) -> None:
    former = dict(connection.settings)
    store_account(connection, credentials)
    changes = {name: (former.get(name, ""), now) for name, now in connection.settings.items()}
    audit.record(
        connection.workspace, "connection credentials replaced", connection, by=by, changes=changes
    )


def sends_that_need(connection: Connection) -> int:
    """How many sends keep the connection from being deleted: one without a connection could only
    stop in the middle."""
    open_states = (Run.State.PLANNED, *Run.ACTIVE_STATES)
    return Run.objects.filter(connection=connection, state__in=open_states).count()


@transaction.atomic
def store_account(connection: Connection, credentials: str) -> None:
    """Seal the credentials into the row and save it. Nobody has tested them yet: a new row is
    off (`put_in_use`), and `replace_credentials` is for one that is in use. Raises ValueError."""
    account = provider_of(connection.provider).read(credentials)
    if connection._state.adding:
        connection.is_active = False
    connection.settings = account.settings
    connection.credentials = credentials
    connection.checked_at, connection.check_ok, connection.check_message = None, None, ""
    save_and_pause_orphans(connection)
    reach.forget(connection)


@transaction.atomic
def save_and_pause_orphans(connection: Connection) -> int:
    """Save the row; if it is active, it becomes its service's only active one. Runs under way
    through one that is not in use any more are paused, returns how many: its key may be a stolen
    one, and another project refuses its devices.
    """
    if connection.is_active:
        others = Connection.objects.filter(
            workspace=connection.workspace, service=connection.service, is_active=True
        )
        others.exclude(pk=connection.pk).update(is_active=False, updated_at=timezone.now())
    connection.save()
    cut_off = Run.objects.filter(
        workspace=connection.workspace, state__in=plan.STARTED, connection__is_active=False
    )
    # Nothing waits in it: the next direct messages open another run, with the new connection.
    unsent = Shard.objects.filter(run=OuterRef("pk")).exclude(state=Shard.State.DONE)
    cut_off = cut_off.exclude(~Q(direct="") & ~Exists(unsent))
    cut_off = cut_off.select_related("workspace", "campaign", "connection")
    runs = list(cut_off.defer("connection__sealed"))
    return sum(
        plan.pause_for_cause(run, f"The connection “{run.connection}” is not in use any more.")
        for run in runs
    )


def connect_sandbox(
    workspace: Workspace, *, by: User | None, service: str = channel_of(DEFAULT).service
) -> Connection:
    """Create an account for the workspace in the service's sandbox, test it and use it.

    Raises SandboxUnreachable; then the connection that was in use stays in use.
    """
    sandbox = sandbox_of(service)
    if sandbox is None:
        raise SandboxUnreachable(_("There is no sandbox for %(service)s.") % {"service": service})
    try:
        credentials = sandbox.create_account(f"sandbox-{workspace.pk}-{workspace.slug}")
    except ProviderUnreachable as error:
        raise SandboxUnreachable(str(error)) from error
    with scope(workspace):
        connection = _use_sandbox(workspace, sandbox.key, service, credentials, by=by)
        audit.record(workspace, "sandbox connected", connection, by=by)
        return connection


def start_with_sandbox(workspace: Workspace, owner: User) -> None:
    """What a new workspace starts with. If no sandbox answers, the workspace is whole all the
    same."""
    with contextlib.suppress(SandboxUnreachable):
        connect_sandbox(workspace, by=owner)


def _use_sandbox(
    workspace: Workspace, provider: str, service: str, credentials: str, *, by: User | None
) -> Connection:
    connection = Connection.objects.filter(provider=provider).first() or Connection(
        workspace=workspace, name="Sandbox", provider=provider, service=service, is_active=False
    )
    if connection.is_active:
        result = replace_credentials(connection, credentials, by=by)
    else:
        store_account(connection, credentials)
        result, _paused = put_in_use(connection, by=by)
    if not result.ok:
        raise SandboxUnreachable(result.message)
    return connection
