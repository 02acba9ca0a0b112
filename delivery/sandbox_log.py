"""What the devices of a workspace's sandbox received."""

from __future__ import annotations

from django.utils.translation import gettext as _

from delivery.connections import account_of
from delivery.providers.base import LogPage, Sandbox, SandboxSilent
from delivery.providers.registry import provider_of
from tenants.models import Connection
from tenants.secrets import SecretUnreadable


def received(connection: Connection, *, after: int | None, limit: int) -> LogPage:
    """What came after a place in the log; without one, about the newest `limit`. Raises
    SandboxSilent."""
    sandbox = provider_of(connection.provider)
    assert isinstance(sandbox, Sandbox)
    try:
        account = account_of(connection)
    except (SecretUnreadable, ValueError) as error:
        raise SandboxSilent(
            _("The credentials of the sandbox cannot be used. %(problem)s") % {"problem": error}
        ) from error
    return sandbox.received(account, after=after, limit=limit)
