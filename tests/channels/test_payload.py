"""PayloadTemplate: what it fills is exactly what dumping the substituted dict would give."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.channels.payload import PayloadTemplate, has_slot, slot

pytestmark = pytest.mark.once

VALUES = st.dictionaries(
    st.sampled_from(["title", "body", "first_name", "ref"]),
    st.one_of(
        st.text(max_size=40),
        st.sampled_from(['"', "\\", "\n\t", "\x00", "\x1f", "👩🏽‍🚀", "\\u0000title\\u0000", ""]),
    ),
)
NAMES = ["title", "body", "first_name", "ref"]
STATIC = st.text(max_size=12).filter(lambda text: not has_slot(text))
STRINGS = st.lists(st.one_of(STATIC, st.sampled_from(NAMES).map(slot)), max_size=5).map("".join)
KEYS = st.text(max_size=6)
MESSAGES = st.dictionaries(
    KEYS,
    st.recursive(
        st.one_of(STRINGS, st.integers(-(2**53), 2**53), st.booleans(), st.none()),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)
        ),
        max_leaves=8,
    ),
    max_size=4,
)


def substituted(node: Any, values: dict[str, str]) -> Any:
    """An independent, slower way: split on the markers by hand."""
    if isinstance(node, str):
        parts = node.split("\x00")
        out, index = [parts[0]], 1
        while index < len(parts):
            if parts[index] in values and index + 1 < len(parts):
                out += [values[parts[index]], parts[index + 1]]
                index += 2
            else:
                out.append("\x00" + parts[index])
                index += 1
        return "".join(out)
    if isinstance(node, dict):
        return {key: substituted(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [substituted(value, values) for value in node]
    return node


@given(MESSAGES, VALUES)
def test_filling_equals_dumping_the_substituted_dict(
    message: dict[str, Any], values: dict[str, str]
) -> None:
    full = {name: values.get(name, f"no {name}") for name in NAMES}
    template = PayloadTemplate.compile(message, NAMES)
    expected = substituted(message, full)
    assert template.fill(full) == msgspec.json.encode(expected)
    assert json.loads(template.fill(full)) == expected
    assert template.as_dict(full) == expected


def test_a_value_that_looks_like_a_slot_is_only_text() -> None:
    template = PayloadTemplate.compile({"a": slot("title"), "b": slot("body")}, ["title", "body"])
    filled = json.loads(template.fill({"title": slot("body"), "body": "x"}))
    assert filled == {"a": "\x00body\x00", "b": "x"}


def test_one_template_serves_many_recipients() -> None:
    template = PayloadTemplate.compile({"t": f"Hi {slot('name')}!"}, ["name"])
    assert [template.fill({"name": n}) for n in ("Ana", 'O"Hara')] == [
        b'{"t":"Hi Ana!"}',
        b'{"t":"Hi O\\"Hara!"}',
    ]


def test_lone_surrogates_become_the_replacement_character() -> None:
    template = PayloadTemplate.compile({"t": slot("name"), "s": "a\udc00"}, ["name"])
    assert json.loads(template.fill({"name": "x\ud800y"})) == {"t": "x\ufffdy", "s": "a\ufffd"}
    assert template.as_dict({"name": "x\ud800y"}) == {"t": "x\ufffdy", "s": "a\ufffd"}


def test_a_slot_nobody_fills_is_refused_at_compile_time() -> None:
    with pytest.raises(ValueError, match="'nobody'"):
        PayloadTemplate.compile({"t": slot("nobody")}, ["title"])


def test_a_missing_value_is_a_key_error_and_an_unused_slot_is_fine() -> None:
    template = PayloadTemplate.compile({"t": slot("title")}, ["title", "body"])
    assert template.slots == ("title",)
    with pytest.raises(KeyError):
        template.fill({})


@pytest.mark.parametrize("name", ["", "Title", "a b", "1st", "a\x00b"])
def test_odd_slot_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError):
        slot(name)
