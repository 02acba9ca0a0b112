"""What is wrong with a campaign before it goes out: errors stop a launch, warnings are shown,
and so is what some of the audience's devices leave out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from dataclasses import field as of_class
from datetime import datetime
from enum import IntEnum
from itertools import islice
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from campaigns.audience import selection
from campaigns.audience.reasons import Reason
from campaigns.audience.segments import COLUMNS, RuleError, compile_rule, matches_attribute
from campaigns.channels import dates, registry, render
from campaigns.channels.base import REFERENCE, Channel, Field
from campaigns.models import Campaign, Contact, Content
from pushpilot.lib import clock
from pushpilot.lib.display import format_number, percent
from pushpilot.lib.signing import sample_reference

PEOPLE_TRIED = 5  # the texts are filled in for these, and for a person without any data


class Severity(IntEnum):
    ERROR = 1
    WARNING = 2
    NOTE = 3  # nothing to cure: some devices leave this out


ERROR, WARNING, NOTE = Severity


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark on a campaign: `field` is the form field that cures it, `content` the place of
    the content that it is about, as contents are listed."""

    severity: Severity
    field: str
    text: str
    content: int | None = of_class(default=None, compare=False)


# Where programs find what the form has other inputs for.
_PATHS = {"audience": "audience_rule", "repeat": "recurrence_rule"}


def path_of(finding: Finding, campaign: Campaign) -> str:
    """Where in a campaign the finding is cured, such as contents.0.title."""
    channel = registry.CHANNELS.get(campaign.channel)
    if channel is None:
        return _PATHS.get(finding.field, finding.field)
    if finding.content is not None:
        return f"contents.{finding.content}.{channel.path_of(finding.field)}"
    if channel.broadcast(finding.field):
        return "target"
    if channel.path_of(finding.field).partition(".")[0] in channel.names:
        return "contents"
    return _PATHS.get(finding.field, finding.field)


def lint(campaign: Campaign, now: datetime) -> list[Finding]:
    """All findings, errors first, notes last."""
    contents = list(campaign.contents.order_by("variant", "id"))
    recipients = _broadcast(campaign, contents) if campaign.is_broadcast else _audience(campaign)
    findings = [*channel_findings(campaign), *_schedule(campaign, now), *recipients]
    if not contents and (channel := registry.CHANNELS.get(campaign.channel)):
        findings.append(Finding(ERROR, channel.title_field, str(channel.empty_words)))
    findings += lint_message(campaign, contents)
    return sorted(findings, key=lambda finding: finding.severity)


def lint_message(campaign: Campaign, contents: list[Content]) -> list[Finding]:
    """The findings about these contents of the campaign, saved or not, alone: errors first,
    notes last."""
    if campaign.channel not in registry.CHANNELS:
        return []  # `channel_findings` says so
    personal = registry.channel_of(campaign.channel).personal
    is_personal = any(
        render.is_dynamic(content.text(field)) for content in contents for field in personal
    )
    people = _people(campaign) if is_personal else [{}]
    findings = [
        replace(finding, content=place)
        for place, content in enumerate(contents)
        for finding in _content(campaign, content, people)
    ]
    findings += [
        *_variants(registry.channel_of(campaign.channel), contents),
        *_ignored(campaign, contents),
    ]
    return sorted(findings, key=lambda finding: finding.severity)


def channel_findings(campaign: Campaign) -> list[Finding]:
    """Why nothing of it can go out on its channel."""
    if campaign.channel not in registry.CHANNELS:
        return [
            Finding(
                ERROR,
                "channel",
                _("This installation has no channel “%(channel)s”. Choose another channel.")
                % {"channel": campaign.channel},
            )
        ]
    connection = campaign.connection_in_use()
    if connection is None:
        return [Finding(ERROR, "channel", no_connection(campaign.channel))]
    if connection.check_ok is False:
        text = _(
            "The last test of the connection “%(connection)s” failed: %(answer)s Repair the "
            "connection and test it again under Settings → Connections."
        ) % {"connection": connection, "answer": connection.check_message}
        return [Finding(ERROR, "channel", text)]
    return []


def no_connection(channel: str) -> str:
    """Why nothing can be sent on this channel, and the remedy."""
    return _("%(channel)s has no connection in use. Add one under Settings → Connections.") % {
        "channel": registry.label_of(channel)
    }


def _schedule(campaign: Campaign, now: datetime) -> list[Finding]:
    if campaign.schedule_type == Campaign.Schedule.NOW:
        return []
    if campaign.scheduled_at is None:
        return [Finding(ERROR, "scheduled_at", _("Choose the date and time of the send."))]
    if campaign.schedule_type == Campaign.Schedule.AT:
        passed = campaign.scheduled_at <= now
        words = _("The chosen time has passed. Choose a later time.")
        if passed:
            return [Finding(ERROR, "scheduled_at", words)]
        return []
    try:
        first_two = list(islice(campaign.dates(after=now), 2))
    except clock.RecurrenceError as error:
        return [Finding(ERROR, "recurrence_rule", str(error))]
    if not first_two:
        return [Finding(ERROR, "recurrence_rule", str(clock.NO_DATE))]
    if len(first_two) == 1:
        return [
            Finding(
                WARNING,
                "repeat",
                _("The campaign is sent once. The repetition has no second date."),
            )
        ]
    return []


def _audience(campaign: Campaign) -> list[Finding]:
    try:
        expected = selection.forecast(campaign.workspace, campaign.channel, campaign.audience_rule)
    except RuleError as error:
        return [Finding(ERROR, "audience", str(error))]
    if not expected:
        return [Finding(ERROR, "audience", _("Nobody matches this audience."))]
    if not expected.get(Reason.PENDING):
        return [
            Finding(ERROR, "audience", _("Nobody in this audience can be reached on this channel."))
        ]
    return []


def _broadcast(campaign: Campaign, contents: list[Content]) -> list[Finding]:
    """It is public, so nothing is personal, and one message goes to everybody."""
    channel = registry.CHANNELS.get(campaign.channel)
    if channel is None:
        return []  # `channel_findings` says so
    broadcast = channel.broadcast(campaign.target_kind)
    if broadcast is None:
        return [
            Finding(
                ERROR,
                "audience",
                _("%(label)s has no such broadcast. Choose another audience.")
                % {"label": channel.label},
            )
        ]
    findings = []
    try:
        broadcast.check(campaign.target)
    except ValueError as error:
        findings.append(Finding(ERROR, broadcast.key, str(error)))
    if len({content.language for content in contents}) > 1:
        text = _(
            "A broadcast is one message for everybody. Keep one language, or make a broadcast "
            "for each language."
        )
        findings.append(Finding(ERROR, channel.title_field, text))
    return findings


def _people(campaign: Campaign) -> list[Mapping[str, Any]]:
    """The variables of a few people of the audience, and last those of a person without any
    data."""
    nobody: Mapping[str, Any] = {}
    if campaign.is_broadcast:
        return [nobody]
    try:
        members = Contact.objects.filter(
            compile_rule(campaign.audience_rule), workspace=campaign.workspace
        )
    except RuleError:
        return [nobody]
    rows = members.order_by("pk").values(
        "external_id", "language", "country", "time_zone", "attributes"
    )
    return [*(_variables_of(row) for row in rows[:PEOPLE_TRIED]), nobody]


def _variables_of(row: Mapping[str, Any]) -> Mapping[str, Any]:
    attributes = {}
    if isinstance(row["attributes"], dict):
        attributes = row["attributes"]
    return render.contact_variables({**row, "attributes": attributes})


def _content(
    campaign: Campaign, content: Content, people: list[Mapping[str, Any]]
) -> list[Finding]:
    channel, message = registry.channel_of(campaign.channel), content.snapshot()
    findings = []
    if channel.is_empty(message):
        findings = [Finding(ERROR, channel.title_field, str(channel.empty_words))]
    findings += [Finding(ERROR, *remark) for remark in channel.problems(message)]
    findings += [Finding(WARNING, *remark) for remark in channel.warnings(message)]
    tried: list[dict[str, str]] = [{} for _ in people]
    for field in channel.personal:
        source = str(message.get(field) or "")
        if campaign.is_broadcast and render.is_dynamic(source):
            text = _(
                "A broadcast is public and the same for everybody. Remove the personalisation."
            )
            findings.append(Finding(ERROR, field, text))
            continue
        try:
            renderer = render.compile_text(source, campaign.workspace.zone)
        except render.RenderError as error:
            findings.append(
                Finding(
                    ERROR,
                    field,
                    _("The personalisation cannot be read: %(error)s") % {"error": error},
                )
            )
            continue
        if render.is_dynamic(source):
            findings += [*_variables(campaign, field, source), *_dates(campaign, field, source)]
            findings += _trial(channel.field(field), renderer, people, tried)
    return [*findings, *_size(campaign, content, tried)]


def _trial(
    field: Field,
    renderer: render.Renderer,
    people: list[Mapping[str, Any]],
    tried: list[dict[str, str]],
) -> list[Finding]:
    """Fill the text in for each of them, into `tried`. What compiles may still fail: for
    everybody, which stops a send, or for some."""
    failed: dict[int, str] = {}
    for number, person in enumerate(people):
        try:
            tried[number][field.name] = renderer(person)
        except render.RenderError as error:
            tried[number][field.name], failed[number] = "", str(error)
    if not failed:
        return []
    known, why = len(people) - 1, next(iter(failed.values()))
    if known and len(failed) == len(people):
        return [
            Finding(
                ERROR,
                field.name,
                _("“%(label)s” cannot be personalised for anybody: %(why)s")
                % {"label": field.label, "why": why},
            )
        ]
    of_known = len(failed) - (known in failed)
    words = _("“%(label)s” cannot be personalised for a person without data: %(why)s")
    if of_known:
        words = ngettext(
            "“%(label)s” cannot be personalised for %(failed)s of %(count)s person tried: %(why)s",
            "“%(label)s” cannot be personalised for %(failed)s of %(count)s people tried: %(why)s",
            known,
        )
    named = {"label": field.label, "failed": of_known, "count": known, "why": why}
    return [Finding(WARNING, field.name, words % named)]


def _variants(channel: Channel, contents: list[Content]) -> list[Finding]:
    """Nothing assigns recipients to variants, so a language has one."""
    findings, written = [], set()
    for content in sorted(contents, key=lambda content: content.variant):
        if content.language in written:
            text = _(
                "Variant %(variant)s in %(language)s cannot be sent. A campaign sends one variant "
                "in each language. Move the text to a campaign of its own."
            ) % {"variant": content.variant, "language": content.language}
            findings.append(Finding(ERROR, channel.title_field, text))
        written.add(content.language)
    return findings


def _ignored(campaign: Campaign, contents: list[Content]) -> list[Finding]:
    """What some of the audience's devices leave out of the message. An option that the form
    hides cannot be cured."""
    channel = registry.channel_of(campaign.channel)
    hidden = channel.hidden_fields(is_broadcast=campaign.is_broadcast)
    messages = [
        {name: value for name, value in content.snapshot().items() if name not in hidden}
        for content in contents
    ]
    if not any(channel.ignored(message) for message in messages):
        return []  # the usual case: no need to ask which devices there are
    devices = platforms(campaign)
    found = dict.fromkeys(
        remark for message in messages for remark in channel.ignored(message, devices)
    )
    return [Finding(NOTE, *remark) for remark in found]


def platforms(campaign: Campaign) -> set[str]:
    """The platforms that the campaign, saved or not, would reach."""
    if campaign.is_broadcast:
        return selection.known_platforms(campaign.workspace)
    known = registry.channel_of(campaign.channel).platforms
    if len(known) == 1:
        return set(known)
    try:
        return selection.platforms(campaign.workspace, campaign.channel, campaign.audience_rule)
    except RuleError:
        return set()


def _size(campaign: Campaign, content: Content, tried: list[dict[str, str]]) -> list[Finding]:
    """The message as its channel counts it, filled in for each of those tried."""
    channel = registry.channel_of(campaign.channel)
    message = {**content.snapshot(), REFERENCE: sample_reference(campaign.workspace_id)}
    sizes = [channel.size({**message, **texts}) for texts in tried]
    limit = channel.limit_of(campaign.target_kind)
    longest = max(channel.fields, key=lambda field: len(content.text(field.name))).name
    named = {
        "size": format_number(max(sizes)),
        "carrier": _("A broadcast") if campaign.is_broadcast else channel.label,
        "limit": format_number(limit),
    }
    if min(sizes) > limit:
        text = _(
            "The message has %(size)s bytes. %(carrier)s takes at most %(limit)s bytes. Shorten "
            "the message."
        )
        return [Finding(ERROR, longest, text % named)]
    if max(sizes) > limit:
        people, too_large = len(sizes) - 1, sum(size > limit for size in sizes)
        text = ngettext(
            "The message is too large for %(failed)s of %(count)s person tried: it has up to "
            "%(size)s bytes. %(carrier)s takes at most %(limit)s bytes.",
            "The message is too large for %(failed)s of %(count)s people tried: it has up to "
            "%(size)s bytes. %(carrier)s takes at most %(limit)s bytes.",
            people,
        )
        return [Finding(WARNING, longest, text % {**named, "failed": too_large, "count": people})]
    if max(sizes) > 0.9 * limit:
        text = _(
            "The message has %(size)s of at most %(limit)s bytes. A long name may make the "
            "message too large."
        )
        return [Finding(WARNING, longest, text % named)]
    return []


def _variables(campaign: Campaign, field: str, source: str) -> list[Finding]:
    """ "first_name is missing for 13 % of this audience and has no default"."""
    try:
        members = Contact.objects.filter(
            compile_rule(campaign.audience_rule), workspace=campaign.workspace
        )
    except RuleError:
        return []
    needed = [name for name, copes in render.variables_of(source).items() if not copes]
    total = 0
    if needed:
        total = members.count()
    findings = []
    for name in needed if total else ():
        missing = members.filter(_is_missing(name)).count()
        if missing == total:
            findings.append(
                Finding(
                    WARNING,
                    field,
                    _(
                        "Nobody in this audience has a value for %(name)s, and the text has no "
                        "default."
                    )
                    % {"name": name},
                )
            )
        elif missing:
            findings.append(
                Finding(
                    WARNING,
                    field,
                    _(
                        "%(share)s of this audience has no value for %(name)s, and the text has "
                        "no default."
                    )
                    % {"share": percent(100 * missing / total), "name": name},
                )
            )
    return findings


def _dates(campaign: Campaign, field: str, source: str) -> list[Finding]:
    """ "due holds dates such as 03/04/2026 for 3 of 10 people": nobody can tell the day from the
    month."""
    findings = [
        Finding(
            ERROR,
            field,
            _("The date %(text)s can be read in two ways. Write the date in the form 2026-04-03.")
            % {"text": text},
        )
        for text in render.dated_literals(source)
        if dates.is_ambiguous(text)
    ]
    names = render.dated_variables(source)
    try:
        members = Contact.objects.filter(
            compile_rule(campaign.audience_rule), workspace=campaign.workspace
        )
    except RuleError:
        return findings
    total = 0
    if names:
        total = members.count()
    for name in names if total else ():
        concerned = members.filter(matches_attribute(name, dates.AMBIGUOUS)).count()
        if concerned:
            text = ngettext(
                "%(name)s holds dates such as 03/04/2026 for %(concerned)s of %(count)s person in "
                "this audience. They can be read in two ways, so the text shows these people no "
                "date. %(remedy)s",
                "%(name)s holds dates such as 03/04/2026 for %(concerned)s of %(count)s people in "
                "this audience. They can be read in two ways, so the text shows these people no "
                "date. %(remedy)s",
                total,
            ) % {
                "name": name,
                "concerned": format_number(concerned),
                "count": format_number(total),
                "remedy": dates.REMEDY,
            }
            findings.append(Finding(ERROR if concerned == total else WARNING, field, text))
    return findings


def _is_missing(name: str) -> Q:
    """Contacts without a value for the variable: an attribute fills it, and so does a column of
    the same name."""
    try:
        missing = compile_rule({"field": f"attributes.{name}", "op": "is_not_set"})
    except RuleError:  # a name that no attribute can have
        missing = Q(pk__isnull=False)
    if name in COLUMNS:
        return missing & Q(**{name: ""})
    return missing
