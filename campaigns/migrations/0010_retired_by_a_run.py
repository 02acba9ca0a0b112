from django.db import migrations, models


def count_retired(apps, schema_editor):
    """Until now each device that a run found gone was retired: that many can be revived at most."""
    Run = apps.get_model("campaigns", "Run")
    for pk, tally in Run._base_manager.exclude(finished_at=None).values_list("pk", "tally").iterator():
        if gone := tally.get("endpoint_gone"):
            Run._base_manager.filter(pk=pk).update(retired=gone)


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0009_series")]

    operations = [
        migrations.AddField("run", "retired", models.PositiveIntegerField(default=0)),
        migrations.RunPython(count_retired, migrations.RunPython.noop),
    ]
