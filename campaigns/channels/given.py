"""A message as a program sends it: names, types, characters and limits, judged as the editor judges
what a person types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from campaigns.channels.base import Channel, Field, Message, Option, Remark, control_problem
from campaigns.channels.render import RenderError, compile_text
from pushpilot.lib.bounded import OutOfBounds, check_text
from pushpilot.lib.display import Words
from pushpilot.lib.spelling import unix_lines

_LONGEST_CHARS = 100_000  # the channel says how long each field may be
_NO_FIELD = gettext_lazy("There is no such field. Take it out.")
_IS_NOT: dict[type, Words] = {
    str: gettext_lazy("“%(label)s” must be a text."),
    int: gettext_lazy("“%(label)s” must be a whole number."),
    bool: gettext_lazy("“%(label)s” must be true or false."),
    dict: gettext_lazy("“%(label)s” must be an object of texts."),
    list: gettext_lazy("“%(label)s” must be a list of objects."),
}


def read_message(channel: Channel, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Remark]]:
    """(the message as it is stored, without what is empty; what is wrong with it by path, such as
    buttons.0.text). What has the wrong name or type is not in the message."""
    message: dict[str, Any] = {}
    found: list[Remark] = []
    known: dict[str, Field | Option] = {field.name: field for field in channel.fields}
    known |= {option.name: option for option in channel.options}
    for name, value in given.items():
        field = channel.other_names.get(name, name)
        if field not in known:
            found.append((name, str(_NO_FIELD)))
        elif field != name and given.get(field) is not None:
            words = _("This is another name of “%(field)s”. Send one of the two.")
            found.append((name, words % {"field": field}))
        elif value is not None:
            wrong = list(_wrong_field(name, known[field], value))
            found += wrong
            if not wrong and is_filled(kept := _tidied(value)):
                message[field] = kept
    return message, [*found, *problems_of(channel, message)]


def problems_of(channel: Channel, message: Message) -> Iterator[Remark]:
    """What stops a message, by path: also a text whose personalisation cannot be read."""
    for name in channel.personal:
        if problem := liquid_problem(str(message.get(name) or "")):
            yield name, problem
    for field, text in channel.problems(message):
        yield channel.path_of(field), text


def liquid_problem(source: str) -> str:
    """What is wrong with the personalisation of a text, "" if nothing."""
    try:
        compile_text(source)
    except RenderError as error:
        return _("The personalisation cannot be read: %(error)s") % {"error": error}
    return ""


def is_filled(value: object) -> bool:
    """Whether a message keeps the value of an option: a 0 means something, a false nothing."""
    return bool(value) or (value == 0 and value is not False)


def _wrong_field(path: str, field: Field | Option, value: Any) -> Iterator[Remark]:
    label = str(field.label)
    takes = field.takes if isinstance(field, Option) else str
    if takes is not list or not isinstance(value, list):
        yield from _wrong(path, label, takes, value)
        return
    parts = field.parts if isinstance(field, Option) else ()
    for number, part in enumerate(value):
        if not isinstance(part, dict):
            yield f"{path}.{number}", str(_IS_NOT[list]) % {"label": label}
            continue
        for key, text in part.items():
            if key not in parts:
                yield f"{path}.{number}.{key}", str(_NO_FIELD)
            elif text is not None:
                yield from _wrong(f"{path}.{number}.{key}", key, str, text)


def _wrong(path: str, label: str, takes: type, value: Any) -> Iterator[Remark]:
    """What is wrong with the type and the characters of a value."""
    if not isinstance(value, takes) or (isinstance(value, bool) and takes is not bool):
        yield path, str(_IS_NOT[takes]) % {"label": label}
    elif isinstance(value, str):
        yield from _wrong_text(path, label, value)
    elif isinstance(value, dict):
        for key, text in value.items():
            yield from _wrong_text(path, label, key)
            yield from _wrong(f"{path}.{key}", key, str, text)


def _wrong_text(path: str, label: str, text: str) -> Iterator[Remark]:
    try:
        check_text(text, f"“{label}”", _LONGEST_CHARS)
    except OutOfBounds as error:
        yield path, error.detail
        return
    if problem := control_problem(label, text):
        yield path, problem


def _tidied(value: Any) -> Any:
    """The texts without blanks around them, as the editor's inputs leave them; parts of a list
    without what is empty."""
    if isinstance(value, str):
        return unix_lines(value).strip()
    if isinstance(value, dict):
        return {key: _tidied(text) for key, text in value.items()}
    if isinstance(value, list):
        parts = [{key: _tidied(text) for key, text in part.items() if text} for part in value]
        return [{key: text for key, text in part.items() if text} for part in parts]
    return value
