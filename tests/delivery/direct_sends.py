"""Direct messages for tests: accepting a request, and its rows of the ledger."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from campaigns.audience.reasons import Reason
from campaigns.models import MessageClass
from delivery import send_now
from delivery.models import DirectSend, Message
from tenants.models import Workspace
from tenants.scope import every_workspace, scope

TEXT = {"title": "Your code", "body": "{{ data.code }} for {{ first_name }}"}
_FIELDS = ("title", "body", "subject")


def accept(
    workspace: Workspace, *names: str, own: dict[str, Any] | None = None, **fields: Any
) -> DirectSend:
    """Accept a request for these people; `own` is {name: their own data}. Texts of its content may
    be given by their names."""
    content = {**TEXT, **{name: fields.pop(name) for name in _FIELDS if name in fields}}
    wanted: dict[str, Any] = {"channel": "app_push", "data": {"code": "4711"}}
    wanted["message_class"] = MessageClass.TRANSACTIONAL
    if "template_id" not in fields:
        wanted["content"] = content
    people = [(name, (own or {}).get(name, {})) for name in names]
    with scope(workspace):
        return send_now.accept(
            workspace,
            send_now.Wanted(people=people, **{**wanted, **fields}),
            made_by="a test",
            now=timezone.now(),
        )


def rows(send: DirectSend) -> list[Message]:
    with every_workspace():
        return list(Message.objects.filter(request=send.pk).order_by("pk"))


def reasons(send: DirectSend) -> list[Reason]:
    return [Reason(row.reason) for row in rows(send)]
