import django.db.models.deletion
from django.db import migrations, models

from tenants.rowsecurity import ProtectRows


class Migration(migrations.Migration):
    dependencies = [("delivery", "0006_fingerprint"), ("tenants", "0008_plain_names")]

    operations = [
        migrations.AddField("shard", "held", models.JSONField(default=dict)),
        migrations.AddField("shard", "held_until", models.DateTimeField(null=True)),
        migrations.AlterField(
            "shard",
            "state",
            models.CharField(
                choices=[("open", "Open"), ("leased", "Leased"), ("held", "Held"), ("done", "Done")],
                default="open",
                max_length=8,
            ),
        ),
        migrations.CreateModel(
            name="Reach",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("platform", models.CharField(blank=True, max_length=16)),
                ("proven_at", models.DateTimeField(null=True)),
                ("held_since", models.DateTimeField(null=True)),
                ("code", models.CharField(blank=True, max_length=64)),
                ("detail", models.CharField(blank=True, max_length=500)),
                ("probe", models.BigIntegerField(null=True)),
                ("probe_at", models.DateTimeField(null=True)),
                (
                    "connection",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="reach", to="tenants.connection"
                    ),
                ),
                (
                    "workspace",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="tenants.workspace",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("connection", "platform"), name="reach_once_per_platform")
                ]
            },
        ),
        ProtectRows("Reach"),
    ]
