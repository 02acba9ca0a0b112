"""Workspaces, members and invitations by API: who may, whose rows, and what the rules refuse."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.utils import timezone

from tenants import keys
from tenants.api.tokens import TokenStrategy
from tenants.models import ApiKey, Connection, User, Workspace
from tenants.roles import Role
from tenants.scope import scope
from tenants.secrets import digest_of
from tenants.workspaces import add_member, ask_deletion, change_member, create_workspace
from tests.campaigns.console import give_run, written
from tests.tenants.api.app import App, key_of, refused
from tests.tenants.api.calls import PEOPLE, audited, invited, membership, state


# --- in which workspace ---------------------------------------------------------------------------
def test_the_only_workspace_needs_no_header(cast, apps):
    told = apps["member"].get("/workspace").json()
    assert (told["id"], told["slug"], told["role"]) == (cast.workspace.pk, "biddano-tech", "member")
    assert told["time_zone"] == "Asia/Kolkata"


def test_of_several_the_header_says_which_by_id_or_slug(cast, apps):
    second = create_workspace("Second", owner=cast.owner)
    answer = apps["owner"].get("/workspace")
    assert refused(answer) == (400, "workspace_missing")
    assert "X-Workspace-ID" in answer.json()["detail"]
    for name in (str(second.pk), "second"):
        assert (
            apps["owner"].get("/workspace", **{"X-Workspace-ID": name}).json()["slug"] == "second"
        )


def test_somebody_without_a_workspace_is_told_so(ashas):
    answer = ashas.get("/workspace")
    assert refused(answer) == (400, "workspace_missing")
    assert "in no workspace" in answer.json()["detail"]


def test_an_id_counts_before_a_slug_that_looks_like_one(cast, apps):
    create_workspace(str(cast.workspace.pk), owner=cast.owner)
    header = {"X-Workspace-ID": str(cast.workspace.pk)}
    assert apps["owner"].get("/workspace", **header).json()["slug"] == "biddano-tech"


NAMES = [
    "nowhere",
    "../biddano-tech",
    "9" * 18,
    "9" * 40,
    "-1",
    "1.0",
    "\xe9",
    "%00",
    "biddano-tech'--",
    "a" * 99,
]


@pytest.mark.parametrize("name", NAMES)
def test_the_header_of_a_workspace_that_is_not_there_is_404(cast, apps, name):
    assert refused(apps["member"].get("/workspace", **{"X-Workspace-ID": name})) == (
        404,
        "workspace_not_found",
    )


def test_the_header_of_somebody_elses_workspace_is_the_same_404(cast, apps):
    for name in (str(cast.workspace.pk), cast.workspace.slug):
        there, nowhere = (
            apps["outsider"].get("/workspace", **{"X-Workspace-ID": one})
            for one in (name, "nowhere")
        )
        assert refused(there) == (404, "workspace_not_found")
        assert there.json()["detail"].replace(name, "nowhere") == nowhere.json()["detail"]


# --- removed, closed ------------------------------------------------------------------------------
def every_call(
    workspace: Workspace, member: int, invitation: int
) -> list[tuple[str, str, dict | None]]:
    """Every call about one workspace, with a body that would do."""
    base = f"/workspaces/{workspace.slug}"
    return [
        ("GET", base, None),
        ("PATCH", base, {"name": "Taken over"}),
        ("GET", f"{base}/members", None),
        ("PATCH", f"{base}/members/{member}", {"role": "viewer"}),
        ("DELETE", f"{base}/members/{member}", None),
        ("GET", f"{base}/invitations", None),
        ("POST", f"{base}/invitations", {"email": "mallory@example.com"}),
        ("POST", f"{base}/invitations/{invitation}/resend", None),
        ("DELETE", f"{base}/invitations/{invitation}", None),
    ]


PAGE = {"next": None, "previous": None}


@pytest.fixture
def calls(cast) -> list[tuple[str, str, dict | None]]:
    return every_call(cast.workspace, membership(cast.workspace, cast.viewer).pk, invited(cast).pk)


def test_the_token_of_a_removed_member_opens_the_workspace_no_more(cast, apps, calls):
    with scope(cast.workspace):
        change_member(membership(cast.workspace, cast.admin), "", by=cast.owner)
    before = state()
    for call in calls:
        assert refused(apps["admin"].ask(*call)) == (404, "workspace_not_found")
    assert apps["admin"].get("/workspaces").json() == {**PAGE, "count": 0, "results": []}
    assert (
        refused(apps["admin"].get("/workspace", **{"X-Workspace-ID": cast.workspace.slug}))[0]
        == 404
    )
    assert state() == before


def test_an_outsider_gets_404_for_all_of_it(cast, apps, calls):
    before = state()
    for call in calls:
        assert refused(apps["outsider"].ask(*call)) == (404, "workspace_not_found")
    assert state() == before


def test_a_closed_workspace_is_closed_to_its_owner_too(cast, apps, calls):
    with scope(cast.workspace):
        ask_deletion(cast.workspace, by=cast.owner, now=timezone.now())
    before = state()
    for call in calls:
        assert refused(apps["owner"].ask(*call)) == (404, "workspace_not_found")
    assert apps["owner"].get("/workspaces").json()["count"] == 0
    assert state() == before


def test_an_operator_who_is_no_member_gets_404(cast, calls):
    root = User.objects.create_superuser("root@push.test", "correct horse")
    app = App().sign_in(root.email, "correct horse")
    for call in calls:
        assert refused(app.ask(*call)) == (404, "workspace_not_found")


@pytest.mark.parametrize("name", PEOPLE)
def test_each_role_may_what_it_may_in_the_console(cast, apps, calls, name):
    answers = [apps[name].ask(*call).status_code for call in calls]
    if name in ("owner", "admin"):
        assert answers == [200, 200, 200, 200, 204, 200, 201, 200, 204]
    else:
        assert answers == [200, 403, 200, 403, 403, 403, 403, 403, 403]


def test_a_refusal_names_what_the_role_lacks(cast, apps):
    answer = apps["viewer"].patch("/workspaces/biddano-tech", name="x")
    assert refused(answer) == (403, "forbidden")
    assert "invite, change and remove members" in answer.json()["detail"]


def test_rows_of_another_workspace_are_404(cast, apps):
    theirs = every_call(
        cast.workspace,
        membership(cast.other_workspace, cast.other_owner).pk,
        invited(cast, workspace=cast.other_workspace).pk,
    )
    before = state()
    for method, path, body in theirs:
        if "members/" in path or "invitations/" in path:
            assert apps["owner"].ask(method, path, body).json()["code"].endswith("_not_found")
    assert state() == before


@pytest.mark.parametrize("pk", ["0", "999999", "9" * 19, "9" * 40])
def test_an_id_that_nobody_has_is_404(cast, apps, pk):
    for method, kind, last in (
        ("DELETE", "members", ""),
        ("DELETE", "invitations", ""),
        ("POST", "invitations", "/resend"),
    ):
        answer = apps["owner"].ask(method, f"/workspaces/biddano-tech/{kind}/{pk}{last}")
        assert answer.json()["code"] == f"{kind.removesuffix('s')}_not_found"


# --- workspaces -----------------------------------------------------------------------------------
def test_whoever_is_signed_in_may_found_a_workspace(ashas, asha):
    answer = ashas.post(
        "/workspaces", name=" FreshCart ", time_zone="Asia/Kolkata", default_language="PT_br"
    )
    told = answer.json()
    assert answer.status_code == 201
    assert (told["name"], told["slug"], told["role"], told["plan"]) == (
        "FreshCart",
        "freshcart",
        "owner",
        "free",
    )
    assert (told["time_zone"], told["default_language"]) == ("Asia/Kolkata", "pt-BR")
    assert Workspace.objects.get().owner == asha
    assert ashas.get("/workspaces").json() == {**PAGE, "count": 1, "results": [told]}
    entry = audited("workspace created")
    assert (entry.actor, entry.via) == (asha, "api")


def test_a_new_workspace_starts_with_a_sandbox(ashas, sandbox):
    ashas.post("/workspaces", name="FreshCart")
    with scope(Workspace.objects.get()):
        assert Connection.objects.get(is_active=True).provider == "fcm_sandbox"


def test_a_workspace_is_created_while_no_sandbox_answers(ashas, settings):
    settings.SANDBOX_URL = "http://127.0.0.1:9"
    assert ashas.post("/workspaces", name="FreshCart").status_code == 201
    assert Workspace.objects.get().name == "FreshCart"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "F"}, "name"),
        ({"name": "F" * 101}, "name"),
        ({"name": "Fresh\0"}, "name"),
        ({"name": "FreshCart", "time_zone": "Asia/Nowhere"}, "time_zone"),
        ({"name": "FreshCart", "default_language": ""}, "default_language"),
        ({"name": "FreshCart", "default_language": "klingon!!"}, "default_language"),
        ({"name": "Fresh\x1b[31mCart"}, "name"),
        ({"name": "Fresh\nCart"}, "name"),
        ({"name": "Fresh\u202etraC"}, "name"),
        ({"name": "FreshCart", "plan": "enterprise"}, "plan"),
        ({"name": "FreshCart", "owner_id": 1}, "owner_id"),
        ({"name": "FreshCart", "slug": "freshcart"}, "slug"),
    ],
)
def test_a_workspace_with_a_wrong_field_is_not_created(ashas, body, field):
    answer = ashas.ask("POST", "/workspaces", body)
    assert refused(answer) == (422, "invalid")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert not Workspace.objects.exists()


def test_the_list_is_by_name_and_comes_in_pages(ashas, asha):
    for name in ("Beta", "Alpha", "Gamma"):
        create_workspace(name, owner=asha)
    told = ashas.get("/workspaces?page_size=2&page=2").json()
    assert ([one["name"] for one in told["results"]], told["count"]) == (["Gamma"], 3)
    told = ashas.get("/workspaces?ordering=-name&page_size=2").json()
    assert [one["name"] for one in told["results"]] == ["Gamma", "Beta"]


def test_only_what_is_sent_is_changed_and_audited(cast, apps):
    told = (
        apps["admin"]
        .patch("/workspaces/biddano-tech", name="Biddano", slug="biddano", brand_colour="#155dfc")
        .json()
    )
    assert (told["name"], told["slug"], told["brand_colour"]) == ("Biddano", "biddano", "#155dfc")
    assert told["time_zone"] == "Asia/Kolkata"
    entry = audited("workspace changed")
    assert (entry.actor, entry.via) == (cast.admin, "api")
    assert entry.changes == {
        "name": ["Biddano Tech", "Biddano"], "slug": ["biddano-tech", "biddano"], "brand_colour": ["", "#155dfc"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "hour"), [({}, 3), ({"planned_sends": "keep"}, 3), ({"planned_sends": "move"}, 14)]
)
def test_a_new_time_zone_keeps_planned_sends_unless_they_are_to_move(cast, apps, given, hour):
    start = datetime(2031, 12, 1, 3, 30, tzinfo=UTC)
    run = give_run(
        cast,
        written(cast, schedule_type="scheduled", scheduled_at=start),
        "planned",
        intended_at=start,
    )
    told = apps["admin"].patch("/workspaces/biddano-tech", time_zone="America/New_York", **given)
    assert told.json()["time_zone"] == "America/New_York"
    with scope(cast.workspace):
        run.refresh_from_db()
    assert (run.intended_at.hour, run.intended_at.minute) == (hour, 30 if hour == 3 else 0)
    answer = apps["admin"].patch(
        "/workspaces/biddano-tech", time_zone="UTC", planned_sends="perhaps"
    )
    assert [error["field"] for error in answer.json()["errors"]] == ["planned_sends"]


def test_changing_nothing_is_not_audited(cast, apps):
    before = state()
    assert apps["admin"].patch("/workspaces/biddano-tech", name="Biddano Tech").status_code == 200
    assert apps["admin"].patch("/workspaces/biddano-tech").status_code == 200
    assert state() == before


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"slug": "elsewhere"}, "slug"),
        ({"slug": "a b"}, "slug"),
        ({"slug": ""}, "slug"),
        ({"name": " "}, "name"),
        ({"name": None}, "name"),
        ({"time_zone": ""}, "time_zone"),
        ({"brand_colour": "blue"}, "brand_colour"),
        ({"default_language": "klingon!! <b>"}, "default_language"),
        ({"name": "Fresh\u2066Cart"}, "name"),
        ({"plan": "enterprise"}, "plan"),
        ({"deletion_due_at": None}, "deletion_due_at"),
    ],
)
def test_a_wrong_change_names_its_field_and_nothing_is_written(cast, apps, body, field):
    before = state()
    answer = apps["owner"].patch("/workspaces/biddano-tech", **{"default_language": "hi", **body})
    assert refused(answer) == (422, "invalid")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert state() == before


# --- members --------------------------------------------------------------------------------------
def test_members_are_listed_by_name(cast, apps):
    told = apps["viewer"].get("/workspaces/biddano-tech/members").json()
    assert [one["role"] for one in told["results"]] == ["admin", "member", "owner", "viewer"]
    assert told["results"][0]["user"] == {
        "id": cast.admin.pk, "email": "admin@biddano.test", "full_name": "Admin Rao", "auth_provider": "email",
    }  # fmt: skip
    owners = apps["viewer"].get("/workspaces/biddano-tech/members?role=owner&page_size=1").json()
    assert ([one["role"] for one in owners["results"]], owners["count"]) == (["owner"], 1)
    assert apps["viewer"].get("/workspaces/biddano-tech/members?role=king").status_code == 422


def test_a_role_is_changed_and_audited(cast, apps):
    row = membership(cast.workspace, cast.viewer)
    told = apps["admin"].patch(f"/workspaces/biddano-tech/members/{row.pk}", role="member").json()
    assert (told["id"], told["role"]) == (row.pk, "member")
    assert audited("role changed").changes == {"role": ["viewer", "member"]}
    assert apps["viewer"].get("/workspace").json()["role"] == "member"


def test_a_removed_member_is_out_and_their_keys_end(cast, apps):
    secret = key_of(cast.workspace, by=cast.admin)
    row = membership(cast.workspace, cast.admin)
    assert apps["owner"].delete(f"/workspaces/biddano-tech/members/{row.pk}").status_code == 204
    assert refused(apps["admin"].get("/workspaces/biddano-tech")) == (404, "workspace_not_found")
    assert refused(App(f"Bearer {secret}").get("/workspace")) == (401, "unauthenticated")
    assert audited("member removed").via == "api"


@pytest.mark.parametrize(
    ("by", "whom", "role", "words"),
    [
        ("admin", "owner", "member", "Only an owner can change or remove an owner"),
        ("admin", "owner", None, "Only an owner can change or remove an owner"),
        ("admin", "viewer", "owner", "Only an owner can make somebody an owner"),
        ("admin", "admin", "owner", "You cannot change your own role"),
        ("owner", "owner", "admin", "You cannot change your own role"),
        ("owner", "owner", None, "You cannot change your own role"),
    ],
)
def test_the_rules_about_owners_hold_here_too(cast, apps, by, whom, role, words):
    path = f"/workspaces/biddano-tech/members/{membership(cast.workspace, getattr(cast, whom)).pk}"
    before = state()
    answer = apps[by].patch(path, role=role) if role else apps[by].delete(path)
    assert refused(answer) == (409, "refused")
    assert words in answer.json()["detail"]
    assert state() == before


# --- API keys -------------------------------------------------------------------------------------
def test_a_secret_key_reads_its_workspace(cast):
    app = App(f"Bearer {key_of(cast.workspace)}")
    told = app.get("/workspace").json()
    assert (told["slug"], told["role"]) == ("biddano-tech", None)
    assert app.get("/workspaces").json() == {**PAGE, "count": 1, "results": [told]}
    assert app.get("/workspaces/biddano-tech").json() == told
    assert app.get("/workspaces/biddano-tech/members").json()["count"] == 4
    assert app.get("/workspace", **{"X-Workspace-ID": "biddano-tech"}).json() == told


def test_a_secret_key_reads_no_other_workspace(cast):
    app = App(f"Bearer {key_of(cast.workspace)}")
    assert refused(app.get("/workspaces/elsewhere")) == (404, "workspace_not_found")
    assert refused(app.get("/workspace", **{"X-Workspace-ID": "elsewhere"})) == (
        404,
        "workspace_not_found",
    )


def test_a_secret_key_changes_nothing(cast, calls):
    app = App(f"Bearer {key_of(cast.workspace)}")
    before = state()
    writes = [call for call in calls if call[0] != "GET" or call[1].endswith("invitations")]
    for call in [
        *writes,
        ("POST", "/workspaces", {"name": "More"}),
        ("POST", "/auth/logout", None),
    ]:
        assert refused(app.ask(*call)) == (403, "person_needed")
    assert state() == before


def test_keys_that_may_not_read_it_are_refused(cast):
    write = key_of(cast.workspace, kind="write", scopes=[])
    events_only = key_of(cast.workspace, scopes=[keys.EVENTS_WRITE])
    for secret in (write, events_only):
        assert refused(App(f"Bearer {secret}").get("/workspace")) == (403, "scope_missing")


def test_a_key_that_ended_is_refused_at_once(cast):
    secret = key_of(cast.workspace)
    app = App(f"Bearer {secret}")
    assert app.get("/workspace").status_code == 200
    with scope(cast.workspace):
        keys.revoke(ApiKey.objects.filter(digest=digest_of(secret)), by=cast.owner)
    assert refused(app.get("/workspace")) == (401, "unauthenticated")


def test_the_key_of_a_closed_workspace_is_refused(cast):
    app = App(f"Bearer {key_of(cast.workspace)}")
    with scope(cast.workspace):
        ask_deletion(cast.workspace, by=cast.owner, now=timezone.now())
    assert refused(app.get("/workspace")) == (401, "unauthenticated")


def test_a_person_who_is_in_two_workspaces_sees_each_with_its_role(cast, apps):
    add_member(cast.other_workspace, cast.viewer, Role.ADMIN)
    told = apps["viewer"].get("/workspaces").json()
    assert [(one["slug"], one["role"]) for one in told["results"]] == [
        ("biddano-tech", "viewer"),
        ("elsewhere", "admin"),
    ]
    mine = apps["viewer"].get("/workspaces/elsewhere/members").json()
    assert mine["count"] == 2


def test_the_strategy_reads_no_session_from_the_request(rf):
    assert TokenStrategy().get_session_token(rf.get("/", headers={"X-Session-Token": "x"})) is None
