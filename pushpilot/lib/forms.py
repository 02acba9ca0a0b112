"""How forms are drawn."""

from __future__ import annotations

from typing import Any

from django.forms.renderers import DjangoTemplates


class NothingCut(DjangoTemplates):
    """Draws no maxlength: a browser cuts a longer paste there without a word. The form itself says what is too long."""

    def render(self, template_name: str, context: dict[str, Any], request: Any = None) -> str:
        context.get("widget", {}).get("attrs", {}).pop("maxlength", None)
        return super().render(template_name, context, request)
