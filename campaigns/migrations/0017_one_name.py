"""Of templates that people take for one, whatever the case of their names, a library has one.

Where it has several, the newer ones get a number behind their name.
"""

import logging
from collections import Counter
from itertools import count

from django.db import migrations, models

from campaigns.content.written import NameKeyField
from pushpilot.lib.spelling import name_key
from tenants.scope import every_workspace

logger = logging.getLogger(__name__)

BATCH = 1_000


def fill(apps, schema_editor):
    rows = apps.get_model("campaigns", "Template")._base_manager
    with every_workspace():
        everything = list(rows.order_by("pk"))
        written = Counter(_key(template, template.name) for template in everything)
        taken, renamed = set(), 0
        for template in everything:
            own = _key(template, template.name)
            if own in taken:
                template.name, renamed = _free(template, taken | written.keys()), renamed + 1
            taken.add(_key(template, template.name))
        # NameKeyField writes itself. An upsert, because bulk_update takes 40 times as long.
        rows.bulk_create(
            everything,
            batch_size=BATCH,
            update_conflicts=True,
            unique_fields=["id"],
            update_fields=["name", "name_key"],
        )
    if renamed:
        logger.warning("campaigns_template: %d rows got a number, because another row has their name.", renamed)


def _key(template, name):
    return template.workspace_id, template.language, name_key(name)


def _free(template, taken):
    names = (f"{template.name[:90]} ({number})" for number in count(2))
    return next(name for name in names if _key(template, name) not in taken)


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0016_fields_of_the_channel")]

    operations = [
        migrations.AddField("template", "name_key", NameKeyField(default="", editable=False, max_length=300), False),
        migrations.RunPython(fill, migrations.RunPython.noop, elidable=True),
        migrations.RemoveConstraint("template", "template_key"),
        migrations.RemoveConstraint("template", "template_key_global"),
        migrations.AddConstraint(
            "template",
            models.UniqueConstraint(
                fields=["workspace", "name_key", "language"],
                name="template_key",
                violation_error_message="This workspace has a template with this name and language.",
            ),
        ),
        migrations.AddConstraint(
            "template",
            models.UniqueConstraint(
                condition=models.Q(workspace__isnull=True),
                fields=["name_key", "language"],
                name="template_key_global",
            ),
        ),
    ]
