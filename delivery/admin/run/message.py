"""The page of one message: why it was or was not sent, its attempts, and its text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import Http404
from django.utils.translation import gettext as _

from campaigns.audience.reasons import Reason, words_of
from campaigns.channels import registry
from campaigns.channels.render import is_dynamic
from campaigns.models import Run
from delivery.admin import slots
from delivery.admin.run.recipients import tone_of
from delivery.engine.answers import MOST
from delivery.models import Message
from delivery.notifications import Attempt, attempts_of, content_of, explanation, flying_among
from pushpilot.lib.display import exact_moment
from tenants.admin.base import moment


@dataclass(frozen=True, slots=True)
class Told:
    """An attempt with its moment in words."""

    attempt: Attempt
    when: str
    exact: str


def find(pk: int) -> Message:
    """A message of the workspace whose scope is open, with its people. Raises Http404."""
    rows = Message.objects.select_related("contact", "endpoint")
    found = rows.filter(pk=pk).first()
    if found is None:
        raise Http404("no such message in this workspace")
    return found


def context_of(message: Message, run: Run) -> dict[str, Any]:
    """What the page shows."""
    message.run = run
    reason = Reason(message.reason)
    words = words_of(reason, run.channel)
    content, number = content_of(message, run)
    texts = _texts(content, run.channel)
    return {
        "message": message,
        "contact": message.contact,
        "endpoint": message.endpoint,
        "status": _("Sending") if flying_among([message]) else str(words.label),
        "tone": tone_of(reason),
        "slug": reason.slug,
        "is_waiting": reason.is_waiting,
        "why": explanation(message),
        "attempts": [_told(one, run) for one in attempts_of(message)],
        "is_cut": len(message.answers or []) >= MOST,
        "next_try": moment(message.due_at, run.workspace) if message.due_at else "",
        "retired": moment(_retired_at(message), run.workspace) if _retired_at(message) else "",
        "texts": texts,
        "text_number": number,
        "text_language": content.get("language", ""),
        "was_handed_over": message.revision is not None,
        "has_placeholders": any(is_dynamic(text) for _label, text in texts),
        "later": slots.states_of([message.pk]).get(message.pk, []),
    }


def _told(one: Attempt, run: Run) -> Told:
    exact = exact_moment(one.at, run.workspace.zone) if one.at else ""
    return Told(one, moment(one.at, run.workspace), exact)


def _retired_at(message: Message) -> Any:
    """When its address was taken out of use."""
    endpoint = message.endpoint
    return endpoint.retired_at if endpoint is not None and not endpoint.is_active else None


def _texts(content: dict[str, Any], channel: str) -> list[tuple[str, str]]:
    """(label, text) of the fields that say something."""
    known = registry.CHANNELS.get(channel)
    fields = known.fields if known else ()
    return [
        (str(field.label), str(content[field.name])) for field in fields if content.get(field.name)
    ]
