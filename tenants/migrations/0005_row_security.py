from django.db import migrations

from tenants.rowsecurity import ProtectRows


class Migration(migrations.Migration):

    dependencies = [("tenants", "0004_operators_in_the_trail")]

    operations = [ProtectRows()]
