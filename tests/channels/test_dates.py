"""Dates in texts: on the reader's clock, and never guessed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from campaigns.audience.segments import matches_attribute
from campaigns.channels import dates
from campaigns.channels.base import Compiled
from campaigns.channels.push.channel import AppPush
from campaigns.channels.render import RenderError, compile_text, contact_variables
from campaigns.content.lint import ERROR, lint_message
from campaigns.content.preview import composed
from campaigns.models import Campaign, Contact, Content
from delivery.engine.compose import Recipient
from tests.delivery.composing import composer, message

pytestmark = pytest.mark.once

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "data" / "dates-in-texts.json").read_text()
)
KNOWN = [
    case
    for case in CASES
    if "due" not in case.get("attributes", {}) or "/" not in case["attributes"]["due"]
]
NOW = datetime(2026, 11, 30, 0, 29, tzinfo=UTC)
BERLIN, LOS_ANGELES = ZoneInfo("Europe/Berlin"), ZoneInfo("America/Los_Angeles")
NOBODY = {"external_id": "", "language": "", "country": "", "time_zone": "", "attributes": {}}


@pytest.fixture(autouse=True)
def _now(monkeypatch):
    monkeypatch.setattr(timezone, "now", lambda: NOW)


def shown(text: str, zone: Any = UTC, time_zone: str = "", **attributes: Any) -> str:
    return compile_text(text, zone)(
        contact_variables({**NOBODY, "time_zone": time_zone, "attributes": attributes})
    )


@pytest.mark.parametrize("case", KNOWN, ids=lambda case: case["text"])
@pytest.mark.parametrize("of", ["workspace", "person"])
def test_a_date_is_shown_on_the_reader_s_clock(case, of, monkeypatch):
    monkeypatch.setattr(
        timezone, "now", lambda: datetime.fromisoformat(case.get("now_utc", "2026-11-30T00:29:00Z"))
    )
    zone = ZoneInfo(case["zone"]) if of == "workspace" else UTC
    own = case["zone"] if of == "person" else ""
    assert (
        shown(case["text"], zone, own, **case.get("attributes", {})) == case["right"].split(" (")[0]
    )


@pytest.mark.parametrize(
    ("value", "form", "right"),
    [
        ("today", "%A", "Sunday"),
        ("2026-12-01T04:30:00Z", "%d %H:%M", "30 20:30"),
        ("2026-12-01T04:30:00+05:30", "%d %H:%M", "30 15:00"),
        ("2026-12-01 04:30:00 UTC", "%d %H:%M", "30 20:30"),
        ("Tue, 01 Dec 2026 04:30:00 GMT", "%d %H:%M", "30 20:30"),
        (1796099400, "%d %H:%M", "30 20:30"),
        ("1796099400", "%d %H:%M", "30 20:30"),
        (1796099400000, "%d %H:%M", "30 20:30"),
        ("2026-12-01T04:30", "%d %H:%M", "01 04:30"),
        ("2026-12-01", "%d %H:%M", "01 00:00"),
        ("2026/12/1", "%d %b", "01 Dec"),
        ("20261201", "%d %b", "01 Dec"),
        ("1 December 2026", "%d %b", "01 Dec"),
        ("Dec 1, 2026 9 AM", "%d %H:%M", "01 09:00"),
        ("soon", "%d", "soon"),
        ("5 May", "%d", "5 May"),
        ("December 2026", "%d %b", "December 2026"),
        ("10:30", "%H", "10:30"),
        ("2026", "%Y", "2026"),
        (2026, "%Y", "2026"),
        ("Dec 1 2026 10:00 IST", "%H", "Dec 1 2026 10:00 IST"),
        (10**30, "%Y", str(10**30)),
        ("", "%d", ""),
        (None, "%d", ""),
    ],
)
def test_a_value_with_a_zone_is_a_moment_and_one_without_is_shown_as_written(value, form, right):
    assert shown(f'{{{{ due | date: "{form}" }}}}', LOS_ANGELES, due=value) == right


def test_a_person_s_zone_wins_over_the_workspace_s_and_a_broken_one_does_not_count():
    text = '{{ "now" | date: "%H:%M" }}'
    assert shown(text, BERLIN, "America/Los_Angeles") == "16:29"
    assert shown(text, BERLIN, "Mars/Olympus") == "01:29"
    assert shown(text, BERLIN) == "01:29"


def test_another_zone_can_be_asked_for():
    text = (
        '{{ due | in_zone: "Europe/Berlin" | date: "%H:%M" }} {{ "now" | in_zone: '
        '"Asia/Kolkata" | date: "%H:%M" }}'
    )
    assert shown(text, LOS_ANGELES, "Asia/Tokyo", due="2026-12-01T04:30:00Z") == "05:30 05:59"
    assert shown(text, LOS_ANGELES, due="2026-12-01") == "00:00 05:59"
    with pytest.raises(RenderError, match="Europe/Berlinn"):
        shown('{{ "now" | in_zone: "Europe/Berlinn" | date: "%H" }}')


@pytest.mark.parametrize(
    "due",
    ["03/04/2026", "13/04/2026", "04/13/2026", "3.4.2026", "03-04-26", "3/4", "03/04/2026 10:00"],
)
def test_a_date_that_can_be_read_in_two_ways_is_treated_as_undefined(due):
    assert shown('{{ due | date: "%d %B" }}', due=due) == ""
    assert shown('{{ due | date: "%d %B" | default: "soon" }}', due=due) == "soon"
    assert shown('{{ due | in_zone: "Europe/Berlin" | date: "%d" }}', due=due) == ""
    assert shown("{{ due }}", due=due) == due


# --- one renderer for all -------------------------------------------------------------------------
TEXT = '{{ due | date: "%H:%M" }}'


def test_preview_and_send_show_the_same_time(inside):
    inside.workspace.time_zone = "Asia/Kolkata"
    content = {"language": "en", "title": "T", "body": TEXT, "image_url": "", "deep_link": ""}
    for own, right in (("", "10:00"), ("Europe/Berlin", "05:30")):
        contact = {**NOBODY, "time_zone": own, "attributes": {"due": "2026-12-01T04:30:00Z"}}
        sent = composer(content, zone=inside.workspace.zone).compose(
            Recipient(7, 9, "token", "tok", 0, contact)
        )
        person = Contact(workspace=inside.workspace, **contact)
        assert message(sent)["notification"]["body"] == right
        assert composed(inside.workspace, AppPush(), content, person)[0]["body"] == right


def test_plain_variables_need_no_interpreter(monkeypatch):
    def compiled(title: str) -> Compiled:
        return Compiled({"title": title, "body": "Sale"}, ("title", "body"), BERLIN)

    plain, dated = (
        compiled("Hi {{ first_name | default: 'you' }}"),
        compiled("{{ due | date: '%H' }}"),
    )
    monkeypatch.setattr("liquid.BoundTemplate.render", lambda *given, **named: 1 / 0)
    assert plain.values({"first_name": "Asha"})["title"] == "Hi Asha"
    with pytest.raises(RenderError, match="division"):
        dated.values({"due": "2026-12-01T04:30:00Z"})


# --- lint -----------------------------------------------------------------------------------------
def findings(inside, body: str) -> list[tuple[bool, str]]:
    campaign = Campaign(workspace=inside.workspace, name="A", channel="app_push")
    found = lint_message(campaign, [Content(fields={"title": "T", "body": body})])
    return [
        (finding.severity == ERROR, finding.text) for finding in found if finding.field == "body"
    ]


@pytest.fixture
def people(inside):
    """Ten people, three with dates that can be read in two ways."""
    ambiguous = ["03/04/2026", "13/04/2026", "3.4.26 10:00"]
    clear = ["2026-04-03", "2026-04-03T10:00:00Z", "3 April 2026", 1796099400, "soon"]
    Contact.objects.bulk_create(
        Contact(
            workspace=inside.workspace, external_id=str(n), attributes={"due": due, "name": "1/2"}
        )
        for n, due in enumerate([*ambiguous, *clear])
    )
    Contact.objects.create(workspace=inside.workspace, external_id="8", attributes={"due": None})
    Contact.objects.create(workspace=inside.workspace, external_id="9")
    return inside


def test_lint_names_the_attribute_the_number_of_people_and_the_remedy(people):
    (found,) = [
        text
        for _, text in findings(people, 'Due {{ due | date: "%d" | default: "soon" }}')
        if "due" in text
    ]
    assert "3 of 10 people" in found
    assert "2026-04-03" in found


@pytest.mark.parametrize(
    "body", ["{{ due | default: 'x' }}", "{{ 'now' | date: '%d' }} {{ name }}"]
)
def test_lint_says_nothing_of_dates_that_are_shown_as_they_are_stored(people, body):
    assert not [text for _, text in findings(people, body) if "dates" in text]


@pytest.mark.parametrize("filters", ['date: "%d"', 'in_zone: "Europe/Berlin" | date: "%d"'])
def test_a_text_whose_date_nobody_can_read_stops_a_send(people, filters):
    Contact.objects.exclude(external_id="0").delete()
    assert findings(people, f"{{{{ due | {filters} | default: 'x' }}}}")[0][0]


def test_an_ambiguous_date_in_the_text_itself_stops_a_send(people):
    ((is_error, text),) = findings(people, 'Until {{ "03/04/2026" | date: "%d %B" }}')
    assert is_error
    assert "03/04/2026" in text


def test_the_database_and_the_renderer_agree_on_what_is_ambiguous(inside):
    ends = [
        "",
        "/2026",
        ".26",
        "-2026 10:00",
        "/2026T10:00",
        "/2026 10:00 AM",
        "/202",
        "/20261",
        " x",
        "\n",
    ]
    starts = [f"{a}{sep}{b}" for a in ("3", "13", "2026") for b in ("04", "4") for sep in "/.- "]
    values = [start + end for start in starts for end in ends]
    Contact.objects.bulk_create(
        Contact(workspace=inside.workspace, external_id=str(n), attributes={"d": text})
        for n, text in enumerate(values)
    )
    found = Contact.objects.filter(matches_attribute("d", dates.AMBIGUOUS)).values_list(
        "external_id", flat=True
    )
    assert {values[int(n)] for n in found} == {
        value for value in values if dates.is_ambiguous(value)
    }
