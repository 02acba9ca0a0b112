"""Contents and templates hold the fields of their channel's schema in one JSON column.

The columns of push (title, body, image_url, deep_link, options) become keys of `fields`, so a revision that is pinned
from it has the digest that it had before. `title` stays a column, for lists.
"""

from django.db import migrations, models

import campaigns.channels.registry
from campaigns.content.written import TitleField
from tenants.scope import every_workspace

TEXTS = {"title": 120, "body": 1000, "image_url": 500, "deep_link": 500}
TABLES = ("campaigns_content", "campaigns_template")
IS_CONTENT = {"campaigns_content": True, "campaigns_template": False}
OF_CAMPAIGN = "SELECT channel FROM campaigns_campaign WHERE campaigns_campaign.id = campaigns_content.campaign_id"


def fill(apps, schema_editor):
    is_postgresql = schema_editor.connection.vendor == "postgresql"
    texts = ", ".join(f"'{name}', {name}" for name in TEXTS)
    for table in TABLES:
        options = "options" if IS_CONTENT[table] else "'{}'"
        merged = f"json_patch({options}, json_object({texts}))"
        if is_postgresql:
            merged = f"{options}::jsonb || jsonb_build_object({texts})"
        # One statement a table: PostgreSQL alters none whose rows were written twice in the transaction.
        channel = f", channel = ({OF_CAMPAIGN})" if IS_CONTENT[table] else ""
        _run(schema_editor, f"UPDATE {table} SET fields = {merged}{channel}")


def empty(apps, schema_editor):
    """Back into the columns, each cut to its length."""
    is_postgresql = schema_editor.connection.vendor == "postgresql"
    for table in TABLES:
        sets = []
        for name, limit in TEXTS.items():
            text = f"fields ->> '{name}'" if is_postgresql else f"json_extract(fields, '$.{name}')"
            sets.append(f"{name} = substr(coalesce({text}, ''), 1, {limit})")
        if IS_CONTENT[table]:
            names = ", ".join(f"'{name}'" if is_postgresql else f"'$.{name}'" for name in TEXTS)
            rest = f"fields - ARRAY[{names}]" if is_postgresql else f"json_remove(fields, {names})"
            sets.append(f"options = {rest}")
        _run(schema_editor, f"UPDATE {table} SET {', '.join(sets)}")


def _run(schema_editor, statement):
    with every_workspace(), schema_editor.connection.cursor() as cursor:
        cursor.execute(statement)


def _added(model):
    channel = models.CharField(choices=campaigns.channels.registry.choices, default="app_push", max_length=16)
    return [
        migrations.AddField(model, "channel", channel),
        migrations.AddField(model, "fields", models.JSONField(blank=True, default=dict)),
        migrations.AlterField(model, "title", TitleField(blank=True, max_length=200)),
        # A default, so that the way back can add the column again.
        migrations.AlterField(model, "body", models.CharField(default="", max_length=1000)),
    ]


def _removed(model, *names):
    return [migrations.RemoveField(model, name) for name in names]


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0015_channel_of_a_run")]

    operations = [
        *_added("content"),
        *_added("template"),
        migrations.RunPython(fill, empty, elidable=True),
        *_removed("content", "body", "image_url", "deep_link", "options"),
        *_removed("template", "body", "image_url", "deep_link"),
    ]
