"""How forms are drawn."""

from __future__ import annotations

from typing import Any

from django.forms.renderers import DjangoTemplates


class AsWritten(DjangoTemplates):
    """Draws what a person writes as it is written: never cut, and in the direction of its own
    language.

    No maxlength: a browser cuts a longer paste there without a word. The form itself says what
    is too long.
    """

    def render(self, template_name: str, context: dict[str, Any], request: Any = None) -> str:
        widget = context.get("widget", {})
        attributes = widget.get("attrs", {})
        attributes.pop("maxlength", None)
        if widget.get("type") in ("text", "search") or template_name.endswith("textarea.html"):
            attributes.setdefault("dir", "auto")
        return super().render(template_name, context, request)
