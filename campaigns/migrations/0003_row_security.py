from django.db import migrations

from tenants.rowsecurity import ProtectRows


class Migration(migrations.Migration):

    dependencies = [("campaigns", "0002_initial")]

    operations = [ProtectRows()]
