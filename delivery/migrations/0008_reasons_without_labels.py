"""The words of reasons are no part of the table any more: they differ by channel."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("delivery", "0007_reach")]

    operations = [migrations.AlterField("message", "reason", models.PositiveSmallIntegerField(default=0))]
