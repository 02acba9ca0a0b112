from django.db import migrations, models

_RENAMED = [migrations.RenameField(model, "notification_id", "message_id") for model in ("Event", "Engagement")]


class Migration(migrations.Migration):
    dependencies = [("reports", "0006_event_id")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=_RENAMED,
            state_operations=[
                migrations.RemoveConstraint("Engagement", "engagement_first"),
                *_RENAMED,
                migrations.AddConstraint(
                    "Engagement",
                    models.UniqueConstraint(fields=["workspace", "message_id", "type"], name="engagement_first"),
                ),
            ],
        )
    ]
