"""What is wrong with a campaign before it goes out: errors stop a launch, warnings are shown,
and so is what some of the audience's devices leave out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from itertools import islice
from typing import Any

from django.db.models import Q

from campaigns.audience import selection
from campaigns.audience.reasons import Reason
from campaigns.audience.segments import COLUMNS, RuleError, compile_rule, matches_attribute
from campaigns.channels import dates, registry, render
from campaigns.channels.base import REFERENCE, Channel, Field
from campaigns.models import Campaign, Contact, Content
from pushpilot.lib import clock
from pushpilot.lib.display import counted, format_number
from pushpilot.lib.signing import sample_reference

PEOPLE_TRIED = 5  # the texts are filled in for these, and for a person without any data


class Severity(IntEnum):
    ERROR = 1
    WARNING = 2
    NOTE = 3  # nothing to cure: some devices leave this out


ERROR, WARNING, NOTE = Severity


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark on a campaign: `field` is the form field that cures it."""

    severity: Severity
    field: str
    text: str


def lint(campaign: Campaign, now: datetime) -> list[Finding]:
    """All findings, errors first, notes last."""
    contents = list(campaign.contents.all())
    recipients = _broadcast(campaign, contents) if campaign.is_broadcast else _audience(campaign)
    findings = [*_channel(campaign), *_schedule(campaign, now), *recipients]
    if not contents and (channel := registry.CHANNELS.get(campaign.channel)):
        findings.append(Finding(ERROR, channel.title_field, str(channel.empty_words)))
    findings += lint_message(campaign, contents)
    return sorted(findings, key=lambda finding: finding.severity)


def lint_message(campaign: Campaign, contents: list[Content]) -> list[Finding]:
    """The findings about these contents of the campaign, saved or not, alone: errors first,
    notes last."""
    if campaign.channel not in registry.CHANNELS:
        return []  # `_channel` says so
    personal = registry.channel_of(campaign.channel).personal
    is_personal = any(
        render.is_dynamic(content.text(field)) for content in contents for field in personal
    )
    people = _people(campaign) if is_personal else [{}]
    findings = [finding for content in contents for finding in _content(campaign, content, people)]
    findings += [
        *_variants(registry.channel_of(campaign.channel), contents),
        *_ignored(campaign, contents),
    ]
    return sorted(findings, key=lambda finding: finding.severity)


def _channel(campaign: Campaign) -> list[Finding]:
    if campaign.channel not in registry.CHANNELS:
        return [
            Finding(
                ERROR,
                "channel",
                f"This installation has no channel “{campaign.channel}”. Choose another one.",
            )
        ]
    connection = campaign.connection_in_use()
    if connection is None:
        return [Finding(ERROR, "channel", no_connection(campaign.channel))]
    if connection.check_ok is False:
        text = (
            f"The last test of the connection “{connection}” failed: {connection.check_message} "
            "Repair it and test it again under Settings → Connections."
        )
        return [Finding(ERROR, "channel", text)]
    return []


def no_connection(channel: str) -> str:
    """Why nothing can be sent on this channel, and the remedy."""
    return (
        f"{registry.label_of(channel)} has no connection in use. Add one under Settings → "
        "Connections."
    )


def _schedule(campaign: Campaign, now: datetime) -> list[Finding]:
    if campaign.schedule_type == Campaign.Schedule.NOW:
        return []
    if campaign.scheduled_at is None:
        return [Finding(ERROR, "scheduled_at", "Choose the date and time of the send.")]
    if campaign.schedule_type == Campaign.Schedule.AT:
        passed = campaign.scheduled_at <= now
        return (
            [Finding(ERROR, "scheduled_at", "The chosen time has passed; choose a later one.")]
            if passed
            else []
        )
    try:
        first_two = list(islice(campaign.dates(after=now), 2))
    except clock.RecurrenceError as error:
        return [Finding(ERROR, "recurrence_rule", str(error))]
    if not first_two:
        return [Finding(ERROR, "recurrence_rule", clock.NO_DATE)]
    if len(first_two) == 1:
        return [Finding(WARNING, "repeat", "This happens once: the repetition has no second date.")]
    return []


def _audience(campaign: Campaign) -> list[Finding]:
    try:
        expected = selection.forecast(campaign.workspace, campaign.channel, campaign.audience_rule)
    except RuleError as error:
        return [Finding(ERROR, "audience", str(error))]
    if not expected:
        return [Finding(ERROR, "audience", "Nobody matches this audience.")]
    if not expected.get(Reason.PENDING):
        return [
            Finding(ERROR, "audience", "Nobody in this audience can be reached on this channel.")
        ]
    return []


def _broadcast(campaign: Campaign, contents: list[Content]) -> list[Finding]:
    """It is public, so nothing is personal, and one message goes to everybody."""
    channel = registry.CHANNELS.get(campaign.channel)
    if channel is None:
        return []  # `_channel` says so
    broadcast = channel.broadcast(campaign.target_kind)
    if broadcast is None:
        return [
            Finding(
                ERROR, "audience", f"{channel.label} reaches people only. Choose another audience."
            )
        ]
    findings = []
    try:
        broadcast.check(campaign.target)
    except ValueError as error:
        findings.append(Finding(ERROR, broadcast.key, str(error)))
    if len({content.language for content in contents}) > 1:
        text = (
            "A broadcast is one message for everybody: keep one language, or make a broadcast "
            "for each."
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
    attributes = row["attributes"] if isinstance(row["attributes"], dict) else {}
    return render.contact_variables({**row, "attributes": attributes})


def _content(
    campaign: Campaign, content: Content, people: list[Mapping[str, Any]]
) -> list[Finding]:
    channel, message = registry.channel_of(campaign.channel), content.snapshot()
    findings = (
        [Finding(ERROR, channel.title_field, str(channel.empty_words))]
        if channel.is_empty(message)
        else []
    )
    findings += [Finding(ERROR, *remark) for remark in channel.problems(message)]
    findings += [Finding(WARNING, *remark) for remark in channel.warnings(message)]
    tried: list[dict[str, str]] = [{} for _ in people]
    for field in channel.personal:
        source = str(message.get(field) or "")
        if campaign.is_broadcast and render.is_dynamic(source):
            text = "A broadcast is public and the same for everybody: take the personalisation out."
            findings.append(Finding(ERROR, field, text))
            continue
        try:
            renderer = render.compile_text(source, campaign.workspace.zone)
        except render.RenderError as error:
            findings.append(Finding(ERROR, field, f"The personalisation does not parse: {error}"))
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
            tried[number][field.name], failed[number] = "", str(error).rstrip(".")
    if not failed:
        return []
    known, why = len(people) - 1, next(iter(failed.values()))
    if known and len(failed) == len(people):
        return [
            Finding(
                ERROR, field.name, f"“{field.label}” cannot be personalised for anybody: {why}."
            )
        ]
    without = "somebody of whom nothing is known"
    of_known = len(failed) - (known in failed)
    sample = f"{of_known} of {counted(known, 'person', 'people')} tried" if of_known else without
    return [
        Finding(WARNING, field.name, f"“{field.label}” cannot be personalised for {sample}: {why}.")
    ]


def _variants(channel: Channel, contents: list[Content]) -> list[Finding]:
    """Nothing assigns recipients to variants, so a language has one."""
    findings, written = [], set()
    for content in sorted(contents, key=lambda content: content.variant):
        if content.language in written:
            text = (
                f"Variant {content.variant} in {content.language} cannot be sent: a campaign sends "
                f"one variant in each language. Put its text into a campaign of its own."
            )
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
    takes = (
        f"{'a broadcast' if campaign.is_broadcast else channel.label} takes {format_number(limit)}"
    )
    if min(sizes) > limit:
        return [
            Finding(
                ERROR,
                longest,
                f"The message has {format_number(max(sizes))} bytes; {takes}. Shorten it.",
            )
        ]
    if max(sizes) > limit:
        sample = (
            f"{sum(size > limit for size in sizes)} of "
            f"{counted(len(sizes) - 1, 'person', 'people')} tried"
        )
        return [
            Finding(
                WARNING,
                longest,
                f"For {sample} the message has up to {format_number(max(sizes))} bytes; {takes}.",
            )
        ]
    if max(sizes) > 0.9 * limit:
        text = (
            f"The message has {format_number(max(sizes))} of {format_number(limit)} bytes; a long "
            f"name may make it too large."
        )
        return [Finding(WARNING, longest, text)]
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
    total = members.count() if needed else 0
    findings = []
    for name in needed if total else ():
        missing = members.filter(_is_missing(name)).count()
        if missing == total:
            findings.append(
                Finding(
                    WARNING,
                    field,
                    f"{name} is known of nobody in this audience and has no default.",
                )
            )
        elif missing:
            share = max(1, round(100 * missing / total))
            findings.append(
                Finding(
                    WARNING,
                    field,
                    f"{name} is missing for {share} % of this audience and has no default.",
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
            f"The date {text} can be read in two ways. Write it in the form 2026-04-03.",
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
    total = members.count() if names else 0
    for name in names if total else ():
        concerned = members.filter(matches_attribute(name, dates.AMBIGUOUS)).count()
        if concerned:
            text = (
                f"{name} holds dates such as 03/04/2026 for {format_number(concerned)} of "
                f"{counted(total, 'person', 'people')} in"
                " this audience. They can be read in two ways, so the text shows no date to these "
                "people."
            )
            findings.append(
                Finding(ERROR if concerned == total else WARNING, field, f"{text} {dates.REMEDY}")
            )
    return findings


def _is_missing(name: str) -> Q:
    """Contacts without a value for the variable: an attribute fills it, and so does a column of
    the same name."""
    try:
        missing = compile_rule({"field": f"attributes.{name}", "op": "is_not_set"})
    except RuleError:  # a name that no attribute can have
        missing = Q(pk__isnull=False)
    return missing & Q(**{name: ""}) if name in COLUMNS else missing
