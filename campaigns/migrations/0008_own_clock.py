"""A campaign keeps what the clocks show when it goes out, and on whose clocks; it was a moment before."""

from datetime import datetime
from zoneinfo import ZoneInfo

from django.db import migrations, models

import tenants.validators
from pushpilot.lib.clock import resolve

CHUNK = 5000


def keep_the_clock(apps, schema_editor):
    """Of every campaign with a time, in the zone that its page showed. The database of time zones is Python's, as when
    it is sent: PostgreSQL has its own, and SQLite none."""
    sql = "UPDATE campaigns_campaign SET wall_clock = %s, time_zone = %s WHERE id = %s"
    for rows in _chunks(apps, schema_editor, "scheduled_at"):
        walls = [(at.astimezone(ZoneInfo(zone)), zone, pk) for pk, at, zone in rows]
        with schema_editor.connection.cursor() as cursor:
            cursor.executemany(sql, [(f"{wall:%Y-%m-%dT%H:%M:%S}", zone, pk) for wall, zone, pk in walls])


def keep_the_moment(apps, schema_editor):
    model = apps.get_model("campaigns", "Campaign")
    for rows in _chunks(apps, schema_editor, "wall_clock"):
        zones = dict(model.objects.filter(pk__in=[pk for pk, _, _ in rows]).values_list("pk", "time_zone"))
        for pk, wall, _ in rows:
            at = resolve(datetime.fromisoformat(wall), ZoneInfo(zones[pk]))
            model.objects.filter(pk=pk).update(scheduled_at=at)


def _chunks(apps, schema_editor, column):
    """[(pk, column, the workspace's zone)] of the campaigns that have one."""
    model = apps.get_model("campaigns", "Campaign")
    rows = model.objects.using(schema_editor.connection.alias).exclude(**{column: None}).order_by("pk")
    rows = rows.exclude(**{column: ""}) if column == "wall_clock" else rows
    last = 0
    while found := list(rows.filter(pk__gt=last).values_list("pk", column, "workspace__time_zone")[:CHUNK]):
        yield found
        last = found[-1][0]


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0007_addresses_as_text")]

    operations = [
        migrations.AddField("campaign", "wall_clock", models.CharField(blank=True, editable=False, max_length=19, default=""), preserve_default=False),
        migrations.AddField(
            "campaign",
            "time_zone",
            models.CharField(
                blank=True,
                max_length=64,
                default="",
                validators=[tenants.validators.validate_time_zone],
            ),
            preserve_default=False,
        ),
        migrations.RunPython(keep_the_clock, keep_the_moment),
        migrations.RemoveField("campaign", "scheduled_at"),
    ]
