"""API keys as verbs: scopes, modes, rotation, expiry; and whose key a header brings."""

from collections import OrderedDict
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from pushpilot.lib.problems import Problem
from tenants import keys, operators
from tenants.models import ApiKey, AuditEntry, Membership
from tenants.scope import every_workspace, scope
from tenants.secrets import digest_of
from tenants.workspaces import ask_deletion, change_member
from tests.pages import YES


@pytest.fixture(autouse=True)
def _nothing_remembered():
    keys.forget_all()


def make(cast, **fields) -> tuple[ApiKey, str]:
    key = ApiKey(workspace=cast.workspace, name="Shop backend", **fields)
    with scope(cast.workspace):
        return key, keys.create(key, by=cast.admin)


def secret_key(cast, **fields) -> tuple[ApiKey, str]:
    return make(cast, kind="secret", scopes=[keys.WORKSPACE_READ], **fields)


def refusal(secret: str, scope_name: str = keys.EVENTS_WRITE) -> int:
    with pytest.raises(Problem) as refused:
        keys.authenticate(f"Bearer {secret}", scope_name)
    return refused.value.status


def test_a_test_key_cannot_read_what_is_real(cast):
    client = cast.client("owner")
    form = {
        "name": "CRM",
        "kind": "secret",
        "mode": "test",
        "scopes": [keys.WORKSPACE_READ, keys.EVENTS_WRITE],
    }
    page = client.post(cast.url("tenants/apikey/add/"), form).content.decode()
    assert "A test key reaches only what went through the sandbox" in page
    with pytest.raises(ValueError, match="live key"):
        make(cast, kind="secret", mode="test", scopes=[keys.WORKSPACE_READ])
    with scope(cast.workspace):
        assert not ApiKey.objects.exists()


def test_a_test_key_from_before_reads_nothing_real_and_is_not_rotated(cast):
    key, secret = make(cast, kind="secret", mode="test", scopes=[keys.EVENTS_WRITE])
    with scope(cast.workspace):
        ApiKey.objects.update(scopes=[keys.WORKSPACE_READ, keys.EVENTS_WRITE])
        with pytest.raises(ValueError, match="live key"):
            keys.rotate(key, by=cast.owner, overlap=timedelta(hours=24), now=timezone.now())
    for path in ("members", ""):
        address = f"/api/v1/workspaces/{cast.workspace.slug}/{path}".rstrip("/")
        answer = Client().get(address, headers={"Authorization": f"Bearer {secret}"})
        assert (answer.status_code, answer.json()["code"]) == (403, "live_key_needed")
    assert keys.authenticate(f"Bearer {secret}", keys.EVENTS_WRITE).is_test


@pytest.mark.parametrize("mode", ["live", "test"])
def test_a_key_says_its_mode_and_is_kept_as_a_fingerprint(cast, mode):
    key, secret = make(cast, mode=mode)
    assert secret.startswith(f"pp_{mode}_")
    assert key.digest == digest_of(secret)
    assert keys.authenticate(f"Bearer {secret}", keys.EVENTS_WRITE).is_test == (mode == "test")


def test_a_write_key_may_write_events_and_nothing_else_whatever_was_ticked(cast):
    key, secret = make(cast, kind="write", scopes=[keys.WORKSPACE_READ])
    assert key.scopes == [keys.EVENTS_WRITE]
    assert refusal(secret, keys.WORKSPACE_READ) == 403


def test_a_secret_key_may_do_only_what_was_ticked(cast):
    _, secret = secret_key(cast)
    assert (
        keys.authenticate(f"Bearer {secret}", keys.WORKSPACE_READ).workspace_id == cast.workspace.pk
    )
    assert refusal(secret) == 403


def test_an_expired_key_is_refused_also_when_it_is_remembered(cast):
    key, secret = make(cast, expires_at=timezone.now() + timedelta(hours=1))
    known = keys.authenticate(f"Bearer {secret}", keys.EVENTS_WRITE)
    keys._known.put(key.digest, keys.KnownKey(**{**_as_dict(known), "expires_at": timezone.now()}))
    assert refusal(secret) == 401


def _as_dict(known: keys.KnownKey) -> dict[str, object]:
    return {name: getattr(known, name) for name in known.__slots__}


def test_a_revoked_secret_key_is_refused_at_once_in_every_process(cast):
    key, secret = secret_key(cast)
    keys.authenticate(f"Bearer {secret}", keys.WORKSPACE_READ)
    with scope(cast.workspace):
        # as another process does
        ApiKey.objects.filter(pk=key.pk).update(revoked_at=timezone.now())
    assert refusal(secret, keys.WORKSPACE_READ) == 401


def test_use_is_noted_to_the_minute(cast):
    key, secret = secret_key(cast)
    keys.authenticate(f"Bearer {secret}", keys.WORKSPACE_READ)
    with scope(cast.workspace):
        first = ApiKey.objects.get(pk=key.pk).last_used_at
    keys.authenticate(f"Bearer {secret}", keys.WORKSPACE_READ)
    with scope(cast.workspace):
        assert ApiKey.objects.get(pk=key.pk).last_used_at == first is not None


def test_keys_of_a_workspace_that_is_being_deleted_are_refused(cast):
    _, secret = make(cast)
    keys.authenticate(f"Bearer {secret}", keys.EVENTS_WRITE)
    with scope(cast.workspace):
        ask_deletion(cast.workspace, by=cast.owner, now=timezone.now())
    assert refusal(secret) == 401


def test_the_secret_keys_of_somebody_who_is_deactivated_are_refused_until_they_are_back(cast):
    (_, secret), (_, write) = secret_key(cast), make(cast)
    operators.deactivate(cast.admin, by=cast.operator)
    assert refusal(secret, keys.WORKSPACE_READ) == 401
    assert keys.authenticate(f"Bearer {write}", keys.EVENTS_WRITE)
    operators.reactivate(cast.admin)
    keys.forget_all()
    assert keys.authenticate(f"Bearer {secret}", keys.WORKSPACE_READ)


@pytest.mark.parametrize(("role", "status"), [("viewer", 401), ("member", 401), ("owner", 403)])
def test_a_role_without_connections_ends_the_persons_secret_keys(cast, role, status):
    (key, secret), (_, write) = secret_key(cast), make(cast)
    with scope(cast.workspace):
        change_member(Membership.objects.get(user=cast.admin), role, by=cast.owner)
        ended = AuditEntry.objects.filter(action="API key revoked").values_list(
            "target", "detail__why"
        )
        assert list(ended) == ([(key.name, "role changed")] if status == 401 else [])
    assert refusal(secret) == status
    assert keys.authenticate(f"Bearer {write}", keys.EVENTS_WRITE)


def rotated(cast, key, hours: str):
    client = cast.client("admin")
    url = cast.url(f"tenants/apikey/{key.pk}/rotate/")
    client.post(url, {**YES, "hours": hours})
    return client.get(cast.url("tenants/apikey/created/"), follow=True).content.decode()


def test_a_rotated_key_works_beside_its_successor_until_the_overlap_ends(cast):
    key, old = secret_key(cast)
    shown = rotated(cast, key, "24")
    new = shown.split('id="new-key">')[1].split("<")[0]
    for secret in (old, new):
        keys.authenticate(f"Bearer {secret}", keys.WORKSPACE_READ)
    with scope(cast.workspace):
        before = ApiKey.objects.get(pk=key.pk)
        assert before.replaced_by.scopes == before.scopes
        assert before.expires_at - timezone.now() < timedelta(hours=24)
        ApiKey.objects.filter(pk=key.pk).update(expires_at=timezone.now())
        assert AuditEntry.objects.filter(action="API key rotated").count() == 1
    assert refusal(old, keys.WORKSPACE_READ) == 401


def test_rotating_without_overlap_ends_the_old_key_now(cast):
    key, old = secret_key(cast)
    rotated(cast, key, "0")
    assert refusal(old, keys.WORKSPACE_READ) == 401


def test_a_key_is_rotated_once_and_not_after_its_end(cast):
    key, _ = secret_key(cast)
    rotated(cast, key, "24")
    assert "was already rotated" in rotated(cast, key, "24")
    with scope(cast.workspace):
        keys.revoke([key], by=cast.admin)
    assert "is revoked" in rotated(cast, key, "24")
    with scope(cast.workspace):
        assert ApiKey.objects.count() == 2


def test_a_secret_key_without_a_tick_is_refused_and_expiry_is_a_choice(cast):
    client, url = cast.client("admin"), cast.url("tenants/apikey/add/")
    form = {"name": "Shop", "kind": "secret", "mode": "live", "lifetime": "30"}
    assert "Select at least one thing" in client.post(url, form).content.decode()
    client.post(url, {**form, "scopes": [keys.WORKSPACE_READ]})
    with scope(cast.workspace):
        key = ApiKey.objects.get()
    assert timedelta(days=29) < key.expires_at - timezone.now() <= timedelta(days=30)


class Watched(OrderedDict):
    """Ends a test that would look at its length for ever."""

    looks = 0

    def __len__(self) -> int:
        self.looks += 1
        assert self.looks < 50
        return super().__len__()


def test_of_the_keys_that_are_remembered_the_oldest_goes_first(cast, monkeypatch):
    monkeypatch.setattr(keys, "KEPT", 2)
    monkeypatch.setattr(keys._known, "_kept", Watched())
    made = [make(cast, kind="write") for _ in range(3)]
    for _, secret in made:
        keys.authenticate(f"Bearer {secret}", keys.EVENTS_WRITE)
    assert list(keys._known._kept) == [key.digest for key, _ in made[1:]]


# --- the key of a page ----------------------------------------------------------------------------
def test_a_page_s_key_writes_test_events_of_its_workspace_and_does_nothing_else(cast):
    secret = keys.page_key(cast.member, cast.workspace)
    known = keys.authenticate(f"Bearer {secret}", keys.EVENTS_WRITE)
    assert (known.workspace_id, known.kind, known.is_test) == (cast.workspace.pk, "write", True)
    assert known.scopes == (keys.EVENTS_WRITE,)
    assert {refusal(secret, name) for name in keys.SCOPES if name != keys.EVENTS_WRITE} == {403}
    with scope(cast.workspace):
        assert not ApiKey.objects.exists()


@pytest.mark.parametrize("name", ["viewer", "outsider", "other_owner"])
def test_a_page_s_key_of_somebody_who_may_not_send_here_is_refused(cast, name):
    assert refusal(keys.page_key(getattr(cast, name), cast.workspace)) == 401


def test_a_page_s_key_ends_with_the_person_the_workspace_its_hour_and_a_changed_letter(
    cast, monkeypatch
):
    secret = keys.page_key(cast.member, cast.workspace)
    assert refusal(secret[:-1] + ("A" if secret[-1] != "A" else "B")) == 401
    with monkeypatch.context() as later:
        later.setattr(keys, "PAGE_SECS", -1)
        assert refusal(secret) == 401
    with every_workspace():  # with the memberships, which the third wall hides outside
        cast.member.delete()
    assert refusal(secret) == 401
    of_the_owner = keys.page_key(cast.owner, cast.workspace)
    assert keys.authenticate(f"Bearer {of_the_owner}", keys.EVENTS_WRITE)
    operators.deactivate(cast.owner, by=cast.operator)
    assert refusal(of_the_owner) == 401


def test_revoking_tells_how_many_were_still_working(cast):
    made = [make(cast)[0] for _ in range(3)]
    with scope(cast.workspace):
        assert keys.revoke(made[:1], by=cast.admin) == 1
        assert keys.revoke(made, by=cast.admin) == 2
        assert keys.revoke(made, by=cast.admin) == 0
