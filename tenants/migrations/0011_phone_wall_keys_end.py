"""The phone wall made a key of its own for everybody who opened it, and such a key outlived its member's right. The wall
needs none any more (tenants.keys.page_key), so those that are left are revoked."""

from django.db import migrations
from django.utils import timezone

from tenants.scope import every_workspace


def revoke(apps, schema_editor):
    keys = apps.get_model("tenants", "ApiKey")._base_manager
    with every_workspace():
        left = keys.filter(name="Phone wall", kind="write", mode="test", revoked_at=None)
        left.update(revoked_at=timezone.now())


class Migration(migrations.Migration):

    dependencies = [("tenants", "0010_identity_secrets")]

    operations = [migrations.RunPython(revoke, migrations.RunPython.noop)]
