from functools import partial

from tenants import audit, secrets
from tenants.admin.keys.page import ApiKeyAdmin
from tenants.models import ApiKey, AuditEntry, Workspace
from tenants.scope import scope
from tenants.secrets import digest_of
from tests.pages import YES, text

KEY = {"name": "Android app", "kind": "write", "mode": "live"}


def made_key(cast, client):
    return client.post(cast.url("tenants/apikey/add/"), KEY, follow=True)


def test_a_new_key_is_shown_once_and_only_its_fingerprint_is_kept(cast):
    client = cast.client("owner")
    shown = text(made_key(cast, client))
    with scope(cast.workspace):
        key = ApiKey.objects.get()
    secret = shown.split('id="new-key">')[1].split("<")[0]
    assert digest_of(secret) == key.digest
    assert key.created_by == cast.owner
    again = client.get(cast.url("tenants/apikey/created/"), follow=True)
    assert secret not in text(again)
    assert "A key is shown only once" in text(again)


def test_the_secret_waits_encrypted_and_the_page_is_not_stored(cast):
    client = cast.client("owner")
    client.post(cast.url("tenants/apikey/add/"), KEY)
    waiting = client.session["new_api_key"]
    shown = secrets.unseal(
        secrets.decrypt(waiting), workspace_id=cast.workspace.pk, field="new_api_key"
    )
    assert "pp_live_" in shown
    assert "pp_live_" not in waiting
    shown = client.get(cast.url("tenants/apikey/created/"))
    assert "no-store" in shown.headers["Cache-Control"]


def test_the_page_of_a_key_shows_its_mode_and_state_in_words(cast):
    client = cast.client("owner")
    made_key(cast, client)
    with scope(cast.workspace):
        key = ApiKey.objects.get()
    shown = text(client.get(cast.url(f"tenants/apikey/{key.pk}/change/")))
    assert "Live" in shown
    assert "live&#x27;" not in shown
    assert "live'" not in shown


def test_a_key_is_revoked_by_post_only_and_stays_in_the_list(cast):
    client = cast.client("admin")
    made_key(cast, client)
    with scope(cast.workspace):
        key = ApiKey.objects.get()
    url = cast.url(f"tenants/apikey/{key.pk}/revoke/")
    assert "Revoke this key?" in text(client.get(url))
    with scope(cast.workspace):
        assert ApiKey.objects.get().revoked_at is None
    answer = client.post(url, YES, headers={"HX-Request": "true"})
    assert answer.headers["HX-Redirect"] == cast.url("tenants/apikey/")
    with scope(cast.workspace):
        assert ApiKey.objects.get().revoked_at is not None
        assert AuditEntry.objects.filter(action="API key revoked").count() == 1
    assert "Revoked" in text(client.get(cast.url("tenants/apikey/")))


def test_a_key_cannot_be_edited_or_deleted(cast):
    client = cast.client("owner")
    made_key(cast, client)
    with scope(cast.workspace):
        key = ApiKey.objects.get()
    for part in ("change", "delete"):
        url = cast.url(f"tenants/apikey/{key.pk}/{part}/")
        assert client.post(url, {"name": "x", "digest": "0" * 64}).status_code == 403


def test_the_page_that_adds_a_row_has_a_title_of_its_own_or_the_name_of_its_kind(cast, monkeypatch):
    page = partial(cast.client("owner").get, cast.url("tenants/apikey/add/"))
    assert page().context["title"] == str(ApiKeyAdmin.add_title)
    monkeypatch.setattr(ApiKeyAdmin, "add_title", "")
    assert page().context["title"] == "API key"


def test_a_member_sees_no_keys(cast):
    assert cast.client("member").get(cast.url("tenants/apikey/")).status_code == 403


def test_the_trail_shows_the_newest_first_and_filters_by_action(cast):
    with scope(cast.workspace):
        for action in ("campaign scheduled", "run paused"):
            audit.record(cast.workspace, action, f"about {action}", by=cast.owner)
    shown = text(cast.client("admin").get(cast.url("tenants/auditentry/")))
    assert shown.index("about run paused") < shown.index("about campaign scheduled")
    filtered = text(cast.client("admin").get(cast.url("tenants/auditentry/?action=run+paused")))
    assert "about run paused" in filtered
    assert "about campaign scheduled" not in filtered


def test_the_trail_is_read_only_and_escapes_what_it_shows(cast):
    with scope(cast.workspace):
        entry = audit.record(
            cast.workspace,
            "run paused",
            "<b>x",
            by=None,
            detail={"why": "<script>alert(1)</script>"},
        )
    client = cast.client("owner")
    url = cast.url(f"tenants/auditentry/{entry.pk}/")
    shown = text(client.get(f"{url}change/"))
    assert "<script>alert" not in shown
    assert "&lt;script&gt;alert" in shown
    for part in ("change/", "delete/"):
        assert client.post(url + part, {"post": "yes", "target": "y"}).status_code == 403
    assert client.post(cast.url("tenants/auditentry/add/"), {}).status_code == 403


def test_a_member_does_not_see_the_trail(cast):
    assert cast.client("member").get(cast.url("tenants/auditentry/")).status_code == 403


def settings_url(cast) -> str:
    return cast.url(f"tenants/workspace/{cast.workspace.pk}/change/")


def test_an_admin_changes_name_time_zone_and_language(cast):
    form = {
        "name": "Biddano",
        "slug": "biddano-tech",
        "time_zone": "Europe/Berlin",
        "default_language": "hi",
    }
    cast.client("admin").post(settings_url(cast), form)
    changed = Workspace.objects.get(pk=cast.workspace.pk)
    assert (changed.name, changed.time_zone, changed.default_language) == (
        "Biddano",
        "Europe/Berlin",
        "hi",
    )
    assert changed.slug == cast.workspace.slug


def test_an_unknown_time_zone_is_refused(cast):
    form = {
        "name": "Biddano",
        "slug": "biddano-tech",
        "time_zone": "Mars/Olympus",
        "default_language": "hi",
    }
    response = cast.client("admin").post(settings_url(cast), form)
    assert response.status_code == 200
    assert Workspace.objects.get(pk=cast.workspace.pk).time_zone == "Asia/Kolkata"


def test_plan_and_owner_cannot_be_posted(cast):
    form = {
        "name": "B2", "time_zone": "UTC", "default_language": "en", "plan": "enterprise",
        "owner": cast.admin.pk, "slug": "biddano-tech",
    }  # fmt: skip
    cast.client("admin").post(settings_url(cast), form)
    changed = Workspace.objects.get(pk=cast.workspace.pk)
    assert (changed.name, changed.plan, changed.owner) == ("B2", "free", cast.owner)


def test_a_member_cannot_open_the_settings_and_nobody_opens_those_of_another_workspace(cast):
    assert cast.client("member").get(settings_url(cast)).status_code == 403
    other = cast.url(f"tenants/workspace/{cast.other_workspace.pk}/change/")
    assert cast.client("owner").get(other).status_code == 404
