"""What a content or a template says: the fields of a channel's schema, in one language."""

from __future__ import annotations

from typing import Any

from django.db import models

from campaigns.channels import registry
from campaigns.channels.base import overwritten
from pushpilot.lib.languages import LanguageField
from pushpilot.lib.spelling import name_key


def searched() -> list[str]:
    """Lookups of the texts that a search over templates reads."""
    names = dict.fromkeys(
        name for channel in registry.CHANNELS.values() for name in channel.personal
    )
    return [f"fields__{name}" for name in names]


class TitleField(models.CharField):
    """The column that lists show: what `fields` holds as the channel's title. Nothing else
    writes it."""

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        row: Any = model_instance
        title = title_of(row.channel, row.fields)[: self.max_length]
        setattr(row, self.attname, title)
        return title


def title_of(channel: str, fields: dict[str, Any]) -> str:
    known = registry.CHANNELS.get(channel)
    return str(fields.get(known.title_field if known else "title") or "")


class NameKeyField(models.CharField):
    """What makes the row's name unique (spelling.name_key). Nothing else writes it."""

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        row: Any = model_instance
        setattr(row, self.attname, name_key(row.name))
        return str(getattr(row, self.attname))


class Written(models.Model):
    """`fields` is flat: {name of the channel's schema: text, number, list or object}. What it
    lacks is empty."""

    channel = models.CharField(max_length=16, choices=registry.choices, default=registry.DEFAULT)
    language = LanguageField(default="en")
    fields = models.JSONField(default=dict, blank=True)
    title = TitleField(max_length=200, blank=True)

    class Meta:
        abstract = True

    def text(self, field: str) -> str:
        return str(self.fields.get(field) or "")

    def put(self, texts: dict[str, str]) -> None:
        self.fields = overwritten(self.fields, texts)
