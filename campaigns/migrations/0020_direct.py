"""Direct messages: lanes are campaigns that no list shows, and their runs say so."""

from django.db import migrations, models

_CLASSES = [("transactional", "Transactional"), ("marketing", "Marketing")]


def _field() -> models.CharField:
    return models.CharField(blank=True, choices=_CLASSES, default="", editable=False, max_length=16)


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0019_names_for_readers")]

    operations = [
        migrations.AddField("campaign", "direct", _field()),
        migrations.AddField("run", "direct", _field()),
        migrations.AddConstraint(
            "campaign",
            models.UniqueConstraint(
                fields=["workspace", "channel", "direct"],
                condition=~models.Q(direct=""),
                name="lane_once",
            ),
        ),
    ]
