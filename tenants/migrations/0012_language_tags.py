"""A workspace's default language gets the one spelling of its tag."""

from django.db import migrations

from pushpilot.lib.languages import LanguageField, tidy


def tidy_stored(apps, schema_editor):
    rows = apps.get_model("tenants", "Workspace")._base_manager
    for old in rows.order_by().values_list("default_language", flat=True).distinct():
        if (new := tidy(old)) != old:
            rows.filter(default_language=old).update(default_language=new)


class Migration(migrations.Migration):
    dependencies = [("tenants", "0011_phone_wall_keys_end")]

    operations = [
        migrations.RunPython(tidy_stored, migrations.RunPython.noop, elidable=True),
        # The column stays as it is; SQLite would copy the whole table.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField("workspace", "default_language", LanguageField(default="en", max_length=35))
            ]
        ),
    ]
