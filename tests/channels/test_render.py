"""Personalisation: the fast path says what Liquid says, hostile templates end at once, errors
name their field."""

import time
from contextlib import suppress
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.channels.base import Compiled
from campaigns.channels.render import (
    _ENVIRONMENT,
    OUTPUT_LIMIT,
    RenderError,
    _run,
    _simple_pieces,
    compile_text,
    contact_variables,
    variables_of,
)

pytestmark = pytest.mark.once

# python-liquid's buffer turns a carriage return into a newline; the fast path keeps it.
TEXT = st.text(max_size=5).filter(lambda text: "\r" not in text)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.floats(allow_nan=False),
    TEXT,
    st.lists(TEXT | st.integers(0, 3), max_size=3),
    st.dictionaries(TEXT, st.integers(0, 3), max_size=2),
)
OUTPUTS = st.sampled_from(
    [
        "{{ x }}", "{{x}}", "{{ x | default: 'you' }}", '{{ x|default:"" }}', "{{ first-name }}", "{{ true }}",
        "{{ nil }}", "{{ empty | default: 'e' }}", "Hi ", " ", "{", "}", "{ {x} }", "“ü” 🎉", "%}", "\n",
    ]
)  # fmt: skip


@settings(max_examples=400)
@given(
    st.lists(OUTPUTS, max_size=6).map("".join),
    st.fixed_dictionaries({}, optional={"x": VALUES, "first-name": VALUES}),
)
def test_the_fast_path_says_what_liquid_says(source, variables):
    if _simple_pieces(source) is None:
        return
    assert compile_text(source)(variables) == _run(
        _ENVIRONMENT.from_string(source), len(source), UTC, variables
    )


@pytest.mark.parametrize(
    ("source", "variables", "expected"),
    [
        ("Sale!", {}, "Sale!"),
        ("Hi {{ first_name }}", {"first_name": "Asha"}, "Hi Asha"),
        ("Hi {{ first_name | default: 'friend' }}", {"first_name": ""}, "Hi friend"),
        ("Hi {{ first_name | default: 'friend' }}", {}, "Hi friend"),
        ("{{ orders | default: '3' }} orders", {"orders": 0}, "0 orders"),  # 0 is a value
        ("{{ orders }} orders", {"orders": 0}, "0 orders"),
        ("{{ x | default: '' }}", {"x": False}, ""),
        ("{{ name | upcase }}", {"name": "asha"}, "ASHA"),
        ("{% if vip %}Dear{% else %}Hi{% endif %}", {"vip": True}, "Dear"),
        ("{{ self }} {{ args }}", {"self": "a", "args": "b"}, "a b"),
        ("{{ self | upcase }}", {"self": "a"}, "A"),
        ("{{ address.city }}", {"address": {"city": "Pune"}}, "Pune"),
        ("<b>{{ x }}</b>", {"x": "<i>"}, "<b><i></b>"),  # plain text: nothing is escaped
        ("{{ x.__class__ }}{{ x.upper }}", {"x": "a"}, ""),
    ],
)
def test_a_text_is_personalised(source, variables, expected):
    assert compile_text(source)(variables) == expected


HOSTILE = [
    "{{ (1..30000000) | join }}",
    "{{ (1..99999999999999999999999) | join }}",
    "{% for i in (1..30000000) %}x{% endfor %}",
    "{% for i in (1..1000) %}" + "{{ a }}" * 130 + "{% endfor %}x",
    "{% for i in (1..30) %}{% for j in (1..30) %}" + "{{ a }}" * 120 + "{% endfor %}{% endfor %}",
    "{% for i in (1..1000) %}{% for j in (1..1000) %}x{% endfor %}{% endfor %}",
    "{% tablerow i in (1..30000000) %}x{% endtablerow %}",
    "{% if (1..100000000) contains 'a' %}x{% endif %}",
    "{% assign s = 'aaaaaaaaaaaaaaaaaaaa' %}{% for i in (1..900) %}{% assign s = s | append: s "
    "%}{% endfor %}",
    "{% assign s = 9 %}{% for i in (1..900) %}{% assign s = s | times: s %}{% endfor %}",
    "{% assign a = (1..10000) %}{% for i in (1..900) %}{% assign q = a | reverse | sort | sum %}{% "
    "endfor %}",
    "{% assign a = (1..900) %}{% for i in (1..900) %}{% assign q = a | join | split: '' | uniq "
    "%}{% endfor %}",
    "{% for i in (1..900) %}{{ 'xxxxxxxxxxxxxxxxxxxxxxxxxxxx' }}{% endfor %}",
    "{{ long }}{{ long }}",
    "{{ long | upcase }}{{ long }}",
    "{{ 1 | divided_by: 0 }}",
    "{{ 'x' | times: 'y' | modulo: 0 }}",
]


@pytest.mark.parametrize("source", HOSTILE)
def test_a_hostile_text_is_refused_fast(source):
    started = time.thread_time()
    with pytest.raises(RenderError):
        compile_text(source)({"long": "x" * OUTPUT_LIMIT})
    assert time.thread_time() - started < 0.5


def test_the_budget_of_work_is_per_text():
    render = compile_text("{% assign a = (1..9000) %}{{ a | reverse | sort | first }}")
    assert {render({}) for _ in range(20)} == {"1"}


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("Hi {{ name", "expected '}}'"),
        ("{% if x %}Hi", "expected tag endif"),
        ("{{ x | shout }}", "There is no filter “shout”"),
        ("{% include 'secrets' %}", "unexpected tag 'include'"),
        ("{% render 'secrets' %}", "unexpected tag 'render'"),
    ],
)
def test_a_text_that_is_no_liquid_says_what_is_wrong(source, words):
    with pytest.raises(RenderError) as refused:
        compile_text(source)({"x": "y"})
    assert words in str(refused.value)


@settings(max_examples=300, deadline=10_000)
@given(
    st.lists(
        st.sampled_from(
            [
                "{{", "}}", "{%", "%}", "x", "|", "default:", "'a'", "if", "endif", "for i in", "endfor", "(1..9)",
                "assign", "=", "capture", "case", "when", "liquid", "\n", "raw", "#", "-", ".", "[", "]", "0", "cycle",
            ]
        )
        | st.text(max_size=3),
        max_size=14,
    ).map(" ".join)
)  # fmt: skip
def test_any_text_renders_or_is_refused(source):
    variables_of(source)
    with suppress(RenderError):
        assert isinstance(compile_text(source)({"x": "y"}), str)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("plain", {}),
        ("{{ a }} and {{ b | default: 'x' }}", {"a": False, "b": True}),
        ("{{ a | upcase | default: 'x' }}", {"a": True}),
        ("{{ a | default: b }}", {"a": True, "b": True}),
        ("{{ a | default: 'x' }} {{ a }}", {"a": False}),
        ("the default is {{ a }}", {"a": False}),
        ("{% if a %}{{ a }}{% endif %}", {"a": True}),
        ("{% if vip %}{{ a }}{% endif %}", {"vip": True, "a": False}),
        ("{{ user.name }}", {"user": False}),
        ("{% assign t = a %}{{ t }}", {"a": True}),
        ("{{ broken", {}),
    ],
)
def test_the_variables_that_a_text_needs_are_known(source, expected):
    assert variables_of(source) == expected


TEXTS = ("title", "body", "image_url", "deep_link")


def snapshot(**fields: Any) -> dict[str, Any]:
    return {
        "language": "en",
        "title": "Hi",
        "body": "Sale",
        "image_url": "",
        "deep_link": "",
        **fields,
    }


def test_a_content_is_static_but_for_its_personalised_texts():
    content = Compiled(
        snapshot(body="Hi {{ name }}", deep_link="shop://{{ city | downcase }}", ttl_secs=60),
        TEXTS,
        UTC,
    )
    assert content.personal == ("body", "deep_link")
    assert content.static == {"language": "en", "title": "Hi", "image_url": "", "ttl_secs": 60}
    assert content.values({"name": "Asha", "city": "PUNE"}) == {
        "body": "Hi Asha",
        "deep_link": "shop://pune",
    }


def test_a_content_without_personalisation_renders_nothing():
    content = Compiled(snapshot(), TEXTS, UTC)
    assert content.personal == ()
    assert content.values({}) == {}


def test_an_error_names_the_field_at_compile_time_and_at_render_time():
    with pytest.raises(RenderError) as refused:
        Compiled(snapshot(body="{{ oops"), TEXTS, UTC)
    assert refused.value.field == "body"
    content = Compiled(snapshot(title="{{ name }}"), TEXTS, UTC)
    with pytest.raises(RenderError) as refused:
        content.values({"name": "x" * (OUTPUT_LIMIT + 1)})
    assert refused.value.field == "title"


def test_a_contact_s_own_columns_win_over_attributes_of_the_same_name_unless_empty():
    contact = {"external_id": "c1", "language": "", "country": "IN", "time_zone": "",
               "attributes": {"country": "DE", "language": "hi", "first_name": "Asha"}}  # fmt: skip
    assert contact_variables(contact) == {
        "external_id": "c1", "country": "IN", "language": "hi", "first_name": "Asha"
    }  # fmt: skip


def test_an_unknown_filter_is_refused_when_the_text_is_compiled_not_for_each_recipient():
    with pytest.raises(RenderError, match="There is no filter “shout”"):
        compile_text("{% if first_name %}{{ first_name | shout }}{% endif %}")
