"""Ids of contacts and names of templates get the spelling that every door now gives them (pushpilot.lib.spelling.fold).

A row keeps its old spelling if another row has the folded one already: which of the two people is meant, only the
workspace knows. From now on the doors find the other one. The log says how many there are.
"""

import logging
from itertools import islice

from django.db import migrations

from pushpilot.lib.spelling import fold
from tenants.scope import every_workspace

logger = logging.getLogger(__name__)

BATCH = 1_000


def fold_stored(apps, schema_editor):
    with every_workspace():
        renamed = _fold(apps.get_model("campaigns", "Contact")._base_manager, "external_id", ())
        _follow(apps.get_model("campaigns", "EndpointMove")._base_manager, renamed)
        _fold(apps.get_model("campaigns", "Template")._base_manager, "name", ("language",))


def _fold(rows, field, beside):
    """Fold the field where (workspace, field, *beside) stays unique. Returns {(workspace, old): new}."""
    limit = rows.model._meta.get_field(field).max_length
    odd = [
        (pk, workspace, old, new)
        for pk, workspace, old in rows.order_by("pk").values_list("pk", "workspace_id", field).iterator()
        if (new := fold(old)) != old and 0 < len(new) <= limit
    ]
    renamed, left, waiting = {}, 0, iter(odd)
    while batch := list(islice(waiting, BATCH)):
        wanted = rows.filter(**{f"{field}__in": {new for _, _, _, new in batch}})
        taken = set(wanted.values_list("workspace_id", field, *beside))
        found = rows.in_bulk([pk for pk, _, _, _ in batch])
        changed = []
        for pk, workspace, old, new in batch:
            key = (workspace, new, *(getattr(found[pk], name) for name in beside))
            if key in taken:
                left += 1
                continue
            taken.add(key)
            setattr(found[pk], field, new)
            changed.append(found[pk])
            renamed[workspace, old] = new
        rows.bulk_update(changed, [field])
    if left:
        words = "%s: %d rows keep an old spelling of %s, because another row has the new one."
        logger.warning(words, rows.model._meta.db_table, left, field)
    return renamed


def _follow(moves, renamed):
    """The moves of devices name contacts by their ids."""
    if not renamed:
        return
    changed = []
    for move in moves.only("workspace_id", "from_contact", "to_contact").iterator():
        before = move.from_contact, move.to_contact
        move.from_contact = renamed.get((move.workspace_id, move.from_contact), move.from_contact)
        move.to_contact = renamed.get((move.workspace_id, move.to_contact), move.to_contact)
        if (move.from_contact, move.to_contact) != before:
            changed.append(move)
    moves.bulk_update(changed, ["from_contact", "to_contact"], batch_size=BATCH)


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0005_endpoint_hygiene")]

    operations = [migrations.RunPython(fold_stored, migrations.RunPython.noop, elidable=True)]
