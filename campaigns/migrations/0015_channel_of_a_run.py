"""A run keeps the channel it was planned for; of the runs that there are, the campaign's channel is the best guess."""

from django.db import migrations, models

import campaigns.channels.registry

COPY = """UPDATE campaigns_run SET channel =
    (SELECT campaign.channel FROM campaigns_campaign campaign WHERE campaign.id = campaigns_run.campaign_id)"""


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0014_broadcasts_from_the_registry")]

    operations = [
        migrations.AddField(
            "run",
            "channel",
            models.CharField(choices=campaigns.channels.registry.choices, default="app_push", max_length=16),
        ),
        migrations.RunSQL(COPY, migrations.RunSQL.noop),
    ]
