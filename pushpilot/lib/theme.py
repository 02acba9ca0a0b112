"""The template tag of the theme, for pages that no admin site draws."""

from __future__ import annotations

import functools

from django import template
from unfold.settings import get_config
from unfold.utils import convert_color

register = template.Library()


@register.simple_tag
@functools.cache
def theme_variables() -> list[tuple[str, str]]:
    """(CSS variable, value) of Unfold's theme."""
    config = get_config("UNFOLD")
    colours = [
        (f"--color-{name}-{weight}", convert_color(value))
        for name, weights in config["COLORS"].items()
        for weight, value in weights.items()
    ]
    return [("--border-radius", config["BORDER_RADIUS"]), *colours]
