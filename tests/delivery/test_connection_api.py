"""/workspaces/{workspace}/firebase: connecting, reading, changing and testing by API."""

import json

import pytest
from django.db import connection as database

from delivery import connections, trial
from delivery.connections import account_of
from delivery.providers.base import CheckResult, ProviderUnreachable
from delivery.providers.fcm import sdk
from delivery.providers.fcm.account import FcmAccount
from tenants import keys
from tenants.models import AnsweredRequest, AuditEntry, Connection
from tenants.scope import every_workspace, scope
from tests.story import add_people
from tests.tenants.api.app import App, key_of, refused
from tests.tenants.api.calls import app_of

OK = "sbx_ok_phone1"


@pytest.fixture
def path(cast):
    return f"/workspaces/{cast.workspace.slug}/firebase"


@pytest.fixture
def program(cast):
    """A program with a key of the right scope."""
    scopes = [keys.CONNECTIONS_MANAGE]
    return App(f"Bearer {key_of(cast.workspace, by=cast.owner, scopes=scopes)}")


@pytest.fixture
def account(key_file):
    """A function that gives a service account as an object."""
    return lambda **changes: json.loads(key_file(**changes))


def rows(cast):
    with scope(cast.workspace):
        return list(Connection.objects.order_by("pk").values("name", "is_active", "settings"))


def field_of(answer):
    assert answer.status_code == 422, answer.content
    (error,) = answer.json()["errors"]
    return error["field"]


def trail(cast):
    with scope(cast.workspace):
        return list(
            AuditEntry.objects.filter(action__startswith="connection")
            .order_by("pk")
            .values_list("action", "actor_label")
        )


# --- connecting -----------------------------------------------------------------------------------
@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("as_text", [False, True])
def test_a_service_account_is_tested_and_put_in_use(
    cast, program, path, account, google, slash, as_text
):
    given = json.dumps(account()) if as_text else account()
    answer = program.post(path + slash, project_id="biddano-app", service_account=given)
    assert answer.status_code == 201, answer.content
    told = answer.json()
    assert (told["state"], told["is_sandbox"], told["project_id"], told["check_ok"]) == (
        "in_use",
        False,
        "biddano-app",
        True,
    )
    assert told["client_email"].startswith("firebase-adminsdk-x1@")
    assert told["key_id"] == "01234567…"
    assert answer.headers["ETag"]
    assert google == ["biddano-app"]
    assert program.get(path + slash).json() == told


def test_name_and_pace_are_taken_or_the_providers_own(cast, program, path, account, google):
    first = program.post(path, service_account=account()).json()
    assert (first["name"], first["per_second"]) == ("Firebase Cloud Messaging", 10_000)
    other = account(project_id="other-app")
    second = program.post(path, service_account=other, name=" Shop ", per_second=50).json()
    assert (second["name"].strip(), second["per_second"]) == ("Shop", 50)
    assert [row["is_active"] for row in rows(cast)] == [False, True]


def test_the_same_project_again_gets_the_new_credentials(cast, program, path, account, google):
    first = program.post(path, service_account=account())
    again = program.post(path, service_account=account(private_key_id="f" * 40))
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == first.json()["id"]
    assert again.json()["key_id"] == "ffffffff…"
    assert [action for action, _by in trail(cast)] == [
        "connection created",
        "connection switched on",
        "connection credentials replaced",
    ]


def test_the_trail_names_the_key_or_the_person(cast, program, path, account, google):
    program.post(path, service_account=account())
    app_of(cast.admin).post(path, service_account=account())
    assert {by for _action, by in trail(cast)} == {"API key “CRM”", str(cast.admin)}


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_server_key_is_refused_with_what_to_send_instead(cast, program, path, google, slash):
    answer = program.post(path + slash, project_id="demo-app", server_key="AAAAabcdefg:APA91bXYZ")
    assert field_of(answer) == "server_key"
    detail = answer.json()["detail"]
    assert "2024" in detail
    assert "service_account" in detail
    assert "APA91b" not in answer.content.decode()
    assert (rows(cast), google) == ([], [])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"service_account": None}, "service_account"),
        ({"service_account": ""}, "service_account"),
        ({"service_account": 7}, "service_account"),
        ({"service_account": ["{}"]}, "service_account"),
        ({"service_account": "no JSON"}, "service_account"),
        ({"service_account": "AAAAabcdefg:APA91b" + "x" * 134}, "service_account"),
        ({"service_account": {"server_key": "AAAA"}}, "service_account"),
        ({"service_account": {"type": "authorized_user"}}, "service_account"),
        ({"project_id": "another-app"}, "project_id"),
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"per_second": 0}, "per_second"),
        ({"per_second": 10**9}, "per_second"),
        ({"per_second": "many"}, "per_second"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_bad_input_names_its_field_and_nothing_is_stored(
    cast, program, path, account, google, changes, field
):
    answer = program.post(path, **{"service_account": account(), **changes})
    assert field_of(answer) == field
    assert (rows(cast), google) == ([], [])


def test_of_two_wrong_things_both_are_named(program, path, account, google):
    answer = program.post(path, service_account=account(), name="", per_second=0)
    assert {error["field"] for error in answer.json()["errors"]} == {"name", "per_second"}


def test_refused_credentials_are_not_stored(cast, fcm, program, path, account, google):
    google.answers(ok=False)
    answer = program.post(path, service_account=account(project_id="other-app"))
    assert field_of(answer) == "service_account"
    assert google.result.message in answer.json()["detail"]
    assert [row["name"] for row in rows(cast)] == ["Live app"]


def test_a_provider_that_does_not_answer_is_503_and_nothing_is_stored(
    cast, fcm, program, path, account, google
):
    google.answers(ok=False, is_unanswered=True, message="Could not reach Google.")
    before = rows(cast)
    for answer in (
        program.post(path, service_account=account(project_id="other-app")),
        program.post(path, service_account=account()),
        program.patch(path, service_account=account(), name="New"),
        program.post(f"{path}/test", token=OK),
    ):
        assert refused(answer) == (503, "provider_unreachable")
        assert answer.headers["Retry-After"]
        assert answer.json()["detail"] == "Could not reach Google."
    assert rows(cast) == before


def test_google_that_cannot_be_reached_is_told_from_google_that_refuses(account, monkeypatch):
    def away(self):
        raise ProviderUnreachable("nobody answered")

    monkeypatch.setattr(FcmAccount, "mint", away)
    real = FcmAccount.parse(json.dumps(account()), sandbox_url=None)
    assert sdk.check(real).is_unanswered is True


def test_the_key_file_of_the_sandbox_connects_the_sandbox(cast, program, path, sandbox):
    answer = program.post(path, service_account=sandbox.key_file("api-project-1"))
    assert answer.status_code == 201, answer.content
    told = answer.json()
    assert (told["is_sandbox"], told["project_id"], told["check_ok"]) == (
        True,
        "api-project-1",
        True,
    )


def test_a_request_that_is_sent_again_is_carried_out_once(cast, program, path, account, google):
    body = {"service_account": account()}
    first = program.ask("POST", path, body, **{"Idempotency-Key": "one"})
    again = program.ask("POST", path, body, **{"Idempotency-Key": "one"})
    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
    assert len(google) == 1


# --- secrets --------------------------------------------------------------------------------------
def test_the_key_is_in_no_answer_no_log_and_no_trail(
    cast, program, path, account, google, private_key, caplog
):
    lines = [line for line in private_key.splitlines() if not line.startswith("-----")]
    said = []
    for changes in ({}, {"project_id": None}, {"client_email": "nobody"}, {"token_uri": "x"}):
        sent = account(**changes)
        for answer in (
            program.post(path, service_account=sent),
            program.post(path, service_account=sent, nonsense=1),
            program.post(path, service_account=json.dumps(sent)[:-1]),
            program.patch(path, service_account=sent),
            program.get(path),
        ):
            said.append(answer.content.decode())
    with every_workspace():
        said += [f"{entry.detail} {entry.changes}" for entry in AuditEntry.objects.all()]
    said += [repr(row) for row in AnsweredRequest.objects.values()]
    said.append(caplog.text)
    with database.cursor() as cursor, every_workspace():
        cursor.execute("SELECT sealed FROM tenants_connection")
        said += [row[0] for row in cursor.fetchall()]
    assert len(said) > 20
    for text in said:
        assert not [line for line in lines if line in text]
        assert "0123456789abcdef" not in text, "the key's id is shown in part"


# --- reading and changing -------------------------------------------------------------------------
def test_without_a_connection_there_is_none(program, path):
    for answer in (
        program.get(path),
        program.patch(path, name="x"),
        program.post(f"{path}/test"),
    ):
        assert refused(answer) == (404, "connection_not_found")


def test_the_one_in_use_is_told_else_the_newest(cast, program, path, fcm, account, google):
    program.post(path, service_account=account(project_id="other-app"))
    assert program.get(path).json()["project_id"] == "other-app"
    with scope(cast.workspace):
        connections.put_in_use(Connection.objects.get(name="Live app"), by=None)
    assert program.get(path).json()["name"] == "Live app"
    off = program.patch(path, in_use=False)
    assert (off.status_code, off.json()["state"]) == (200, "off")
    assert program.get(path).json()["project_id"] == "other-app", "the newest"


def test_credentials_that_cannot_be_read_are_told(cast, program, path, fcm):
    with scope(cast.workspace):
        Connection.objects.update(sealed="damaged")
    told = program.get(path).json()
    assert (told["key_id"], bool(told["problem"])) == ("", True)
    answer = program.post(f"{path}/test")
    assert (answer.status_code, answer.json()["credentials"]["ok"]) == (200, False)
    assert program.patch(path, in_use=False).status_code == 200
    assert refused(program.patch(path, in_use=True)) == (409, "connection_unusable")


@pytest.mark.parametrize("slash", ["", "/"])
def test_only_what_is_sent_is_changed(cast, program, path, fcm, account, google, slash):
    answer = program.patch(path + slash, name="Renamed")
    told = answer.json()
    assert (told["name"], told["per_second"], told["project_id"]) == (
        "Renamed",
        500,
        "biddano-app",
    )
    told = program.patch(path + slash, per_second=7, service_account=account(project_id="b-app"))
    assert (told.json()["name"], told.json()["per_second"], told.json()["project_id"]) == (
        "Renamed",
        7,
        "b-app",
    )
    assert google == ["b-app"], "a name needs no test"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"project_id": "another-app"}, "project_id"),
        ({"server_key": "x"}, "server_key"),
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"per_second": None}, "per_second"),
        ({"in_use": None}, "in_use"),
        ({"service_account": None}, "service_account"),
        ({"project_id": None}, "project_id"),
        ({"per_second": -1, "service_account": "{}"}, "service_account"),
    ],
)
def test_a_change_with_bad_input_changes_nothing(cast, program, path, fcm, body, field):
    before = rows(cast)
    assert field_of(program.patch(path, **body)) == field
    assert rows(cast) == before


def test_refused_credentials_change_nothing(cast, program, path, fcm, account, google):
    google.answers(ok=False)
    before = rows(cast)
    answer = program.patch(path, name="New", service_account=account(project_id="b-app"))
    assert (field_of(answer), rows(cast)) == ("service_account", before)


def test_of_two_editors_the_second_is_told(cast, program, path, fcm, google, account):
    tag = program.get(path).headers["ETag"]
    first = program.ask("PATCH", path, {"name": "Mine"}, **{"If-Match": tag})
    second = program.ask("PATCH", path, {"name": "Yours"}, **{"If-Match": tag})
    assert (first.status_code, refused(second)) == (200, (412, "changed_meanwhile"))
    assert second.json()["current"]["name"] == "Mine"
    assert second.headers["ETag"] == first.headers["ETag"]
    stale = program.ask("PATCH", path, {"service_account": account()}, **{"If-Match": tag})
    assert (stale.status_code, google) == (412, []), "the provider is not even asked"


def test_who_changes_it_while_the_provider_is_asked_is_not_overwritten(
    cast, program, path, fcm, account, google, monkeypatch
):
    def somebody_else_acts(asked):
        with scope(cast.workspace):
            connections.change_fields(Connection.objects.get(), {"name": "Theirs"}, by=None)
        return CheckResult(True, "Connected to Google.")

    monkeypatch.setattr(sdk, "check", somebody_else_acts)
    tag = program.get(path).headers["ETag"]
    change = {"service_account": account(project_id="b-app")}
    assert program.ask("PATCH", path, change, **{"If-Match": tag}).status_code == 412
    assert refused(program.patch(path, **change)) == (409, "conflict")
    assert [row["settings"]["project_id"] for row in rows(cast)] == ["biddano-app"]


def test_no_lock_is_held_while_the_provider_is_asked(program, path, fcm, account, google):
    """`google` compares the depth of transactions each time."""
    assert program.post(path, service_account=account()).status_code == 200
    assert program.patch(path, service_account=account()).status_code == 200
    assert program.post(f"{path}/test").status_code == 200
    assert len(google) == 3


# --- testing --------------------------------------------------------------------------------------
@pytest.mark.parametrize("slash", ["", "/"])
def test_a_test_asks_for_the_credentials_alone(cast, program, path, connected, slash):
    path = f"/workspaces/{cast.workspace.slug}/firebase"
    answer = program.post(f"{path}/test{slash}")
    assert answer.status_code == 200, answer.content
    told = answer.json()
    assert (told["credentials"]["ok"], told["results"], told["left_out"]) == (True, [], 0)
    assert connected.settings["project_id"] in told["credentials"]["message"]


@pytest.fixture
def testing(cast, connected, program):
    """A function that posts to the connection's test."""
    return lambda **body: program.post(f"/workspaces/{cast.workspace.pk}/firebase/test", **body)


def test_a_token_gets_a_real_notification(cast, connected, testing, sandbox):
    told = testing(token=OK, title="Hi", body="It works").json()
    (result,) = told["results"]
    assert (result["result"], result["code"], bool(result["provider_id"])) == (
        "accepted",
        "ACCEPTED",
        True,
    )
    account = account_of(connected)
    (arrived,) = sandbox.log(account.mint().value, account.project_id)["messages"]
    assert arrived["token"] == OK
    assert arrived["message"]["notification"] == {"title": "Hi", "body": "It works"}
    assert arrived["message"]["data"]["pp_test"] == "1"


def test_a_contact_gets_it_on_their_devices(cast, connected, testing):
    (asha,) = add_people(cast.workspace, 1)
    (result,) = testing(contact=asha.external_id).json()["results"]
    assert (result["contact"], result["result"]) == (asha.external_id, "accepted")


def test_what_the_provider_refuses_is_an_answer_and_not_an_error(connected, testing):
    answer = testing(token="sbx_unregistered_1")
    (result,) = answer.json()["results"]
    assert (answer.status_code, result["result"], result["code"]) == (
        200,
        "refused",
        "UNREGISTERED",
    )
    assert result["message"]
    assert result["provider_message"]


def test_who_has_nothing_to_receive_it_on_is_409_with_the_reason(cast, connected, testing):
    (asha,) = add_people(cast.workspace, 1)
    with scope(cast.workspace):
        asha.endpoints.all().delete()
    answer = testing(contact=asha.external_id)
    assert refused(answer) == (409, "not_sent")
    assert [one["code"] for one in answer.json()["results"]] == ["no_endpoint"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"contact": "nobody"}, "contact"),
        ({"token": "two words"}, "token"),
        ({"token": ""}, "token"),
        ({"channel": "pigeon"}, "channel"),
        ({"title": "x" * 201}, "title"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_a_test_with_bad_input_names_its_field(connected, testing, body, field):
    assert field_of(testing(**body)) == field


def test_too_many_tests_have_to_wait(connected, testing, monkeypatch):
    monkeypatch.setattr(trial, "PER_MINUTE", 1)
    assert testing(token=OK).status_code == 200
    answer = testing(token=OK)
    assert refused(answer) == (429, "too_many_requests")
    assert int(answer.headers["Retry-After"]) <= 60


# --- who may --------------------------------------------------------------------------------------
def calls(path):
    return [
        ("GET", path),
        ("POST", path),
        ("PATCH", path),
        ("POST", f"{path}/test"),
    ]


def test_it_takes_the_right_or_the_scope(cast, path, fcm, google):
    others = [scope for scope in keys.SCOPES if scope != keys.CONNECTIONS_MANAGE]
    narrow = App(f"Bearer {key_of(cast.workspace, by=cast.owner, scopes=others)}")
    member, outsider = app_of(cast.member), app_of(cast.outsider)
    foreign = App(
        "Bearer "
        + key_of(cast.other_workspace, by=cast.other_owner, scopes=[keys.CONNECTIONS_MANAGE])
    )
    for method, address in calls(path):
        body = None if method == "GET" else {}
        assert refused(narrow.ask(method, address, body)) == (403, "scope_missing")
        assert refused(member.ask(method, address, body)) == (403, "forbidden")
        assert refused(outsider.ask(method, address, body))[0] == 404
        assert refused(foreign.ask(method, address, body))[0] == 404
        assert App().ask(method, address, body).status_code == 401
    assert google == []
