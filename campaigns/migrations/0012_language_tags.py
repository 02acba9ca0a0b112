"""Language tags get the one spelling that every door now gives them (pushpilot.lib.languages).

Two templates with one name, or two contents of one campaign, may turn out to be in one language. Then the newer
template gets a number behind its name, and the newer content becomes the next free variant, so nothing is lost and lint
asks which one to keep.
"""

import logging
from itertools import count
from string import ascii_uppercase

from django.db import migrations

from pushpilot.lib.languages import LanguageField, tidy
from tenants.scope import every_workspace

logger = logging.getLogger(__name__)


def tidy_stored(apps, schema_editor):
    with every_workspace():
        contacts = apps.get_model("campaigns", "Contact")._base_manager
        for old, new in _odd(contacts):
            contacts.filter(language=old).update(language=new)
        templates = apps.get_model("campaigns", "Template")._base_manager
        _tidy_each(templates, ("workspace_id",), "name", _numbered)
        _tidy_each(apps.get_model("campaigns", "Content")._base_manager, ("campaign_id",), "variant", _letters)


def _odd(rows):
    """(stored tag, its one spelling) where they differ."""
    stored = rows.order_by().values_list("language", flat=True).distinct()
    return [(old, new) for old in stored if (new := tidy(old)) != old]


def _tidy_each(rows, owner, beside, others):
    """Tidy the tags of rows that are unique by (owner, language, beside). A taken place moves `beside` on."""
    moved = 0
    for old, new in _odd(rows):
        for row in rows.filter(language=old).order_by("pk").only(*owner, "language", beside):
            at = {name: getattr(row, name) for name in owner}
            taken = set(rows.filter(language=new, **at).values_list(beside, flat=True))
            wanted = getattr(row, beside)
            free = next(name for name in others(wanted) if name not in taken)
            moved += free != wanted
            rows.filter(pk=row.pk).update(**{"language": new, beside: free})
    if moved:
        words = "%s: %d rows got another %s, because one spelling of their language has their place already."
        logger.warning(words, rows.model._meta.db_table, moved, beside)


def _numbered(name):
    yield name
    yield from (f"{name[:90]} ({number})" for number in count(2))


def _letters(variant):
    return (variant, *ascii_uppercase)


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0011_waiting_consent")]

    operations = [
        migrations.RunPython(tidy_stored, migrations.RunPython.noop, elidable=True),
        # The columns stay as they are; SQLite would copy the whole tables.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField("contact", "language", LanguageField(blank=True, max_length=35)),
                migrations.AlterField("template", "language", LanguageField(default="en", max_length=35)),
                migrations.AlterField("content", "language", LanguageField(default="en", max_length=35)),
            ]
        ),
    ]
