import django.db.models.deletion
from django.db import migrations, models

from tenants.rowsecurity import ProtectRows


class Migration(migrations.Migration):
    dependencies = [("delivery", "0004_engine"), ("campaigns", "0004_engine"), ("tenants", "0008_plain_names")]

    operations = [
        migrations.AddField("heartbeat", "started_at", models.DateTimeField(null=True)),
        migrations.CreateModel(
            name="Drill",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "workspace",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="tenants.workspace",
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="drills", to="campaigns.run"
                    ),
                ),
                ("worker", models.CharField(max_length=64)),
                ("asked_at", models.DateTimeField()),
                ("killed_at", models.DateTimeField(null=True)),
            ],
            options={
                "indexes": [
                    models.Index(condition=models.Q(("killed_at", None)), fields=["asked_at"], name="drill_waiting")
                ]
            },
        ),
        ProtectRows("drill"),
    ]
