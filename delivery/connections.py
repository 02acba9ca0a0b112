"""A workspace's provider account: connecting, testing, opening it for sending."""

from __future__ import annotations

import contextlib
from datetime import datetime
from os import getpid
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns import plan
from campaigns.channels.registry import DEFAULT, channel_of
from campaigns.models import Run
from delivery.engine import reach
from delivery.providers.base import CheckResult, ProviderUnreachable, Sender
from delivery.providers.registry import provider_of, sandbox_of
from tenants import audit
from tenants.models import Connection, User, Workspace
from tenants.scope import scope
from tenants.secrets import SecretUnreadable

CHANGED_MEANWHILE = gettext_lazy(
    "Somebody changed the connection during the test. Test the connection again."
)


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


def test_connection(connection: Connection) -> CheckResult:
    """Ask the provider whether it takes our credentials. The row keeps the answer, in the language
    of the person that tests, unless somebody changed the row meanwhile: then the answer says
    nothing about its credentials. Never raises."""
    try:
        result = provider_of(connection.provider).check(account_of(connection))
    except (SecretUnreadable, ValueError) as error:
        result = CheckResult(ok=False, message=str(error))
    if _note_check(connection, result):
        return result
    return CheckResult(ok=False, message=str(CHANGED_MEANWHILE))


def put_in_use(connection: Connection) -> tuple[CheckResult, int]:
    """Test the connection; if the provider takes it, it takes the place of its service's active
    one.

    Returns (the answer, how many runs under way the former one paused). Call outside of a
    transaction: the provider may take 20 seconds to answer. Never raises.
    """
    tested_at = connection.updated_at
    result = test_connection(connection)
    if not result.ok:
        return result, 0
    with transaction.atomic():
        locked = Connection.objects.select_for_update().get(pk=connection.pk)
        if locked.updated_at != tested_at:
            return CheckResult(ok=False, message=str(CHANGED_MEANWHILE)), 0
        locked.is_active = connection.is_active = True
        paused = save_and_pause_orphans(locked)
        connection.updated_at = locked.updated_at
    return result, paused


def replace_credentials(connection: Connection, credentials: str) -> CheckResult:
    """Give a connection new credentials. One that is in use keeps its own until the provider has
    taken the new ones.

    Call outside of a transaction, as `put_in_use`. Raises ValueError if the credentials cannot
    be read.
    """
    if not connection.is_active:
        store_account(connection, credentials)
        return test_connection(connection)
    provider = provider_of(connection.provider)
    result = provider.check(provider.read(credentials))
    if result.ok:
        with transaction.atomic():
            locked = Connection.objects.select_for_update().get(pk=connection.pk)
            store_account(locked, credentials)
            _note_check(locked, result)
        connection.refresh_from_db()
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
        others.exclude(pk=connection.pk).update(is_active=False)
    connection.save()
    cut_off = Run.objects.filter(
        workspace=connection.workspace, state__in=plan.STARTED, connection__is_active=False
    )
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
        connection = _use_sandbox(workspace, sandbox.key, service, credentials)
        audit.record(workspace, "sandbox connected", connection, by=by)
        return connection


def start_with_sandbox(workspace: Workspace, owner: User) -> None:
    """What a new workspace starts with. If no sandbox answers, the workspace is whole all the
    same."""
    with contextlib.suppress(SandboxUnreachable):
        connect_sandbox(workspace, by=owner)


def _use_sandbox(workspace: Workspace, provider: str, service: str, credentials: str) -> Connection:
    connection = Connection.objects.filter(provider=provider).first() or Connection(
        workspace=workspace, name="Sandbox", provider=provider, service=service, is_active=False
    )
    if connection.is_active:
        result = replace_credentials(connection, credentials)
    else:
        store_account(connection, credentials)
        result, _paused = put_in_use(connection)
    if not result.ok:
        raise SandboxUnreachable(result.message)
    return connection
