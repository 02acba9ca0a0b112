"""The trail keeps the e-mail address of who acted: a name is what a person calls themselves.

SQLite makes the table anew for the column, and loses its triggers with the old one. So they go before and come after,
and guard the new column too.
"""

from importlib import import_module

from django.db import migrations, models

trail = import_module("tenants.migrations.0003_append_only_trail")


def fill_and_install(apps, schema_editor):
    schema_editor.execute(
        "UPDATE tenants_auditentry SET actor_email = (SELECT email FROM tenants_user WHERE id = actor_id) "
        "WHERE actor_id IS NOT NULL"
    )
    for statement in trail.triggers((*trail.KEPT, "actor_email"))[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("tenants", "0006_trail_filters")]

    operations = [
        migrations.RunPython(trail.remove, trail.install),
        migrations.AddField("auditentry", "actor_email", models.EmailField(blank=True, default="", max_length=254)),
        migrations.RunPython(fill_and_install, trail.remove),
    ]
