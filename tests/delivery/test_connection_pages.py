import json

import pytest
from django.contrib.messages import get_messages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection as database
from django.utils import timezone

from campaigns.models import Run
from delivery import connections
from delivery.providers.base import CheckResult
from delivery.providers.fcm import sdk
from tenants.models import AuditEntry, Connection
from tenants.scope import scope
from tests.story import add_people, write_campaign

LIST = "tenants/connection/"


def url(cast, row, tail="change/"):
    return cast.url(f"{LIST}{row.pk}/{tail}")


def add(cast, who="owner", **fields):
    return cast.client(who).post(
        cast.url(f"{LIST}add/"), {"name": "Live app", "per_second": "1000", **fields}
    )


def said(answer):
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


def only(cast):
    with scope(cast.workspace):
        return Connection.objects.get()


def in_use(cast):
    with scope(cast.workspace):
        return list(Connection.objects.filter(is_active=True).values_list("name", flat=True))


# --- adding ---------------------------------------------------------------------------------------
def test_a_pasted_service_account_is_connected_tested_and_used(cast, key_file, google):
    answer = add(cast, key_text=key_file())
    row = only(cast)
    assert answer["Location"] == url(cast, row)
    assert (row.settings["project_id"], row.provider, row.is_active, row.per_second) == (
        "biddano-app",
        "fcm",
        True,
        1000,
    )
    assert (google, row.check_ok) == (["biddano-app"], True)
    assert row.settings["account"] == "firebase-adminsdk-x1@biddano-app.iam.gserviceaccount.com"
    with scope(cast.workspace):
        assert json.loads(row.credentials)["private_key_id"] == "0123456789abcdef"
    with scope(cast.workspace), database.cursor() as cursor:
        cursor.execute("SELECT sealed FROM tenants_connection")
        assert "PRIVATE" not in cursor.fetchone()[0]


def test_an_uploaded_file_does_the_same(cast, key_file, google):
    upload = SimpleUploadedFile("key.json", b"\xef\xbb\xbf" + key_file().encode())
    assert add(cast, key_file=upload).status_code == 302
    assert only(cast).settings["project_id"] == "biddano-app"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Paste the service-account JSON, or upload the file."),
        ("hello", "This is not JSON."),
        ("[1, 2]", "This JSON is not a key file."),
        ('{"server_key": "AAAAabc"}', "Google switched these keys off in 2024."),
        (
            "AAAAabcdefg:APA91b" + "x" * 134,
            "Google switched these keys off in 2024.",
        ),
        ('{"type": "authorized_user"}', "type must be"),
        ("{" * 2000, "This is not JSON."),
        ("x" * 20_000, "The key file is longer than 16 kB."),
    ],
)
def test_what_is_no_service_account_is_refused_at_its_field(cast, text, sentence):
    answer = add(cast, key_text=text)
    assert answer.status_code == 200
    assert sentence in answer.content.decode()
    with scope(cast.workspace):
        assert not Connection.objects.exists()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"project_id": None}, "project_id is missing"),
        ({"client_email": "nobody"}, "client_email"),
        (
            {"private_key": "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n"},
            "private_key cannot be read",
        ),
        ({"token_uri": "http://127.0.0.1:8765/token"}, "token_uri must be"),
    ],
)
def test_a_broken_service_account_names_the_field_and_is_not_sent_back(
    cast, key_file, no_leak, changes, field
):
    answer = add(cast, key_text=key_file(**changes))
    assert field in answer.content.decode()
    assert "BEGIN PRIVATE KEY" not in answer.content.decode().replace(
        "it starts with -----BEGIN", ""
    )
    assert "gserviceaccount" not in answer.content.decode(), "nothing of what was pasted comes back"


def test_a_file_that_is_no_text_is_refused_at_the_upload(cast):
    answer = add(cast, key_file=SimpleUploadedFile("key.json", bytes(range(256)) * 4))
    assert "This is not JSON." in answer.content.decode()
    both = add(cast, key_text="{}", key_file=SimpleUploadedFile("key.json", b"{}"))
    assert "not both" in both.content.decode()


@pytest.mark.parametrize("pace", ["0", "-5", "1e9", "9999999", "x"])
def test_a_pace_that_would_never_send_or_flood_is_refused(cast, key_file, pace):
    assert add(cast, key_text=key_file(), per_second=pace).status_code == 200
    with scope(cast.workspace):
        assert not Connection.objects.exists()


def test_a_new_connection_takes_over_from_the_one_in_use(cast, fcm, key_file, google):
    add(cast, name="Second app", key_text=key_file(project_id="other-app"))
    assert in_use(cast) == ["Second app"]


def test_a_new_connection_whose_test_fails_is_saved_and_not_used(cast, fcm, key_file, google):
    google.answers(ok=False)
    answer = add(cast, name="Second app", key_text=key_file(project_id="other-app"))
    assert in_use(cast) == ["Live app"]
    with scope(cast.workspace):
        second = Connection.objects.get(name="Second app")
        assert (second.is_active, second.check_ok, second.settings["project_id"]) == (
            False,
            False,
            "other-app",
        )
    assert answer["Location"] == url(cast, second)
    assert google.result.message in said(answer)


def test_a_first_connection_whose_test_fails_is_not_used_either(cast, key_file, google):
    google.answers(ok=False)
    add(cast, key_text=key_file())
    assert (in_use(cast), only(cast).check_ok) == ([], False)


def test_a_connection_that_is_switched_on_is_tested_before_it_takes_over(
    cast, fcm, key_file, google
):
    google.answers(ok=False)
    add(cast, name="Second app", key_text=key_file(project_id="other-app"))
    with scope(cast.workspace):
        second = Connection.objects.get(name="Second app")
    client = cast.client("owner")
    client.post(url(cast, second, "switch/"), {"on": "1"})
    assert in_use(cast) == ["Live app"]
    google.answers(ok=True)
    client.post(url(cast, second, "switch/"), {"on": "1"})
    assert in_use(cast) == ["Second app"]
    assert google == ["other-app"] * 3


def test_credentials_that_change_while_they_are_tested_do_not_go_live(
    cast, fcm, key_file, google, monkeypatch
):
    cast.client("owner").post(url(cast, fcm, "switch/"), {"off": "1"})

    def somebody_else_acts(account):
        with scope(cast.workspace):
            connections.store_account(Connection.objects.get(), key_file(project_id="another-app"))
        return google.check(account)

    monkeypatch.setattr(sdk, "check", somebody_else_acts)
    cast.client("owner").post(url(cast, fcm, "switch/"), {"on": "1"})
    assert (in_use(cast), only(cast).settings["project_id"]) == ([], "another-app")


def test_new_credentials_of_a_connection_in_use_replace_the_former_ones_only_if_they_work(
    cast, fcm, key_file, google
):
    fields = {"name": "Renamed", "per_second": "50", "key_text": key_file(project_id="wrong-app")}
    google.answers(ok=False)
    answer = cast.client("admin").post(url(cast, fcm), fields)
    row = only(cast)
    assert (row.name, row.per_second, row.is_active, row.settings["project_id"]) == (
        "Renamed",
        50,
        True,
        "biddano-app",
    )
    assert google.result.message in said(answer)
    with scope(cast.workspace):
        assert json.loads(row.credentials)["project_id"] == "biddano-app"
        assert not AuditEntry.objects.filter(action="connection credentials replaced").exists()
    google.answers(ok=True)
    cast.client("admin").post(url(cast, fcm), fields)
    row = only(cast)
    assert (row.is_active, row.settings["project_id"], row.check_ok) == (True, "wrong-app", True)
    with scope(cast.workspace):
        changed = AuditEntry.objects.get(action="connection credentials replaced").changes
    assert changed["project_id"] == ["biddano-app", "wrong-app"]


def test_the_sandbox_is_one_click(cast, sandbox):
    cast.workspace.slug = "one-click"
    cast.workspace.save()
    assert (
        "Connect the sandbox" in cast.client("owner").get(cast.url(f"{LIST}add/")).content.decode()
    )
    answer = cast.client("admin").post(cast.url(f"{LIST}connect-sandbox/"))
    row = only(cast)
    assert answer["Location"] == url(cast, row)
    assert (row.is_sandbox, row.is_active, row.check_ok) == (True, True, True)
    html = cast.client("owner").get(url(cast, row)).content.decode()
    assert f"Connected to the sandbox: project sandbox-{cast.workspace.pk}-one-click" in html
    assert 'name="key_text"' not in html, "the sandbox makes its own keys"


def test_a_sandbox_that_is_not_running_is_a_sentence(cast, settings):
    settings.SANDBOX_URL = "http://127.0.0.1:9"
    answer = cast.client("owner").post(cast.url(f"{LIST}connect-sandbox/"))
    assert "does not answer. Start it with `manage.py sandbox`." in said(answer)


# --- testing, switching, replacing ----------------------------------------------------------------
def test_test_connection_says_what_google_said(cast, fcm, monkeypatch):
    verdict = CheckResult(
        False, "Google refused the service account: invalid_grant: Invalid JWT Signature.", "X"
    )
    monkeypatch.setattr(sdk, "check", lambda account: verdict)
    answer = cast.client("admin").post(url(cast, fcm, "test/"))
    assert said(answer) == verdict.message
    html = cast.client("owner").get(url(cast, fcm)).content.decode()
    assert "Invalid JWT Signature" in html
    assert "Failed" in html
    with scope(cast.workspace):
        entry = AuditEntry.objects.get(action="connection tested")
    assert (entry.actor, entry.detail) == (cast.admin, {"ok": False})


def test_the_answer_about_an_account_that_was_replaced_during_the_test_is_not_kept(
    cast, fcm, key_file, monkeypatch
):
    def replaced_meanwhile(account):
        with scope(cast.workspace):
            connections.store_account(Connection.objects.get(), key_file(project_id="other-app"))
        return CheckResult(True, "Connected.")

    monkeypatch.setattr(sdk, "check", replaced_meanwhile)
    answer = cast.client("admin").post(url(cast, fcm, "test/"))
    row = only(cast)
    assert (row.settings["project_id"], row.checked_at, row.check_ok) == ("other-app", None, None)
    assert said(answer) == connections.CHANGED_MEANWHILE


def test_a_connection_is_switched_off_and_on(cast, fcm, google):
    client = cast.client("owner")
    assert "cannot send" in said(client.post(url(cast, fcm, "switch/"), {"off": "1"}))
    assert not only(cast).is_active
    client.post(url(cast, fcm, "switch/"), {"on": "1"})
    assert only(cast).is_active
    with scope(cast.workspace):
        assert json.loads(only(cast).credentials)["project_id"] == "biddano-app", (
            "switching keeps the credentials"
        )


def test_switching_one_on_switches_the_other_off(cast, fcm, key_file, google):
    add(cast, name="Second app", key_text=key_file(project_id="other-app"))
    cast.client("owner").post(url(cast, fcm, "switch/"), {"on": "1"})
    with scope(cast.workspace):
        assert [row.name for row in Connection.objects.filter(is_active=True)] == ["Live app"]


def test_credentials_are_kept_when_left_empty_and_replaced_when_given(cast, fcm, key_file, google):
    client = cast.client("admin")
    with scope(cast.workspace):
        Connection.objects.update(check_ok=True, check_message="Connected.")
    assert client.post(url(cast, fcm), {"name": "Renamed", "per_second": "50"}).status_code == 302
    row = only(cast)
    with scope(cast.workspace):
        assert (row.name, row.per_second, row.check_ok) == ("Renamed", 50, True)
        assert json.loads(row.credentials)["private_key_id"] == "0123456789abcdef"
    client.post(
        url(cast, fcm),
        {"name": "Renamed", "per_second": "50", "key_text": key_file(private_key_id="ffff9999")},
    )
    row = only(cast)
    with scope(cast.workspace):
        assert json.loads(row.credentials)["private_key_id"] == "ffff9999"
    assert (row.check_ok, row.check_message) == (True, google.result.message), (
        "the test is of the new credentials"
    )


def test_a_connection_that_a_run_needs_is_not_deleted(cast, connected):

    from campaigns import plan

    add_people(cast.workspace, 2)
    campaign = write_campaign(cast.workspace)
    with scope(cast.workspace):
        run = plan.schedule(campaign, by=cast.owner, now=timezone.now())
    client = cast.client("owner")
    assert "Finish or cancel the send" in said(
        client.post(url(cast, connected, "delete/"), {"post": "yes"})
    )
    with scope(cast.workspace):
        assert Connection.objects.exists()
        Run.objects.filter(pk=run.pk).update(state=Run.State.COMPLETED)
    assert client.post(url(cast, connected, "delete/"), {"post": "yes"}).status_code == 302
    with scope(cast.workspace):
        assert not Connection.objects.exists()
        run.refresh_from_db()
    assert run.connection_id is None


# --- the secret stays one -------------------------------------------------------------------------
def test_the_private_key_is_in_no_answer_and_in_no_audit_entry(
    cast, key_file, private_key, no_leak, monkeypatch
):
    monkeypatch.setattr(sdk, "check", lambda account: CheckResult(True, "Connected to Google."))
    client = cast.client("owner")
    client.post(
        cast.url(f"{LIST}add/"), {"name": "Live", "per_second": "9", "key_text": key_file()}
    )
    row = only(cast)
    for tail in ("change/", "delete/"):
        no_leak(client.get(url(cast, row, tail)))
    html = no_leak(client.get(cast.url(LIST)))
    assert (
        "Service account: firebase-adminsdk-x1@biddano-app.iam.gserviceaccount.com · Key: ••••"
    ) in html
    assert "••••cdef" in client.get(url(cast, row)).content.decode()
    no_leak(client.post(url(cast, row, "test/"), follow=True))
    no_leak(client.post(url(cast, row), {"name": "", "per_second": "9", "key_text": key_file()}))
    no_leak(
        client.post(
            url(cast, row), {"name": "New", "per_second": "9", "key_text": key_file()}, follow=True
        )
    )
    with scope(cast.workspace):
        trail = json.dumps(
            list(AuditEntry.objects.values("action", "target", "detail")), default=str
        )
    assert "connection changed" in trail
    assert private_key.splitlines()[1] not in trail
    assert "PRIVATE" not in trail


def test_credentials_that_no_key_decrypts_are_a_message_on_the_page(cast, fcm, key_file, google):
    with scope(cast.workspace), database.cursor() as cursor:
        cursor.execute("UPDATE tenants_connection SET sealed = 'of another key'")
    client = cast.client("owner")
    page = client.get(url(cast, fcm))
    assert page.status_code == 200
    assert "The stored credentials cannot be read." in page.content.decode()
    assert "ENCRYPTION_KEYS" in page.content.decode()
    assert client.get(cast.url(LIST)).status_code == 200
    assert "cannot be decrypted" in said(client.post(url(cast, fcm, "test/")))
    assert client.post(url(cast, fcm, "switch/"), {"off": "1"}).status_code == 302
    client.post(url(cast, fcm), {"name": "Live app", "per_second": "9", "key_text": key_file()})
    assert "cannot be read" not in client.get(url(cast, fcm)).content.decode()


def test_credentials_sealed_for_another_workspace_are_not_used(cast, fcm):
    with scope(cast.workspace):
        sealed = Connection.objects.get(pk=fcm.pk).sealed
    with scope(cast.other_workspace):
        Connection.objects.create(
            workspace=cast.other_workspace,
            name="Stolen",
            settings={"project_id": "biddano-app"},
            sealed=sealed,
            provider="fcm",
        )
        stolen = Connection.objects.get()
    page = cast.client("other_owner").get(
        f"/w/{cast.other_workspace.slug}/admin/{LIST}{stolen.pk}/change/"
    )
    assert "encrypted for another workspace" in page.content.decode()


# --- who may --------------------------------------------------------------------------------------
@pytest.mark.parametrize("who", ["member", "viewer"])
def test_members_and_viewers_have_no_business_here(cast, fcm, who):
    client = cast.client(who)
    for path in (LIST, f"{LIST}add/", f"{LIST}{fcm.pk}/change/", f"{LIST}{fcm.pk}/delete/"):
        assert client.get(cast.url(path)).status_code == 403
    for path in (f"{LIST}{fcm.pk}/test/", f"{LIST}{fcm.pk}/switch/", f"{LIST}connect-sandbox/"):
        assert client.post(cast.url(path)).status_code == 403
    assert only(cast).is_active


def test_outsiders_see_nothing_through_any_door(cast, fcm):
    client = cast.client("other_owner")
    elsewhere = f"/w/{cast.other_workspace.slug}/admin/{LIST}{fcm.pk}/"
    for tail in ("test/", "switch/"):
        assert client.post(elsewhere + tail).status_code == 404
        assert client.post(url(cast, fcm, tail)).status_code == 404
    assert client.get(f"{elsewhere}change/").status_code in (302, 404)
    assert only(cast).is_active


def test_the_buttons_are_posts_only(cast, fcm):
    for path in (f"{LIST}{fcm.pk}/test/", f"{LIST}{fcm.pk}/switch/", f"{LIST}connect-sandbox/"):
        assert cast.client("owner").get(cast.url(path)).status_code == 405
