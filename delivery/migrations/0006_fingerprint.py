import secrets

from django.db import migrations, models


def name_database(apps, schema_editor):
    """A database that has a name already: a backup of it from before this migration must get the same fingerprint. One
    with runs and without a name is older than names are; nobody knows which it is."""
    get_model = apps.get_model
    installation = get_model("delivery", "Installation")._base_manager.first()
    if installation is not None:
        value = installation.name
    elif get_model("campaigns", "Run")._base_manager.exists():
        value = ""
    else:
        value = secrets.token_hex(16)
    get_model("delivery", "Fingerprint")._base_manager.create(value=value)


class Migration(migrations.Migration):
    dependencies = [("delivery", "0005_drill"), ("campaigns", "0005_endpoint_hygiene")]

    operations = [
        migrations.CreateModel(
            name="Fingerprint",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("value", models.CharField(max_length=64)),
            ],
        ),
        migrations.RunPython(name_database, migrations.RunPython.noop),
    ]
