"""Words that modules keep in tables reach a reader in the reader's language."""

import pytest
from django.utils.translation import trans_real

from campaigns.audience.reasons import Reason, words_of
from campaigns.audience.segments import COLUMNS, OPERATORS, describe
from campaigns.channels import registry
from campaigns.channels.editor import form_of
from campaigns.channels.push.platforms import IGNORED
from campaigns.contacts import endpoints
from campaigns.imports import cells
from campaigns.imports.decoding import ENCODINGS
from campaigns.models import AmbiguityPolicy, Campaign, Run, Template, Tone, consent_channels
from pushpilot.lib import clock
from reports.intake import WHY_IGNORED
from tests.translations import Marked

pytestmark = pytest.mark.once

NAMES = {"Android", "iOS", "WhatsApp"}  # the same in every language
WRONG = {
    "title": "x" * 2000,
    "priority": "soon",
    "badge": -1,
    "buttons": [{}] * 4,
    "data": {"from": "1"},
    "collapse_key": "{{ a }}",
    "image_url": "x",
    "deep_link": "data:1",
}
TREE = {
    "any": [
        {"field": "country", "op": "is", "value": "IN"},
        {"not": {"field": "attributes.orders", "op": "gt", "value": 3}},
    ]
}
CELLS = {
    "name": "",
    "category": "ofer",
    "tone": "loud",
    "language": "??",
    "title": "{{ a | b }}",
    "body": "x" * 2000,
    "image_url": "x",
}


@pytest.fixture
def marked(monkeypatch):
    monkeypatch.setattr(trans_real._active, "value", Marked("en"), raising=False)


def of_reasons():
    for reason in Reason:
        told = words_of(reason, "app_push")
        yield from (told.label, told.explanation, told.counted(2))


def of_channels():
    for channel in registry.CHANNELS.values():
        yield from (channel.label, channel.empty_words, *channel.platforms.values())
        yield from (*channel.address_kinds.values(), *channel.retired_words.values())
        yield registry.counted_addresses(channel.key, 2)
        yield from (text for _field, text in channel.problems(WRONG))
        for field in channel.fields:
            yield from (field.label, field.explained)
        for one in channel.broadcasts:
            yield from (one.label, one.input_label, one.help_text, one.reach)
            yield from (one.describe(""), one.describe("news"))
    yield from (rule.text for rule in IGNORED)


def of_forms():
    for channel in registry.CHANNELS.values():
        for field in form_of(channel, stored={}).fields.values():
            yield from (field.label, field.help_text)
            yield from (label for _value, label in getattr(field, "choices", ()))


def of_audiences():
    yield from (describe({}), describe(TREE), *COLUMNS.values())
    yield from (one.words for one in OPERATORS.values())


def of_schedules():
    rules = ("FREQ=DAILY;INTERVAL=3", "FREQ=MONTHLY;BYMONTHDAY=1,-1;BYMONTH=2;COUNT=3")
    yield from (clock.in_words(clock.parse_rrule(rule)) for rule in rules)
    yield clock.NO_DATE


def of_imports():
    yield from (one.explained for one in cells.column_helps())
    for error in cells.cell_errors(CELLS).values():
        yield from (error.text, error.remedy)
    yield from ENCODINGS.values()


def of_choices():
    for choices in (Campaign.Status, Campaign.Schedule, Run.State, AmbiguityPolicy, Tone):
        yield from choices.labels
    yield from (*Template.Category.labels, *consent_channels().values())
    yield from (*endpoints.retired_words().values(), *WHY_IGNORED.values())


@pytest.mark.parametrize(
    "words",
    [of_reasons, of_channels, of_forms, of_audiences, of_schedules, of_imports, of_choices],
)
def test_every_text_is_a_translated_one(marked, words):
    said = [str(text) for text in words() if text]
    assert said
    assert [text for text in said if not text.startswith("⟦") and text not in NAMES] == []
