"""JSON with holes: how a channel's compiled message waits for the values of one recipient."""

import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

Json = dict[str, Any]

# NUL delimits a slot because no text that was ever stored can hold one: PostgreSQL refuses it and
# so do Django's form fields. So a customer's own words can never be taken for a slot.
_SLOT = re.compile("\x00([a-z][a-z0-9_]*)\x00")


def slot(name: str) -> str:
    """Return the marker that `PayloadTemplate.compile` replaces; it may sit inside a longer string.

    Raises ValueError when `name` is not lower-case letters, digits and underscores.
    """
    marker = f"\x00{name}\x00"
    if not _SLOT.fullmatch(marker):
        raise ValueError(f"slot name {name!r} must be lower-case letters, digits and underscores")
    return marker


def has_slot(text: str) -> bool:
    """True when some part of `text` is known only per recipient."""
    return "\x00" in text and _SLOT.search(text) is not None


class PayloadTemplate:
    """JSON with holes: encoded once per content, filled per recipient (1.1 ms per 1,000, dict +
    dump 4.5)."""

    __slots__ = ("_holes", "_message", "_names", "_pieces")

    def __init__(self, message: Json, pieces: list[bytes], holes: list[tuple[int, str]]) -> None:
        self._message = message
        self._pieces = pieces
        self._holes = holes
        self._names = tuple(dict.fromkeys(name for _, name in holes))

    @classmethod
    def compile(cls, message: Json, slots: Iterable[str]) -> "PayloadTemplate":
        """Encode `message` and remember where its slots lie. Only string values may hold slots,
        never keys.

        Raises ValueError when the message holds a slot that is not in `slots`; a declared slot
        may stay unused.
        """
        known = frozenset(slots)
        # A random word stands for the delimiter while encoding, so that JSON's own escapes cannot
        # hide a slot nor make one.
        word = secrets.token_hex(12)
        text = msgspec.json.encode(
            _map_strings(message, lambda text: _SLOT.sub(rf"{word}\g<1>{word}", text))
        ).decode()
        pieces: list[bytes] = []
        holes: list[tuple[int, str]] = []
        for index, part in enumerate(text.split(word)):
            is_slot = index % 2 == 1
            if is_slot and part not in known:
                raise ValueError(f"the message uses the slot {part!r}, which nobody fills")
            if is_slot:
                holes.append((index, part))
            pieces.append(b"" if is_slot else part.encode())
        return cls(message, pieces, holes)

    @property
    def slots(self) -> tuple[str, ...]:
        """The slots in use, in order of first appearance."""
        return self._names

    def fill(self, values: Mapping[str, str]) -> bytes:
        """Return the JSON of the message with `values` in its slots. Raises KeyError when a used
        slot has no value.

        Lone surrogates, which no JSON in UTF-8 can carry, become U+FFFD.
        """
        escaped = {name: _escape(values[name]) for name in self._names}
        pieces = self._pieces.copy()
        for index, name in self._holes:
            pieces[index] = escaped[name]
        return b"".join(pieces)

    def as_dict(self, values: Mapping[str, str]) -> Json:
        """Return what `fill` encodes, as a dict (previews, tests)."""
        clean = {name: _without_surrogates(values[name]) for name in self._names}
        filled: Json = _map_strings(
            self._message, lambda text: _SLOT.sub(lambda found: clean[found[1]], text)
        )
        return filled


def _escape(value: str) -> bytes:
    try:
        return msgspec.json.encode(value)[1:-1]
    except UnicodeEncodeError:
        return msgspec.json.encode(_without_surrogates(value))[1:-1]


def _without_surrogates(value: str) -> str:
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _map_strings(node: Any, change: Callable[[str], str]) -> Any:
    """Return `node` with `change` applied to each string value (never to keys), lone surrogates
    removed."""
    if isinstance(node, str):
        return change(_without_surrogates(node))
    if isinstance(node, dict):
        return {key: _map_strings(value, change) for key, value in node.items()}
    if isinstance(node, list):
        return [_map_strings(value, change) for value in node]
    return node
