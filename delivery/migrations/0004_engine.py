import django.db.models.deletion
from django.db import migrations, models


def leave_room(apps, schema_editor):
    """Every row is updated once or twice: with room on its page an update touches no index (a HOT update)."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE delivery_message SET (fillfactor = 50)")


class Migration(migrations.Migration):
    dependencies = [("delivery", "0003_row_security"), ("campaigns", "0004_engine")]

    operations = [
        migrations.CreateModel(
            name="Installation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=64)),
                ("ticks", models.BigIntegerField(default=0)),
                ("ticked_at", models.DateTimeField(null=True)),
                ("locked", models.TextField(blank=True)),
            ],
        ),
        migrations.AlterField(
            model_name='message',
            name='reason',
            field=models.PositiveSmallIntegerField(choices=[(0, 'Waiting to be sent'), (1, 'Deferred'), (2, 'Waiting for a retry'), (100, 'No device'), (101, 'Device retired'), (102, 'Not opted in'), (103, 'Unsubscribed'), (104, 'Suppressed: bounced'), (105, 'Suppressed: complained'), (106, 'Suppressed by hand'), (107, 'Duplicate address'), (108, 'Holdout group'), (109, 'Frequency cap'), (110, 'Quiet hours'), (111, 'Local time passed'), (112, 'Language missing'), (113, 'Personalisation failed'), (114, 'Aborted by the template'), (115, 'Payload too large'), (116, 'Plan limit'), (117, 'Left the audience'), (118, 'Cancelled'), (119, 'Expired'), (200, 'Accepted'), (201, 'Rejected'), (202, 'Device gone'), (203, 'Unknown'), (204, 'Unknown, closed')], default=0),
        ),
        migrations.AddField("message", "retries", models.PositiveSmallIntegerField(default=0)),
        migrations.AddField("message", "revision", models.PositiveIntegerField(null=True)),
        migrations.AddField("shard", "leased_at", models.DateTimeField(null=True)),
        migrations.AddField("shard", "revision", models.PositiveIntegerField(null=True)),
        # A bucket fills again within a second: nothing in the old table is worth keeping.
        migrations.DeleteModel("Pace"),
        migrations.CreateModel(
            name="Pace",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("tokens", models.FloatField()),
                ("refilled_at", models.DateTimeField()),
                ("ramp_from", models.DateTimeField()),
                ("ramp_base", models.FloatField(default=1.0)),
                ("closed_until", models.DateTimeField(null=True)),
                (
                    "connection",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="pace",
                        to="tenants.connection",
                    ),
                ),
                (
                    "run",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="pace",
                        to="campaigns.run",
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            "message",
            models.UniqueConstraint(
                condition=models.Q(("contact__isnull", True)), fields=("run",), name="message_once_per_topic"
            ),
        ),
        migrations.AddConstraint(
            "pace",
            models.CheckConstraint(
                condition=models.Q(("connection__isnull", True)) ^ models.Q(("run__isnull", True)),
                name="pace_of_one_thing",
            ),
        ),
        migrations.RunPython(leave_room, migrations.RunPython.noop, elidable=False),
    ]
