"""Direct messages: accept a request for one, or for up to PEOPLE_MOST people, and tell what became
of it. The engine's workers send it (delivery.engine.direct)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from campaigns import lanes
from campaigns.audience.reasons import Reason
from campaigns.channels import registry, render
from campaigns.channels.base import REFERENCE, Channel
from campaigns.channels.given import problems_of, read_message
from campaigns.contacts import consent
from campaigns.content import lint
from campaigns.models import Contact, Run, Template
from delivery.engine.compose import data_needed
from delivery.models import DirectSend, Message
from pushpilot.lib import wake
from pushpilot.lib.display import format_number
from pushpilot.lib.signing import sample_reference
from tenants.models import Workspace

PEOPLE_MOST = 500
Found = dict[str, list[str]]  # {path of a field: what is wrong with it}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks for: a template, or the fields of a message with their `language`.
    `people`: (external id, their own data) of each."""

    channel: str
    message_class: str
    people: Sequence[tuple[str, Mapping[str, Any]]]
    data: Mapping[str, Any] = field(default_factory=dict)
    template_id: int | None = None
    content: Mapping[str, Any] | None = None
    language: str = ""


@transaction.atomic
def accept(workspace: Workspace, wanted: Wanted, *, made_by: str, now: datetime) -> DirectSend:
    """Keep the request and wake a worker. The row itself is the trail: who asked for what, and
    when. Raises ValidationError, with the path of each field that is wrong."""
    lane = lanes.lane_of(workspace, wanted.channel, wanted.message_class)
    for finding in lint.channel_findings(lane):
        raise ValidationError(finding.text)
    contents, found = _contents(workspace, wanted)
    found |= _repeated(wanted)
    names = [name for name, _data in wanted.people]
    own = Contact.objects.filter(workspace=workspace, external_id__in=names)
    known = dict(own.values_list("external_id", "pk"))
    if not known and not found:
        found["recipients"] = [_("There is no contact with any of these ids.")]
    if found:
        raise ValidationError(found)
    if not lane.is_transactional:  # what people said before they were known
        consent.adopt(workspace, names)
    send = DirectSend.objects.create(
        workspace=workspace,
        campaign=lane,
        contents=contents,
        people=[[known[name], name, dict(data)] for name, data in wanted.people if name in known],
        data=dict(wanted.data),
        unknown=[name for name in names if name not in known],
        made_by=made_by[:200],
        accepted_at=now,
        expires_at=now + lanes.EXPIRES,
    )
    wake.ring("work")
    return send


# --- what is wrong with it ------------------------------------------------------------------------
def _contents(workspace: Workspace, wanted: Wanted) -> tuple[list[dict[str, Any]], Found]:
    """(the contents as a revision keeps them, what is wrong with them)."""
    channel = registry.channel_of(wanted.channel)
    found: Found = {}
    if wanted.template_id is not None:
        contents = _of_template(channel, wanted.template_id, found)
    else:
        message, remarks = read_message(channel, wanted.content or {})
        for path, text in remarks:
            found.setdefault(f"content.{path}", []).append(text)
        language = wanted.language or workspace.default_language
        contents = [{**message, "language": language, "variant": "A"}]
    place = "template_id" if wanted.content is None else "content"
    for content in contents if not found else ():
        for path, text in _unsendable(channel, content, workspace):
            path = place if place == "template_id" else f"{place}.{path}"
            found.setdefault(path, []).append(text)
    found |= {} if found else _missing_data(channel, contents, wanted)
    return contents, found


def _of_template(channel: Channel, template_id: int, found: Found) -> list[dict[str, Any]]:
    """The template, and after it the same template in other languages."""
    template = Template.objects.filter(pk=template_id).first()
    if template is None:
        found["template_id"] = [_("There is no such template.")]
        return []
    if template.channel not in registry.alike(channel.key):
        text = _("The template is for %(channel)s. Choose one for %(wanted)s.")
        labels = {"channel": registry.label_of(template.channel), "wanted": channel.label}
        found["template_id"] = [text % labels]
        return []
    alike = Template.objects.filter(
        workspace=template.workspace_id, name_key=template.name_key, channel=template.channel
    )
    others = alike.exclude(pk=template.pk).order_by("language")
    return [{**one.fields, "language": one.language, "variant": "A"} for one in (template, *others)]


def _unsendable(
    channel: Channel, content: Mapping[str, Any], workspace: Workspace
) -> Iterator[tuple[str, str]]:
    if channel.is_empty(content):
        yield channel.title_field, str(channel.empty_words)
    yield from problems_of(channel, content)
    if not any(render.is_dynamic(str(content.get(name) or "")) for name in channel.personal):
        size = channel.size({**content, REFERENCE: sample_reference(workspace.pk)})
        if size > channel.limit_bytes:
            text = _(
                "The message has %(size)s bytes. %(channel)s takes at most %(limit)s bytes. "
                "Shorten the message."
            )
            named = {"size": format_number(size), "limit": format_number(channel.limit_bytes)}
            longest = max(channel.personal, key=lambda name: len(str(content.get(name) or "")))
            yield longest, text % {**named, "channel": channel.label}


def _missing_data(channel: Channel, contents: Sequence[Mapping[str, Any]], wanted: Wanted) -> Found:
    """Data that a text shows and nobody has. Who alone lacks it gets no message."""
    given = [{**wanted.data, **data} for _name, data in wanted.people]
    found: Found = {}
    for path in {path: None for content in contents for path in data_needed(channel, content)}:
        if not any(render.has_data(data, path) for data in given):
            text = _(
                "The text shows this value, and the request has it for nobody. Send it, or give "
                "the text a default."
            )
            found[".".join([render.DATA, *map(str, path)])] = [text]
    return found


def _repeated(wanted: Wanted) -> Found:
    seen: dict[str, int] = {}
    found: Found = {}
    for index, (name, _data) in enumerate(wanted.people):
        first = seen.setdefault(name, index)
        if first != index:
            text = _("This person is already recipient %(index)s. Name each person once.")
            found[f"recipients.{index}.external_user_id"] = [text % {"index": first}]
    return found


# --- what became of it ----------------------------------------------------------------------------
def messages_of(send: DirectSend) -> list[Message]:
    """The rows of the ledger with their contacts and runs; none before the request is gathered."""
    if send.run_id is None:
        return []
    rows = Message.objects.filter(run=send.run_id, request=send.pk)
    if send.shard is not None:  # by the primary key
        rows = rows.filter(pk__range=(send.shard.first_id, send.shard.last_id))
    elif send.people:
        rows = rows.filter(contact__in=[contact_id for contact_id, *_ in send.people])
    rows = rows.select_related("contact", "endpoint", "run__connection")
    return list(rows.defer("run__connection__sealed").order_by("pk"))


def waiting_for(send: DirectSend) -> list[str]:
    """The people who have no row yet."""
    if send.run_id is not None:
        return []
    return [name for _contact_id, name, _data in send.people]


def progress_of(send: DirectSend, messages: Sequence[Message]) -> str:
    """waiting (for a worker), paused (until a person resumes), sending or done."""
    is_left = any(Reason(one.reason).is_waiting for one in messages)
    if send.run_id is not None and not is_left:
        return "done"
    paused = Run.objects.filter(campaign=send.campaign_id, state=Run.State.PAUSED)
    if send.run_id is not None:
        paused = paused.filter(pk=send.run_id)
    if paused.exists():
        return "paused"
    return "waiting" if send.run_id is None else "sending"
