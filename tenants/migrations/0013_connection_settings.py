"""What a connection shows of its account becomes `settings`: each provider has fields of its own."""

from django.db import migrations, models


def gather(apps, schema_editor):
    """`settings` from the two columns of a Firebase account."""
    Connection = apps.get_model("tenants", "Connection")
    for row in Connection.objects.using(schema_editor.connection.alias).only("pk", "project_id", "account").iterator():
        settings = {"project_id": row.project_id, "account": row.account}
        Connection.objects.using(schema_editor.connection.alias).filter(pk=row.pk).update(settings=settings)


def spread(apps, schema_editor):
    Connection = apps.get_model("tenants", "Connection")
    for row in Connection.objects.using(schema_editor.connection.alias).only("pk", "settings").iterator():
        columns = {name: str(row.settings.get(name, "")) for name in ("project_id", "account")}
        Connection.objects.using(schema_editor.connection.alias).filter(pk=row.pk).update(**columns)


class Migration(migrations.Migration):
    dependencies = [("tenants", "0012_language_tags")]

    operations = [
        migrations.AddField("connection", "settings", models.JSONField(default=dict, editable=False)),
        migrations.RunPython(gather, spread),
        migrations.RemoveField("connection", "project_id"),
        migrations.RemoveField("connection", "account"),
        migrations.AlterField(
            "connection", "service", models.CharField(default="push", editable=False, max_length=16)
        ),
        migrations.AlterField("connection", "provider", models.CharField(editable=False, max_length=32)),
        migrations.AlterField(
            "connection",
            "per_second",
            models.PositiveIntegerField(
                default=10000,
                help_text="All campaigns together send no faster than this.",
                verbose_name="messages per second",
            ),
        ),
    ]
