from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0008_own_clock")]

    operations = [
        migrations.AddField("campaign", "skip_dates", models.JSONField(blank=True, default=list, editable=False)),
        migrations.AddField("campaign", "ended_at", models.DateTimeField(editable=False, null=True)),
        migrations.AddField("run", "occurrence_at", models.DateTimeField(null=True)),
    ]
