"""Direct messages: what was asked for, and which rows of the ledger are its messages."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

from tenants.rowsecurity import ProtectRows

_ONCE = [
    ("message_once_per_recipient", ["run", "contact", "endpoint"], None),
    ("message_once_no_endpoint", ["run", "contact"], models.Q(endpoint__isnull=True)),
]


def _renewed(name: str, fields: list[str], condition: models.Q | None) -> list[migrations.operations.base.Operation]:
    """A person may get several direct messages in one run."""
    constraint = models.UniqueConstraint(fields=[*fields, "request"], condition=condition, name=name)
    return [
        migrations.RemoveConstraint("message", name),
        migrations.AddConstraint("message", constraint),
    ]


class Migration(migrations.Migration):
    dependencies = [
        ("campaigns", "0020_direct"),
        ("delivery", "0009_answers"),
        ("tenants", "0016_name_of_users"),
    ]

    operations = [
        migrations.CreateModel(
            name="DirectSend",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("contents", models.JSONField(default=list)),
                ("people", models.JSONField(default=list)),
                ("data", models.JSONField(default=dict)),
                ("unknown", models.JSONField(default=list)),
                ("made_by", models.CharField(blank=True, max_length=200)),
                ("accepted_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("expires_at", models.DateTimeField()),
                ("emptied_at", models.DateTimeField(null=True)),
                ("campaign", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="+", to="campaigns.campaign")),
                ("run", models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name="direct_sends", to="campaigns.run")),
                ("shard", models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="direct_sends", to="delivery.shard")),
                ("workspace", models.ForeignKey(editable=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="tenants.workspace")),
            ],
            options={
                "indexes": [
                    models.Index(condition=models.Q(("run", None)), fields=["id"], name="direct_waiting"),
                    models.Index(condition=models.Q(("emptied_at", None)), fields=["accepted_at"], name="direct_full"),
                ],
            },
        ),
        ProtectRows("DirectSend"),
        migrations.AddField("message", "request", models.BigIntegerField(default=0)),
        migrations.AddField("message", "sent_at", models.DateTimeField(null=True)),
        *(operation for one in _ONCE for operation in _renewed(*one)),
    ]
