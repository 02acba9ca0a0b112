"""Old rows get their new fields, and the database itself refuses to change the audit trail.

Two changes stay possible: an actor's account goes (their name stays as the label), and a workspace's rows go when its
deletion is due.
"""

from django.db import migrations

KEPT = ("id", "workspace_id", "actor_label", "action", "target", "changes", "detail", "via", "address", "at")
STAYS = "SELECT 1 FROM tenants_workspace WHERE id = OLD.workspace_id AND deletion_due_at IS NULL"
SENTENCE = "The audit trail is append-only."

def triggers(kept):
    """{vendor: statements} that make the triggers, for a table with these columns that never change."""
    news, olds = (", ".join(f"{row}.{name}" for name in kept) for row in ("NEW", "OLD"))
    sqlite = (
        f"""CREATE TRIGGER audit_no_change BEFORE UPDATE ON tenants_auditentry
    WHEN NEW.actor_id IS NOT NULL OR {" OR ".join(f"NEW.{name} IS NOT OLD.{name}" for name in kept)}
    BEGIN SELECT RAISE(ABORT, '{SENTENCE}'); END""",
        f"""CREATE TRIGGER audit_no_delete BEFORE DELETE ON tenants_auditentry
    WHEN EXISTS ({STAYS})
    BEGIN SELECT RAISE(ABORT, '{SENTENCE}'); END""",
    )
    postgresql = (
        f"""CREATE FUNCTION tenants_audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'UPDATE' AND NEW.actor_id IS NULL AND ({news}) IS NOT DISTINCT FROM ({olds})
        THEN RETURN NEW; END IF;
        IF TG_OP = 'DELETE' AND NOT EXISTS ({STAYS}) THEN RETURN OLD; END IF;
        RAISE EXCEPTION '{SENTENCE}';
    END $$""",
        """CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON tenants_auditentry
    FOR EACH ROW EXECUTE FUNCTION tenants_audit_append_only()""",
    )
    return {"sqlite": sqlite, "postgresql": postgresql}


UNDO = {
    "sqlite": ("DROP TRIGGER audit_no_change", "DROP TRIGGER audit_no_delete"),
    "postgresql": (
        "DROP TRIGGER audit_append_only ON tenants_auditentry",
        "DROP FUNCTION tenants_audit_append_only()",
    ),
}


def fill(apps, schema_editor):
    entries, keys = apps.get_model("tenants", "AuditEntry"), apps.get_model("tenants", "ApiKey")
    entries._base_manager.filter(actor__isnull=False).update(via="console")
    keys._base_manager.filter(kind="write").update(scopes=["events:write"])


def install(apps, schema_editor):
    for statement in triggers(KEPT)[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


def remove(apps, schema_editor):
    for statement in UNDO[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("tenants", "0002_people_and_keys")]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.RunPython(install, remove),
    ]
