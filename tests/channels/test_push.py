"""Topics, conditions and what each platform ignores of a push."""

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.channels.editor import form_of
from campaigns.channels.push import platforms, schema, topics
from campaigns.channels.push.channel import AppPush, WebPush
from delivery.providers.fcm import message

pytestmark = pytest.mark.once

NAMES = st.from_regex(r"[a-zA-Z0-9-_.~%]{1,12}", fullmatch=True)
TERMS = NAMES.map(lambda name: f"'{name}' in topics")


def joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(inner, st.sampled_from(["&&", "||"]), inner)
    return pair.map(lambda parts: f"({parts[0]} {parts[1]} {parts[2]})")


# Hypothesis says so by chance, when the first examples happen to be single terms.
@pytest.mark.filterwarnings("ignore:extend=joined")
@given(st.recursive(TERMS, joined, max_leaves=5))
def test_every_condition_of_the_grammar_is_accepted_and_stays_as_it_is(condition):
    assert topics.check_condition(condition) == condition
    assert topics.check_condition(condition.replace(" && ", "&&").replace("(", "( ")) == condition


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("", "Write a condition"),
        ("()", "Write a condition"),
        ("news", "“news” cannot be read"),
        ("'a' in topic", "cannot be read. Write"),
        ("'a b' in topics", "cannot be read. Write"),
        ("!('a' in topics)", "cannot be read. Write"),
        ("'a' in topics 'b' in topics", "Check the brackets"),
        ("'a' in topics &&", "Check the brackets"),
        ("&& 'a' in topics", "Check the brackets"),
        ("('a' in topics", "Check the brackets"),
        ("'a' in topics)", "Check the brackets"),
        ("('a' in topics && ())", "Check the brackets"),
        ("(" * 400 + "'a' in topics" + ")" * 400, "Check the brackets"),
        (
            " || ".join(f"'t{n}' in topics" for n in range(6)),
            "at most 5 topics. This condition names 6",
        ),
    ],
)
def test_any_other_condition_is_refused_in_words(condition, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        topics.check_condition(condition)


@given(st.text("'()&| ainopstc", max_size=60))
def test_no_text_makes_the_condition_s_reader_fail_otherwise(text):
    with contextlib.suppress(ValueError):
        tidied = topics.check_condition(text)
        assert topics.check_condition(tidied) == tidied


def test_each_platform_is_told_only_what_concerns_it():
    message = {
        "title": "a",
        "badge": 1,
        "sound": "x",
        "android_channel": "c",
        "buttons": [{"text": "Go"}],
    }
    fields = {
        platform: {field for field, _ in platforms.ignored(message, [platform])}
        for platform in platforms.PLATFORMS
    }
    assert fields["ios"] == {"android_channel", "button_1_text"}
    assert fields["android"] == {"sound", "button_1_text"}
    assert fields["web"] == {"badge", "sound", "android_channel", "button_1_text"}
    assert (
        platforms.ignored(
            {"title": "a", "body": "b", "ttl_secs": 0, "priority": "high", "collapse_key": "k"}
        )
        == []
    )


def test_a_silent_message_hides_what_would_be_shown_and_a_drawn_one_is_the_app_s_affair():
    shown = {
        "badge": 1,
        "sound": "x",
        "buttons": [{"text": "Go"}],
        "image_url": "https://x.test/a.gif",
    }
    assert {field for field, _ in platforms.ignored({**shown, "silent": True})} == {"silent"}
    drawn = dict(platforms.ignored({**shown, "data_only": True}, ["android"]))
    assert set(drawn) == {"badge", "sound", "image_url"}
    assert "plays its own sound" in drawn["sound"]


@pytest.mark.parametrize(
    ("address", "platform", "says"),
    [
        ("https://x.test/a.jpg", "android", ""),
        ("https://x.test/a.GIF?x=1", "android", "animated GIF"),
        ("https://x.test/a.webp", "android", "WebP"),
        ("https://x.test/a.mp4", "web", "no videos"),
        ("https://x.test/a.svg", "ios", "No platform"),
        ("{{ picture }}.svg", "android", ""),
        ("https://[x", "android", ""),
    ],
)
def test_the_format_of_the_picture_is_judged_by_its_address(address, platform, says):
    texts = [
        text for _, text in platforms.ignored({"title": "a", "image_url": address}, [platform])
    ]
    assert any(says in text for text in texts) if says else not texts


@pytest.mark.parametrize(
    ("inputs", "wrong"),
    [
        ({"button_3_text": "Go", "button_3_url": "javascript:x"}, {"button_3_url"}),
        ({"button_1_text": "Go", "button_3_url": "app://x"}, {"button_3_text"}),
        ({"button_2_text": "{{ n }}", "button_3_text": "{{ n }}"}, {"button_2_text", "button_3_text"}),
        ({"deep_link": "shop", "image_url": "x", "icon_url": "x", "collapse_key": "é" * 40}, {
            "deep_link", "image_url", "icon_url", "collapse_key",
        }),
        ({"data_lines": "from=me"}, {"data_lines"}),
        ({"data_lines": "\n".join(f"k{n}=1" for n in range(51))}, {"data_lines"}),
        ({"title": "", "body": ""}, set()),
    ],
)  # fmt: skip
def test_the_editor_says_what_the_channel_says_at_the_input_that_cures_it(inputs, wrong):
    form = form_of(AppPush(), {"title": "T", **inputs}, stored={})
    assert set(form.errors) == wrong


def test_a_browser_opens_no_link_of_an_app():
    texts = {"title": "T", "deep_link": "app://x", "button_2_text": "Go", "button_2_url": "app://x"}
    assert set(form_of(WebPush(), texts, stored={}).errors) == {"deep_link", "button_2_url"}
    assert not form_of(AppPush(), texts, stored={}).errors


def test_the_editor_and_the_adapter_know_the_same_limits():
    assert [AppPush().limit_of(kind) for kind in message.KINDS] == [4096, 4096, 2048, 2048]
    assert schema.COLLAPSE_KEY_LIMIT_BYTES == message.COLLAPSE_ID_LIMIT_BYTES
