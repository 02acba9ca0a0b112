"""Import, template form, campaign form, API and lint judge links, images and characters by the same
words."""

from __future__ import annotations

from typing import Any

import pytest

from campaigns.admin.campaign.message import MessageForm
from campaigns.admin.template.forms import TemplateForm
from campaigns.channels.given import read_message
from campaigns.channels.registry import channel_of
from campaigns.content.lint import ERROR, lint_message
from campaigns.imports.cells import cell_errors
from campaigns.models import Campaign, Content
from tests.campaigns.console import ADD, FORM, errors_of

pytestmark = pytest.mark.once

APP = channel_of("app_push")
FIELD = {"deep_link": "deep_link", "image_url": "image_url", "button": "button_1_url"}
TEMPLATE = {
    "name": "A",
    "language": "en",
    "category": "offer",
    "tone": "",
    "title": "T",
    "body": "B",
}

REFUSED_LINKS = [
    "javascript:alert(1)", "JavaScript:alert(1)", " java\tscript:alert(1)", "data:text/html,x", "vbscript:x",
    "file:///etc/passwd", "FILE:/c:/x", "view-source:https://shop.example", "blob:https://shop.example/1",
    "javascript:{{ x }}", "shop.example/sale", "https://", "https:shop.example", "http:///x", "app://two words", "x",
]  # fmt: skip
GOOD_LINKS = [
    "https://shop.example/sale?a=1#b", "http://shop.example", "yourapp://offers", "mailto:a@b.example", "tel:+911",
    "{{ link }}", "https://shop.example/{{ id }}",
]  # fmt: skip
REFUSED_IMAGES = [
    "http://cdn.example/a.png", "ftp://cdn.example/a.png", "file:///a.png", "data:image/png;base64,AA", "a.png",
    "https://", "https:///a.png", "https://cdn example/a.png",
]  # fmt: skip
GOOD_IMAGES = ["https://cdn.example/a.png", "https://cdn.example/{{ id }}.png", "{{ image }}"]


def sentences(inside, field: str, value: str) -> dict[str, str]:
    """{door: what it says about the value, "" if it takes it}."""
    campaign = Campaign(workspace=inside.workspace, name="A", channel="app_push")
    options: dict[str, Any] = (
        {"buttons": [{"text": "Go", "url": value}]} if field == "button" else {}
    )
    texts = {} if field == "button" else {field: value}
    findings = lint_message(
        campaign, [Content(fields={"title": "T", "body": "B", **options, **texts})]
    )
    message = MessageForm(
        campaign,
        inside.workspace,
        {"title": "T", "body": "B", "button_1_text": "Go", FIELD[field]: value},
    )
    given = {"title": "T", "body": "B", **options, **texts}
    said = {
        "API": " ".join(text for _path, text in read_message(APP, given)[1]),
        "lint": next(
            (
                finding.text
                for finding in findings
                if finding.field == FIELD[field] and finding.severity == ERROR
            ),
            "",
        ),
        "campaign form": " ".join(message.errors.get(FIELD[field], [])),
    }
    if field == "button":
        return said
    template = TemplateForm({**TEMPLATE, field: value}, instance=None)
    return {
        **said,
        "template form": " ".join(template.errors.get(field, [])),
        "import": " ".join(
            f"{error.text} {error.remedy}" for error in cell_errors({field: value}).values()
        ),
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("deep_link", link) for link in REFUSED_LINKS),
        *(("button", link) for link in REFUSED_LINKS if "{{" not in link),
        *(("image_url", address) for address in REFUSED_IMAGES),
    ],
)  # fmt: skip
def test_what_one_door_refuses_every_door_refuses_in_the_same_words(inside, field, value):
    said = sentences(inside, field, value)
    assert len(set(said.values())) == 1, said
    assert all(said.values())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("deep_link", link) for link in GOOD_LINKS),
        *(("button", link) for link in GOOD_LINKS if "{{" not in link),
        *(("image_url", address) for address in GOOD_IMAGES),
    ],
)
def test_what_one_door_takes_every_door_takes(inside, field, value):
    assert not any(sentences(inside, field, value).values())


@pytest.mark.parametrize("control", ["\x01", "\x1b", "\x7f", "\x9b"])
@pytest.mark.parametrize("field", ["title", "body", "deep_link", "image_url"])
def test_no_door_takes_a_control_character_that_the_import_refuses(inside, field, control):
    value = f"https://shop.example/{control}x"
    campaign = Campaign(workspace=inside.workspace, name="A", channel="app_push")
    message = MessageForm(campaign, inside.workspace, {"title": "T", "body": "B", field: value})
    template = TemplateForm({**TEMPLATE, field: value}, instance=None)
    for errors in (
        message.errors[field],
        template.errors[field],
        [str(cell_errors({field: value})[field])],
        [text for path, text in read_message(APP, {field: value})[1] if path == field],
    ):
        assert f"U+{ord(control):04X}" in " ".join(errors)


@pytest.mark.parametrize(
    "field", ["button_1_text", "sound", "android_channel", "collapse_key", "data_lines"]
)
def test_no_option_of_a_message_takes_a_control_character(inside, field):
    campaign = Campaign(workspace=inside.workspace, name="A", channel="app_push")
    value = "k=a\x1bb" if field == "data_lines" else "a\x1bb"
    message = MessageForm(campaign, inside.workspace, {"title": "T", "body": "B", field: value})
    assert "U+001B ESCAPE" in " ".join(message.errors[field])


@pytest.mark.parametrize("field", ["name", "audience_value"])
def test_the_campaign_form_names_the_field_that_holds_a_control_character(cast, field):
    rule = {
        "audience": "rule",
        "audience_field": "country",
        "audience_op": "is",
        "audience_value": "IN",
    }
    answer = cast.client("member").post(
        cast.url(ADD), {**FORM, **rule, field: "a\x1bb", "_save": "1"}
    )
    assert "U+001B ESCAPE" in " ".join(errors_of(answer)[field])


def test_a_text_area_of_the_browser_stores_plain_line_breaks(inside):
    form = TemplateForm({**TEMPLATE, "body": "one\r\ntwo"}, instance=None)
    assert form.is_valid()
    assert form.cleaned_data["body"] == "one\ntwo"
