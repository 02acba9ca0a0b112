"""What the provider said about a message, kept on its row: one entry for each attempt that it did
not simply accept, the newest last.

An accepted attempt is told by the row's own columns, so an accepted message costs nothing here.
"""

from __future__ import annotations

import re
from datetime import datetime

import msgspec

from delivery.engine import statements
from delivery.providers.base import Verdict
from pushpilot.lib.redaction import without_secrets

MOST = 10
"""Answers that a row keeps: the last ones."""
SENTENCE_MOST = 300
CODE_MOST = 64
HIDDEN = "[address]"

# An address is known by its beginning, because a provider may have cut it.
_BEGINNING = 12
_REST = r"[^\s\"'<>,;]*"

_ADDED_POSTGRESQL = """CASE WHEN jsonb_array_length({kept}) < {most} THEN {kept}
            ELSE {kept} - 0 END || jsonb_build_array({new}::jsonb)"""
_ADDED_SQLITE = """json_insert(CASE WHEN json_array_length({kept}) < {most} THEN {kept}
            ELSE json_remove({kept}, '$[0]') END, '$[#]', json({new}))"""


class Answer(msgspec.Struct, gc=False):
    """One attempt, as it is stored. `verdict` is a value of Verdict; `at` is RFC 3339."""

    at: str
    verdict: str
    code: str = ""
    sentence: str = ""
    revision: int | None = None  # of the content; record.py knows it


def answer(at: datetime, verdict: Verdict, code: str, sentence: str, address: str = "") -> Answer:
    """An entry for a row, without secrets and without the recipient's address."""
    if address:
        beginning = re.escape(address[:_BEGINNING])
        sentence = re.sub(beginning + _REST, HIDDEN, sentence, flags=re.IGNORECASE)
    sentence = statements.plain(without_secrets(sentence), SENTENCE_MOST)
    return Answer(at.isoformat(), verdict.value, statements.plain(code, CODE_MOST), sentence)


def added(new: str) -> str:
    """SQL of a row's answers and one more; `new` is the SQL of its JSON."""
    if statements.is_postgresql():
        kept, sql = "COALESCE(delivery_message.answers, '[]'::jsonb)", _ADDED_POSTGRESQL
    else:
        kept, sql = "COALESCE(delivery_message.answers, '[]')", _ADDED_SQLITE
    return sql.format(kept=kept, new=new, most=MOST)
