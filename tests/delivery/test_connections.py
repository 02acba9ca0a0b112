"""The verbs of connections: all of a change, or nothing of it."""

import json

import pytest
from django.core.exceptions import ValidationError

from delivery import connections
from delivery.providers.base import CredentialsRefused, ProviderUnreachable
from tenants.models import AuditEntry, Connection


def new(cast, **fields) -> Connection:
    fields = {"name": "Live app", "provider": "fcm", "per_second": 500, **fields}
    return Connection(workspace=cast.workspace, service="push", **fields)


def trail() -> list[str]:
    entries = AuditEntry.objects.filter(action__startswith="connection").order_by("pk")
    return list(entries.values_list("action", flat=True))


def project_of(row) -> str:
    return json.loads(Connection.objects.get(pk=row.pk).credentials)["project_id"]


def test_a_connection_that_the_provider_takes_is_saved_and_takes_over(
    inside, fcm, key_file, google
):
    row = new(inside, name="Second")
    connections.connect(row, key_file(project_id="other-app"), by=inside.owner)
    assert list(Connection.objects.filter(is_active=True)) == [row]
    assert Connection.objects.get(pk=row.pk).check_ok is True
    assert trail() == ["connection created", "connection switched on"]
    created = AuditEntry.objects.get(action="connection created")
    assert created.changes["project_id"] == ["", "other-app"]
    assert "PRIVATE" not in json.dumps(created.changes)


def test_the_connection_that_gives_way_counts_as_changed(inside, fcm, key_file, google):
    before = fcm.updated_at
    connections.connect(new(inside, name="Second"), key_file(), by=inside.owner)
    fcm.refresh_from_db()
    assert (fcm.is_active, fcm.updated_at > before) == (False, True)


@pytest.mark.parametrize(
    ("is_unanswered", "error"), [(False, CredentialsRefused), (True, ProviderUnreachable)]
)
def test_nothing_is_saved_of_a_connection_that_the_provider_does_not_take(
    inside, fcm, key_file, google, is_unanswered, error
):
    google.answers(ok=False, is_unanswered=is_unanswered)
    with pytest.raises(error, match=google.result.message):
        connections.connect(new(inside, name="Second"), key_file(), by=inside.owner)
    assert list(Connection.objects.filter(is_active=True)) == [fcm]
    assert (Connection.objects.count(), trail()) == (1, [])


@pytest.mark.parametrize("is_unanswered", [False, True])
def test_nothing_of_a_change_happens_if_the_provider_does_not_take_the_credentials(
    inside, fcm, key_file, google, is_unanswered
):
    google.answers(ok=False, is_unanswered=is_unanswered)
    with pytest.raises((CredentialsRefused, ProviderUnreachable)):
        connections.change(
            fcm, {"name": "New"}, credentials=key_file(project_id="other-app"), by=inside.owner
        )
    row = Connection.objects.get()
    assert (row.name, project_of(row), row.check_ok, trail()) == (
        "Live app",
        "biddano-app",
        None,
        [],
    )


def test_a_change_is_told_in_the_trail_field_by_field(inside, fcm, key_file, google):
    connections.change(
        fcm,
        {"name": "New", "per_second": 500},
        credentials=key_file(project_id="other-app"),
        by=inside.admin,
    )
    assert (fcm.name, project_of(fcm), fcm.check_ok) == ("New", "other-app", True)
    changed, replaced = AuditEntry.objects.filter(action__startswith="connection").order_by("pk")
    assert (changed.action, changed.changes) == (
        "connection changed",
        {"name": ["Live app", "New"]},
    )
    assert (replaced.action, replaced.actor) == ("connection credentials replaced", inside.admin)


def test_a_connection_is_switched_off_and_on_again_with_a_test(inside, fcm, google):
    connections.change(fcm, {}, in_use=False, by=inside.owner)
    assert (fcm.is_active, google) == (False, [])
    google.answers(ok=False)
    with pytest.raises(CredentialsRefused):
        connections.change(fcm, {}, in_use=True, by=inside.owner)
    google.answers(ok=True)
    connections.change(fcm, {}, in_use=True, by=inside.owner)
    assert (fcm.is_active, google) == (True, ["biddano-app"] * 2)
    assert trail() == ["connection switched off", "connection switched on"]


def test_credentials_that_somebody_replaced_during_the_test_stay(
    inside, fcm, key_file, google, monkeypatch
):
    def somebody_else_acts(account):
        connections.store_account(Connection.objects.get(), key_file(project_id="another-app"))
        return google.result

    monkeypatch.setattr(connections.provider_of("fcm"), "check", somebody_else_acts)
    with pytest.raises(connections.ChangedMeanwhile):
        connections.change(fcm, {}, credentials=key_file(project_id="mine-app"), by=inside.owner)
    assert project_of(fcm) == "another-app"


def test_a_reader_of_an_older_state_stops_the_change(inside, fcm):
    def expect(locked):
        raise LookupError(locked.name)

    with pytest.raises(LookupError, match="Live app"):
        connections.change(fcm, {"name": "New"}, by=inside.owner, expect=expect)
    assert Connection.objects.get().name == "Live app"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\x07b"}, "name"),
        ({"per_second": 0}, "per_second"),
        ({"per_second": 100_001}, "per_second"),
    ],
)
def test_a_name_or_a_pace_that_cannot_be_is_refused_by_its_field(inside, fcm, values, field):
    with pytest.raises(ValidationError) as refused:
        connections.change(fcm, values, by=inside.owner)
    assert list(refused.value.error_dict) == [field]
    row = Connection.objects.get()
    assert (row.name, row.per_second) == ("Live app", 500)
