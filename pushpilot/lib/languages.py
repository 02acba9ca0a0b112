"""Language tags in one spelling: pt_BR, pt-br and PT-BR are all pt-BR, cased as BCP 47 recommends.

A tag names a language, and a script and a region if they matter: the part of BCP 47 that says
what somebody reads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushpilot.lib.spelling import trim

T = TypeVar("T")
REMEDY = gettext_lazy("Write a code such as en, hi or pt-BR.")
_TAG = re.compile(r"([a-z]{2,3})([-_][a-z]{4})?([-_](?:[a-z]{2}|\d{3}))?", re.IGNORECASE | re.ASCII)


def normalize(text: str) -> str:
    """The tag in its one spelling. Raises ValueError with a sentence."""
    found = _TAG.fullmatch(trim(text))
    if found is None:
        raise ValueError(
            _("“%(text)s” is not a language code. %(remedy)s")
            % {"text": text[:40], "remedy": REMEDY}
        )
    language, script, region = (part or "" for part in found.groups())
    return f"{language.lower()}{script.title()}{region.upper()}".replace("_", "-")


def tidy(text: str) -> str:
    """The tag in its one spelling; a text that is no tag comes back as it is."""
    try:
        return normalize(text)
    except ValueError:
        return text


@lru_cache(maxsize=1024)
def fallbacks(tag: str) -> tuple[str, ...]:
    """Tags that a reader of `tag` reads, the best first: zh-Hant-TW, zh-Hant, zh. A tag with
    more parts than ours (en-US-u-fw-mon, as Android writes it) loses them one by one."""
    parts = tag.replace("_", "-").split("-")
    return tuple(tidy("-".join(parts[:count])) for count in range(len(parts), 0, -1))


def best(by_language: Mapping[str, T], tag: str) -> T | None:
    """What a reader of `tag` gets of what there is in these languages; None: nothing to read."""
    found = (by_language.get(one) for one in fallbacks(tag))
    return next((value for value in found if value), None)


def is_tag(text: str) -> bool:
    return _TAG.fullmatch(trim(text)) is not None


def validate_language(value: str) -> None:
    try:
        normalize(value)
    except ValueError as error:
        raise ValidationError(str(error)) from error


class LanguageField(models.CharField):
    """A language tag. Whatever door writes or looks for one, the table holds one spelling and is
    asked for that one."""

    default_validators = [validate_language]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 35)
        super().__init__(*args, **kwargs)

    def to_python(self, value: Any) -> Any:
        return _tidied(super().to_python(value))

    def get_prep_value(self, value: Any) -> Any:
        return _tidied(super().get_prep_value(value))

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        tidied = _tidied(super().pre_save(model_instance, add))
        setattr(model_instance, self.attname, tidied)
        return tidied


def _tidied(value: Any) -> Any:
    """None and expressions of the database come back as they are."""
    if isinstance(value, str):
        return tidy(value)
    return value
