"""What tests of pages share: the text of an answer, and what a dialog posts."""

from __future__ import annotations

from typing import Any

# What Unfold's dialogs post as the answer "yes".
YES: dict[str, Any] = {"_form_submitted": "on"}


def text(response: Any) -> str:
    return str(response.content.decode())
