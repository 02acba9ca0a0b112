"""Bodies that hold many items. Each is judged by itself: one bad item never sinks the others."""

from __future__ import annotations

import json

import msgspec
from msgspec import Raw, Struct

_envelope = msgspec.json.Decoder(dict[str, Raw])
_items = msgspec.json.Decoder(list[Raw])


class Rejection(Struct):
    """An item that was not taken: its place, a word for programs and a sentence for people."""

    index: int
    code: str
    detail: str


def split(body: bytes, member: str) -> tuple[dict[str, Raw], list[Raw] | None]:
    """The members of the body's object, and the undecoded items of the list in `member`; None if
    it has no such member.

    Raises msgspec.ValidationError if it is JSON of another shape, another ValueError if it is no
    JSON, RecursionError if it is nested too deeply.
    """
    try:
        return _split(body, member)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError):
        # NaN or half of a surrogate pair somewhere: JavaScript's JSON.stringify writes such text,
        # so do other programs. The item that has it is refused, its neighbours are not.
        parsed = json.loads(body)
        if not isinstance(parsed, dict) or not isinstance(parsed.get(member), list):
            return _split(body, member)
        members = {
            key: Raw(json.dumps(value).encode()) for key, value in parsed.items() if key != member
        }
        return {**members, member: Raw(b"")}, [
            Raw(json.dumps(item).encode()) for item in parsed[member]
        ]


def _split(body: bytes, member: str) -> tuple[dict[str, Raw], list[Raw] | None]:
    members = _envelope.decode(body)
    return members, _items.decode(members[member]) if member in members else None
