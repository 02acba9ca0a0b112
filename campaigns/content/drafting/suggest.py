"""The verb behind the API and the console: drafts of a message from a prompt. It writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db.models import F, Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from campaigns.channels import registry
from campaigns.channels.base import Channel, control_problem
from campaigns.channels.render import is_dynamic
from campaigns.contacts.attributes import known_attributes
from campaigns.content.drafting import brief as briefs
from campaigns.content.drafting import checks, phrases
from campaigns.content.drafting.brief import SLOTS, Brief
from campaigns.content.drafting.compose import Draft, Engine, Sample, template_drafts
from campaigns.models import Campaign, Template, Tone
from pushpilot.lib import languages
from pushpilot.lib.display import format_number, listed
from tenants.models import Workspace

PROMPT_CHARS, SLOT_CHARS, MOST_SEED = 1000, 200, 1_000_000
_SAMPLES = 200


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asks for. What is empty is read from the prompt, or follows from it.
    `is_personal`: whether a draft may name its reader."""

    prompt: str
    channel: str
    language: str
    category: str = ""
    tone: str = ""
    slots: Mapping[str, str] | None = None
    seed: int = 0
    is_personal: bool = True


@dataclass(frozen=True, slots=True)
class Suggestion:
    """`brief` is how the prompt was read."""

    brief: Brief
    drafts: list[Draft]


def suggest(
    workspace: Workspace,
    asked: Asked,
    *,
    standard_tone: str = "",
    engine: Engine = template_drafts,
) -> Suggestion:
    """Drafts that are within the limits of the channel and claim nothing beyond the prompt and
    the slots. `standard_tone` counts if neither `asked` nor its prompt names one.

    Raises ValidationError that names prompt, channel, language, category, tone or slots.<name>.
    """
    brief = _brief(workspace, asked, standard_tone)
    drafts = [
        draft
        for draft in engine(brief, _samples(workspace, brief))
        if not checks.faults(draft.fields, brief)
    ]
    if not drafts:
        raise ValidationError(
            {"prompt": _("No draft fits into this channel. Shorten what it has to say.")}
        )
    return Suggestion(brief, drafts)


def for_campaign(
    campaign: Campaign,
    prompt: str,
    *,
    language: str = "",
    category: str = "",
    tone: str = "",
    slots: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Suggestion:
    """Drafts for a stored campaign: on its channel, in the language and tone of its content. Raises
    ValidationError as `suggest` does."""
    contents = list(campaign.contents.order_by("variant", "id"))
    standard = campaign.workspace.default_language
    read = next((one for one in contents if one.language == (language or standard)), None)
    shown = read or next(iter(contents), None)
    asked = Asked(
        prompt,
        campaign.channel,
        language or (shown.language if shown else standard),
        category,
        tone,
        slots,
        seed,
        is_personal=not campaign.is_broadcast,
    )
    standard_tone = (shown.tone if shown else "") or campaign.tone
    return suggest(campaign.workspace, asked, standard_tone=standard_tone)


def _brief(workspace: Workspace, asked: Asked, standard_tone: str) -> Brief:
    prompt, own = briefs.in_one_line(asked.prompt), phrases.for_tag(asked.language)
    channel = registry.CHANNELS.get(asked.channel)
    found = _problems(asked, prompt)
    if own is None:
        found["language"] = _(
            "There are no drafts in “%(language)s” yet. Choose one of: %(known)s."
        ) % {"language": asked.language[:40], "known": ", ".join(phrases.LANGUAGES)}
    if channel is None:
        found["channel"] = _(
            "This installation has no channel “%(channel)s”. Choose another channel."
        ) % {"channel": asked.channel[:40]}
    else:
        found |= _slot_problems(asked.slots or {}, channel)
    if found or own is None or channel is None:
        raise ValidationError(found)
    slots = briefs.read_slots(prompt, own) | _tidied(asked.slots or {})
    slots = {name: value for name, value in slots.items() if value}
    if _link_problem(slots.get("link", ""), channel):
        del slots["link"]  # one that only stands in the prompt
    category = asked.category or briefs.read_category(prompt, own, slots)
    tone = asked.tone or briefs.read_tone(prompt, own) or standard_tone or phrases.TONES[category]
    budget = phrases.CAPITALS_BUDGETS[tone]
    calmed = {
        name: value if name in ("code", "link") else briefs.calmed(value, budget)
        for name, value in slots.items()
    }
    variables = frozenset(
        one.variable for one in known_attributes(workspace).values() if one.variable
    )
    if not asked.is_personal:
        variables = frozenset()
    return Brief(
        prompt,
        channel,
        languages.tidy(asked.language),
        own,
        category,
        tone,
        calmed,
        variables,
        asked.seed,
    )


def _problems(asked: Asked, prompt: str) -> dict[str, str]:
    found: dict[str, str] = {}
    if not prompt:
        found["prompt"] = _("Write what the message is about.")
    elif len(asked.prompt) > PROMPT_CHARS:
        found["prompt"] = ngettext(
            "The prompt has at most %(count)s character.",
            "The prompt has at most %(count)s characters.",
            PROMPT_CHARS,
        ) % {"count": format_number(PROMPT_CHARS)}
    elif problem := control_problem(_("Prompt"), prompt):
        found["prompt"] = problem
    if not 0 <= asked.seed <= MOST_SEED:
        words = _("Send a whole number from 0 to %(most)s.")
        found["seed"] = words % {"most": format_number(MOST_SEED)}
    for name, choices in (("category", Template.Category.values), ("tone", Tone.values)):
        value = getattr(asked, name)
        if value and value not in choices:
            found[name] = _("Use one of: %(values)s.") % {"values": ", ".join(choices)}
    return found


def _tidied(slots: Mapping[str, str]) -> dict[str, str]:
    return {name: briefs.in_one_line(value) for name, value in slots.items()}


def _slot_problems(slots: Mapping[str, str], channel: Channel) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in slots.items():
        if name not in SLOTS:
            found[f"slots.{name}"] = _("There is no such slot. There are: %(slots)s.") % {
                "slots": listed(SLOTS)
            }
        elif len(value) > SLOT_CHARS:
            found[f"slots.{name}"] = ngettext(
                "It has at most %(count)s character.",
                "It has at most %(count)s characters.",
                SLOT_CHARS,
            ) % {"count": SLOT_CHARS}
        elif is_dynamic(value) or "}}" in value:
            found[f"slots.{name}"] = _("It is the same for everybody. Remove the personalisation.")
        elif problem := _slot_problem(name, value, channel):
            found[f"slots.{name}"] = problem
    return found


def _slot_problem(name: str, value: str, channel: Channel) -> str:
    if control := control_problem(name, value):
        return control
    if name == "link":
        return _link_problem(briefs.in_one_line(value), channel)
    return ""


def _link_problem(link: str, channel: Channel) -> str:
    """What the channel says of the link, "" if nothing or if it has no field for one."""
    problems = channel.problems({checks.LINK_FIELD: link})
    return next((text for field, text in problems if field == checks.LINK_FIELD), "")


def _samples(workspace: Workspace, brief: Brief) -> list[Sample]:
    """The workspace's templates and the global ones of this category, tone and language."""
    read = Q(language__in=languages.fallbacks(brief.language))
    if brief.language == brief.phrases.language:
        read |= Q(language__startswith=f"{brief.language}-")  # of any region
    rows = Template.objects.filter(
        read,
        channel__in=registry.alike(brief.channel.key),
        category=brief.category,
        tone__in=(brief.tone, ""),
    ).order_by(F("workspace").asc(nulls_last=True), "pk")
    return [
        Sample(row.pk, row.workspace_id is not None, row.tone, _texts(row, brief.channel))
        for row in rows[:_SAMPLES]
    ]


def _texts(row: Template, channel: Channel) -> dict[str, str]:
    return {field.name: row.text(field.name) for field in channel.fields}
