"""A campaign's message as one person would get it: what every preview shows, and what a provider
is asked about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from django.db.models import QuerySet

from campaigns.audience.segments import Rule, RuleError, compile_rule
from campaigns.channels.base import REFERENCE, Channel
from campaigns.channels.render import RenderError, contact_variables
from campaigns.models import PEOPLE, Contact, Content
from pushpilot.lib import languages
from pushpilot.lib.signing import sample_reference
from tenants.models import Workspace


@dataclass(frozen=True, slots=True)
class Compiled:
    """`payload` is neutral: no provider's. `problems`: {field: why its text is left empty}."""

    payload: dict[str, Any]
    problems: dict[str, str]
    size_bytes: int
    limit_bytes: int


def compiled(
    workspace: Workspace,
    channel: Channel,
    snapshot: dict[str, Any],
    person: Contact | None,
    target_kind: str = PEOPLE,
) -> Compiled:
    """The message (Content.snapshot) for one person, None for a person without data."""
    payload, problems = composed(workspace, channel, snapshot, person)
    kind = "" if target_kind == PEOPLE else target_kind
    return Compiled(payload, problems, channel.size(payload), channel.limit_of(kind))


def content_for(
    contents: Iterable[Content], person: Contact | None, default_language: str
) -> Content | None:
    """The content that the person would get, chosen as a send chooses: by their language, then
    by that of the workspace, then the first one. Variants of a language: the first."""
    by_language: dict[str, Content] = {}
    for content in contents:
        by_language.setdefault(content.language, content)
    own = person.language if person else ""
    return (
        languages.best(by_language, own)
        or languages.best(by_language, default_language)
        or next(iter(by_language.values()), None)
    )


def composed(
    workspace: Workspace, channel: Channel, snapshot: dict[str, Any], person: Contact | None
) -> tuple[dict[str, Any], dict[str, str]]:
    """(the neutral payload for one person, {field: what is wrong with it}), with a reference as
    long as a real one."""
    variables = {}
    if person:
        variables = contact_variables(_columns(person))
    fields, problems = _rendered(channel, snapshot, variables, workspace.zone)
    return {**fields, REFERENCE: sample_reference(workspace.pk)}, problems


def _rendered(
    channel: Channel, snapshot: dict[str, Any], variables: dict[str, Any], zone: tzinfo
) -> tuple[dict[str, Any], dict[str, str]]:
    """(the fields personalised, {field: what is wrong with it}); a text that fails is left
    empty."""
    snapshot = dict(snapshot)
    problems: dict[str, str] = {}
    for _attempt in range(len(channel.personal) + 1):
        try:
            compiled = channel.compile(snapshot, zone)
            return {**compiled.static, **compiled.values(variables)}, problems
        except RenderError as error:
            problems[error.field] = str(error)
            snapshot[error.field] = ""
    raise AssertionError("every text was emptied and still one fails")


def sample_person(workspace: Workspace, rule: Rule, after: int = 0) -> Contact | None:
    """A member of the audience, the next one after the contact `after`; anybody if nobody
    matches."""
    everybody: QuerySet[Contact] = Contact.objects.filter(workspace=workspace).order_by("pk")
    try:
        members = everybody.filter(compile_rule(rule))
    except RuleError:
        members = everybody
    if after and (found := members.filter(pk__gt=after).first()):
        return found
    return members.first() or everybody.first()


def _columns(contact: Contact) -> dict[str, Any]:
    attributes = {}
    if isinstance(contact.attributes, dict):
        attributes = contact.attributes
    names = ("external_id", "language", "country", "time_zone")
    return {**{name: getattr(contact, name) for name in names}, "attributes": attributes}
