from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("reports", "0005_subscribed")]

    # Both databases rename a column in place, its index with it; only Django's picture of the constraint is made anew.
    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RenameField("Event", "client_id", "event_id")],
            state_operations=[
                migrations.RemoveConstraint("Event", "event_once"),
                migrations.RenameField("Event", "client_id", "event_id"),
                migrations.AddConstraint(
                    "Event", models.UniqueConstraint(fields=["workspace", "event_id"], name="event_once")
                ),
            ],
        )
    ]
