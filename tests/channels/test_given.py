"""A message as a program sends it: what is stored of it, and what is refused at which path."""

import pytest

from campaigns.channels.given import read_message
from campaigns.channels.registry import channel_of
from tests.toy.channel import Pager

APP, WEB = channel_of("app_push"), channel_of("web_push")


def paths(given, channel=APP) -> list[str]:
    return [path for path, _sentence in read_message(channel, given)[1]]


def test_a_message_is_stored_without_what_is_empty():
    given = {
        "title": "  Sale ",
        "body": "One\r\ntwo",
        "image_url": "",
        "deep_link": None,
        "badge": 0,
        "silent": False,
        "data_only": True,
        "data": {"screen": " offers "},
        "sound": "",
        "buttons": [{"text": "Shop ", "url": None}],
        "ttl_secs": 0,
    }
    assert read_message(APP, given) == (
        {
            "title": "Sale",
            "body": "One\ntwo",
            "badge": 0,
            "data_only": True,
            "data": {"screen": "offers"},
            "buttons": [{"text": "Shop"}],
            "ttl_secs": 0,
        },
        [],
    )


def test_subtitle_is_another_name_of_the_text():
    assert read_message(APP, {"subtitle": "Today"}) == ({"body": "Today"}, [])
    assert paths({"subtitle": "Today", "body": "Tomorrow"}) == ["subtitle"]


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"headline": "x"}, "headline"),
        ({"title": 7}, "title"),
        ({"title": "x" * 121}, "title"),
        ({"title": "a\x07b"}, "title"),
        ({"title": "\ud800"}, "title"),
        ({"title": "{{ name"}, "title"),
        ({"badge": True}, "badge"),
        ({"badge": "7"}, "badge"),
        ({"badge": 10_000}, "badge"),
        ({"silent": "yes"}, "silent"),
        ({"sound": "s" * 65}, "sound"),
        ({"sound": "a\x07"}, "sound"),
        ({"priority": "urgent"}, "priority"),
        ({"deep_link": "javascript:1"}, "deep_link"),
        ({"data": ["a"]}, "data"),
        ({"data": {"a": 1}}, "data.a"),
        ({"data": {"1": "x"}}, "data"),
        ({"data": {"a": "\ud800"}}, "data.a"),
        ({"buttons": {"text": "x"}}, "buttons"),
        ({"buttons": ["x"]}, "buttons.0"),
        ({"buttons": [{"text": "a"}, {"text": "b", "colour": "red"}]}, "buttons.1.colour"),
        ({"buttons": [{"text": "a"}, {"text": 7}]}, "buttons.1.text"),
        ({"buttons": [{"text": "a"}, {"url": "app://x"}]}, "buttons.1.text"),
        ({"buttons": [{"text": "a", "url": "app://" + "x" * 500}]}, "buttons.0.url"),
    ],
)
def test_a_wrong_value_is_named_by_its_path(given, path):
    assert paths(given) == [path]


def test_each_channel_judges_by_its_own_rules():
    assert paths({"deep_link": "yourapp://x"}, WEB) == ["deep_link"]
    assert paths({"sound": "x"}, Pager()) == ["sound"]
