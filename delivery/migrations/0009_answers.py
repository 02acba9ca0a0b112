"""What the provider said, on the row: a column without a default, so that no table is written anew."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("delivery", "0008_reasons_without_labels")]

    operations = [migrations.AddField("message", "answers", models.JSONField(editable=False, null=True))]
