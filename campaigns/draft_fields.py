"""What somebody asks of a draft, put into the campaign field by field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from campaigns.audience.segments import RuleError, validate
from campaigns.channels import registry
from campaigns.channels.base import control_problem
from campaigns.channels.given import problems_of, read_message
from campaigns.models import PEOPLE, Campaign, Content, Tone, is_broadcast
from campaigns.schedule.entered import skipped_days, wall_clock_problem
from campaigns.schedule.series import PASSED
from campaigns.sending import SENDING_FIELDS, not_one_of, problems_of_sending
from pushpilot.lib import clock, languages
from pushpilot.lib.bounded import OutOfBounds, check_text
from pushpilot.lib.display import format_number
from tenants.validators import validate_time_zone

NAME_LIMIT, DESCRIPTION_LIMIT = 100, 2000
CONTENTS_LIMIT = 50
FIELDS = (
    "name",
    "description",
    "channel",
    "tone",
    "contents",
    "audience_rule",
    "target_kind",
    "target",
    "schedule_type",
    "scheduled_at",
    "time_zone",
    "recurrence_rule",
    "skip_dates",
    *SENDING_FIELDS,
)
_OF_CONTENT = ("language", "variant", "tone")
_VARIANTS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# What a null means.
_EMPTY: dict[str, Any] = {
    **dict.fromkeys(("name", "description", "tone", "target", "time_zone", "recurrence_rule"), ""),
    "contents": [],
    "audience_rule": {},
    "target_kind": PEOPLE,
    "skip_dates": [],
}


class Draft:
    """A campaign with its contents, neither saved, while fields are put into it.

    `scheduled_at` is a moment with a zone; it must lie ahead of `now` if the campaign is sent
    once. `contents` are mappings of language, variant, tone and the fields of the channel.
    """

    def __init__(self, campaign: Campaign, contents: list[Content], now: datetime) -> None:
        self.campaign, self.contents, self.now = campaign, contents, now
        self.errors: dict[str, list[ValidationError]] = {}

    def put(self, given: Mapping[str, Any]) -> None:
        """Raises ValidationError by path; then the campaign must not be saved."""
        given = {
            name: _EMPTY.get(name) if value is None else value for name, value in given.items()
        }
        self._put_words(given)
        self._put_contents(given)
        self._put_audience(given)
        self._put_schedule(given)
        for name in SENDING_FIELDS:
            if name in given:
                setattr(self.campaign, name, given[name])
        for name, problem in problems_of_sending(self.campaign):
            self.refuse(name, problem)
        if self.errors:
            raise ValidationError(self.errors)

    def refuse(self, path: str, sentence: str) -> None:
        self.errors.setdefault(path, []).append(ValidationError(sentence, "invalid"))

    # --- words ------------------------------------------------------------------------------------
    def _put_words(self, given: Mapping[str, Any]) -> None:
        campaign = self.campaign
        if "name" in given or not campaign.name:
            campaign.name = self._text(given, "name", _("Name"), NAME_LIMIT)
            if not campaign.name and "name" not in self.errors:
                self.refuse("name", _("Write a name."))
        if "description" in given:
            label = _("Description")
            campaign.description = self._text(given, "description", label, DESCRIPTION_LIMIT)
        if "tone" in given:
            campaign.tone = self._tone("tone", given["tone"])
        if "channel" in given:
            if given["channel"] in registry.CHANNELS:
                campaign.channel = given["channel"]
            else:
                self.refuse("channel", not_one_of(list(registry.CHANNELS)))

    def _text(self, given: Mapping[str, Any], name: str, label: str, limit: int) -> str:
        text = str(given.get(name) or "").strip()
        if problem := text_problem(label, text, limit):
            self.refuse(name, problem)
        return text

    def _tone(self, path: str, tone: Any) -> str:
        if tone and tone not in Tone.values:
            self.refuse(path, not_one_of(Tone.values))
        return str(tone or "")

    # --- contents ---------------------------------------------------------------------------------
    def _put_contents(self, given: Mapping[str, Any]) -> None:
        channel = registry.CHANNELS.get(self.campaign.channel)
        if "contents" in given:
            self._read_contents(given["contents"])
        elif "channel" in given and channel:
            for number, content in enumerate(self.contents):
                for path, problem in problems_of(channel, content.snapshot()):
                    self.refuse(f"contents.{number}.{path}", problem)

    def _read_contents(self, given: Sequence[Mapping[str, Any]]) -> None:
        if len(given) > CONTENTS_LIMIT:
            words = _("A campaign has at most %(limit)s contents.")
            self.refuse("contents", words % {"limit": CONTENTS_LIMIT})
            return
        known = {(content.language, content.variant): content for content in self.contents}
        read: dict[tuple[str, str], Content] = {}
        for number, one in enumerate(given):
            path = f"contents.{number}"
            key = self._key(path, one)
            if key in read:
                self.refuse(f"{path}.language", _("Send each language and variant once."))
            content = known.get(key) or Content(language=key[0], variant=key[1])
            tone = one.get("tone", content.tone or self.campaign.tone)
            content.tone = self._tone(f"{path}.tone", tone)
            said = {name: value for name, value in one.items() if name not in _OF_CONTENT}
            if channel := registry.CHANNELS.get(self.campaign.channel):
                content.fields, found = read_message(channel, said)
                for name, problem in found:
                    self.refuse(f"{path}.{name}", problem)
            read[key] = content
        self.contents = list(read.values())

    def _key(self, path: str, given: Mapping[str, Any]) -> tuple[str, str]:
        """(language in its one spelling, variant) of a content."""
        language = given.get("language") or self.campaign.workspace.default_language
        variant = given.get("variant") or "A"
        try:
            language = languages.normalize(str(language))
        except ValueError as error:
            self.refuse(f"{path}.language", str(error))
        if len(str(variant)) != 1 or str(variant) not in _VARIANTS:
            self.refuse(f"{path}.variant", _("Send one capital letter, A for the first variant."))
        return language, variant

    # --- audience ---------------------------------------------------------------------------------
    def _put_audience(self, given: Mapping[str, Any]) -> None:
        campaign = self.campaign
        for name in ("audience_rule", "target_kind", "target"):
            if name in given:
                setattr(campaign, name, given[name])
        try:
            validate(campaign.audience_rule)
        except RuleError as error:
            self.refuse("audience_rule", str(error))
        channel = registry.CHANNELS.get(campaign.channel)
        if not is_broadcast(campaign.target_kind):
            if given.get("target"):
                self.refuse("target", _("Only a broadcast has a target. Send target_kind too."))
            campaign.target = ""
            return
        broadcast = channel.broadcast(campaign.target_kind) if channel else None
        if broadcast is None:
            kinds = [PEOPLE, *(one.key for one in (channel.broadcasts if channel else ()))]
            self.refuse("target_kind", not_one_of(kinds))
            return
        if given.get("audience_rule"):
            words = _("A broadcast goes to all its subscribers. Leave the rule out.")
            self.refuse("audience_rule", words)
        campaign.audience_rule = {}
        try:
            campaign.target = broadcast.check(str(campaign.target))
        except ValueError as error:
            self.refuse("target", str(error))

    # --- schedule ---------------------------------------------------------------------------------
    def _put_schedule(self, given: Mapping[str, Any]) -> None:
        campaign = self.campaign
        if "schedule_type" in given:
            campaign.schedule_type = given["schedule_type"]
            if campaign.schedule_type not in Campaign.Schedule.values:
                self.refuse("schedule_type", not_one_of(Campaign.Schedule.values))
        self._put_clock(given)
        if campaign.is_series:
            self._put_series(given)
            return
        for name in ("recurrence_rule", "skip_dates"):
            if given.get(name):
                words = _("Only a series has this. Send the schedule_type recurring too.")
                self.refuse(name, words)
        campaign.recurrence_rule, campaign.skip_dates = "", []

    def _put_clock(self, given: Mapping[str, Any]) -> None:
        """Date, time and zone. A zone alone keeps the time on the clock, and moves the moment."""
        campaign = self.campaign
        zone = given.get("time_zone") or ""
        if zone:
            try:
                validate_time_zone(zone)
            except ValidationError as error:
                self.refuse("time_zone", error.messages[0])
                return
        if "time_zone" in given and (zone or not campaign.wall_clock):
            campaign.time_zone = zone
        if "scheduled_at" not in given:
            return
        at: datetime | None = given["scheduled_at"]
        if at is None:
            campaign.scheduled_at, campaign.time_zone = None, zone
        elif campaign.schedule_type == Campaign.Schedule.NOW:
            words = _("A campaign that is sent now has no time. Send another schedule_type too.")
            self.refuse("scheduled_at", words)
        elif problem := wall_clock_problem(at):
            self.refuse("scheduled_at", problem)
        elif campaign.schedule_type == Campaign.Schedule.AT and at <= self.now:
            self.refuse("scheduled_at", str(PASSED))
        else:
            campaign.scheduled_at = at

    def _put_series(self, given: Mapping[str, Any]) -> None:
        campaign = self.campaign
        try:
            if "recurrence_rule" in given:
                rule = given["recurrence_rule"]
                campaign.recurrence_rule = clock.parse_rrule(rule) if rule else ""
        except clock.RecurrenceError as error:
            self.refuse("recurrence_rule", str(error))
        try:
            if "skip_dates" in given:
                campaign.skip_dates = skipped_days(given["skip_dates"])
        except clock.RecurrenceError as error:
            self.refuse("skip_dates", str(error))


def text_problem(label: str, text: str, limit: int) -> str:
    """What is wrong with a text that people write, "" if nothing."""
    if len(text) > limit:
        words = _("“%(label)s” has at most %(limit)s characters. Shorten the text.")
        return words % {"label": label, "limit": format_number(limit)}
    try:
        check_text(text, f"“{label}”", limit)
    except OutOfBounds as error:
        return error.detail
    return control_problem(label, text)
