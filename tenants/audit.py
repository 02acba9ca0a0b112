"""Writing the audit trail. Every change and every send decision passes here once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from django.utils.translation import override

from tenants.models import AuditEntry

if TYPE_CHECKING:
    from tenants.models import User, Workspace

Via = AuditEntry.Via
TEXT_LIMIT = 2000

_origin: ContextVar[tuple[str, str | None]] = ContextVar("audit_origin", default=(Via.ENGINE, None))
_program: ContextVar[str] = ContextVar("audit_program", default="")


@contextmanager
def origin(via: str, address: str | None) -> Iterator[None]:
    """What is recorded inside came this way, from this IP address. The middleware opens it
    around every request."""
    token = _origin.set((via, address))
    try:
        yield
    finally:
        _origin.reset(token)


@contextmanager
def by_program(label: str) -> Iterator[None]:
    """What is recorded inside without a person was done by this program of a customer's."""
    token = _program.set(label)
    try:
        yield
    finally:
        _program.reset(token)


def address() -> str | None:
    """The IP address that what happens now comes from."""
    return _origin.get()[1]


def in_english() -> override:
    """For words that become a key of the trail: the reader's language must not change them."""
    return override(None)


def record(
    workspace: Workspace,
    action: str,
    target: object,
    *,
    by: User | None,
    detail: dict[str, Any] | None = None,
    changes: Mapping[str, tuple[Any, Any]] | None = None,
) -> AuditEntry:
    """Append one entry. `action` is a verb in the past ("campaign scheduled"); `by` None means
    the program of `by_program`, else PushPilot itself; `changes` is {field: (before, after)}. On
    the operators' site `by` is called an operator."""
    via, from_address = _origin.get()
    entry: AuditEntry = AuditEntry.objects.create(
        workspace=workspace,
        actor=by,
        actor_label=_label(by, via),
        actor_email=by.email if by else "",
        action=action,
        target=f"{target}"[:200],
        detail=detail or {},
        changes={
            field: [_plain(before), _plain(after)]
            for field, (before, after) in (changes or {}).items()
        },
        via=via,
        address=from_address,
    )
    return entry


def _label(by: User | None, via: str) -> str:
    if by is None:
        return _program.get() or "PushPilot"
    return (f"Operator {by}" if via == Via.PLATFORM else str(by))[:254]


def _plain(value: Any) -> Any:
    """The value as JSON can keep it; long texts are cut."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict | list) and len(str(value)) <= TEXT_LIMIT:
        return value
    return str(value)[:TEXT_LIMIT].replace("\0", "")
