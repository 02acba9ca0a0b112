"""The platform as a whole: what third parties bring is safe, shows no secret and changes
nothing; its home page."""

from __future__ import annotations

import os
import pickle
import secrets
from base64 import b64encode
from collections.abc import Iterator
from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.admin import SocialTokenAdmin
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.models import UserSession
from django.contrib.admin import site as third_party_site
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.db import connection
from django.test import Client, RequestFactory
from django.utils import timezone
from django_q.models import Failure, OrmQ, Schedule, Success, Task
from django_q.signing import SignedPackage

from campaigns.models import Run
from delivery.models import Heartbeat, Shard
from pushpilot import operations, schedules
from pushpilot.lib import wake
from pushpilot.lib.health import Status
from pushpilot.lib.pickles import read_plain
from pushpilot.sites import platform as site
from pushpilot.sites import third_party_page
from tenants import operators
from tenants.admin.platform.site import WITHOUT_PAGE
from tenants.models import User, Workspace
from tenants.scope import scope
from tests.house.rows import rows_of
from tests.pages import signed_in_now

NOW = timezone.now()


@pytest.fixture
def operator(db) -> User:
    cache.clear()
    return User.objects.create_superuser(
        "root@push.test", secrets.token_urlsafe(24), full_name="Root Rao"
    )


@pytest.fixture
def client(operator: User) -> Client:
    client = Client()
    signed_in_now(client, operator)
    return client


def text(client: Client, path: str = "") -> str:
    response = client.get(f"/platform/{path}")
    assert response.status_code == 200, (path, response.status_code)
    return response.content.decode()


def task(success: bool, **fields: object) -> Task:
    shared = {"func": "delivery.tasks.tick", "started": NOW, "stopped": NOW, "success": success}
    return Task.objects.create(id=secrets.token_hex(16), name="t", **shared, **fields)


def boom() -> None:
    os.environ["PICKLE_RAN"] = "yes"


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[()]]:
        return boom, ()


@pytest.fixture(autouse=True)
def _no_pickle_runs() -> Iterator[None]:
    os.environ.pop("PICKLE_RAN", None)
    yield
    assert "PICKLE_RAN" not in os.environ


# --- the queue ------------------------------------------------------------------------------------
def test_a_waiting_task_is_shown_by_the_name_of_its_bell(
    client, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        wake.ring("tick", 7, "x")
    shown = text(client, "django_q/ormq/")
    for words in ("Tick", "delivery.tasks.tick", "Waiting", "just now"):
        assert words in shown
    assert "7, &#x27;x&#x27;" in text(client, f"django_q/ormq/{OrmQ.objects.get().pk}/change/")


def test_no_page_of_the_queue_runs_what_a_pickle_names(client):
    OrmQ.objects.create(
        key="pushpilot",
        payload=SignedPackage.dumps({"func": "x", "args": (Malicious(),)}),
        lock=NOW,
    )
    OrmQ.objects.create(key="pushpilot", payload="not signed by us", lock=NOW)
    rows = [*OrmQ.objects.all(), task(False), task(True)]
    raw = b64encode(pickle.dumps(Malicious())).decode()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE django_q_task SET result = %s, args = %s, kwargs = %s", [raw, raw, raw]
        )
    assert text(client, "django_q/ormq/").count("Unreadable") == 2
    for name, row in zip(("ormq", "ormq", "failure", "success"), rows, strict=True):
        text(client, f"django_q/{name}/")
        text(client, f"django_q/{name}/{row.pk}/change/")
    assert "holds more than plain values" in text(client, "django_q/failure/")


def test_a_failed_task_shows_its_cause_and_the_whole_error(client):
    error = "nothing here : Traceback (most recent call last):\n  File x, line 3\nKeyError: 'token'"
    row = task(False, result=error)
    assert "KeyError: &#x27;token&#x27;" in text(client, "django_q/failure/")
    assert "File x, line 3" in text(client, f"django_q/failure/{row.pk}/change/")
    assert "No cause was recorded." in text(client, f"django_q/failure/{task(False).pk}/change/")


def test_plain_values_are_read_and_nothing_else():
    plain = {"func": "x", "args": (1, "a", None), "started": NOW}
    assert read_plain(pickle.dumps(plain)) == plain
    for data in (
        pickle.dumps(Malicious()),
        pickle.dumps(os.system),
        pickle.dumps(eval),
        b"",
        b"\x80\x05garbage",
    ):
        with pytest.raises(ValueError):
            read_plain(data)


def test_nothing_of_the_queue_can_be_run_edited_retried_or_deleted(client):
    schedules.register()
    failed, done = task(False), task(True)
    queued = OrmQ.objects.create(key="pushpilot", payload="x", lock=NOW)
    for model, row in (
        (Schedule, Schedule.objects.first()),
        (Failure, failed),
        (Success, done),
        (OrmQ, queued),
    ):
        base = f"django_q/{model._meta.model_name}/"
        form = {"func": "os.system", "name": "x", "schedule_type": "O", "post": "yes"}
        for path in ("add/", f"{row.pk}/change/", f"{row.pk}/delete/"):
            assert client.post(f"/platform/{base}{path}", form).status_code == 403, (base, path)
        for name in ("resubmit_task", "delete_selected"):
            client.post(
                f"/platform/{base}", {"action": name, "_selected_action": [row.pk], "post": "yes"}
            )
        assert ("Resubmit" in text(client, base), "Delete" in text(client, base)) == (False, False)
    assert Schedule.objects.filter(func="os.system").count() == 0
    assert (OrmQ.objects.count(), Task.objects.count()) == (1, 2)


def test_recurring_jobs_are_shown_as_the_table_has_them(client):
    schedules.register()
    shown = text(client, "django_q/schedule/")
    for words in ("Sweep", "1 min", "Clean up", "1 day"):
        assert words in shown


def test_failures_are_kept_for_a_month(db):
    old, recent = task(False), task(False)
    Task.objects.filter(pk=old.pk).update(stopped=NOW - schedules.FAILURES_KEPT * 1.1)
    schedules.clean_up()
    assert list(Task.objects.all()) == [recent]


# --- what third parties bring ---------------------------------------------------------------------
def test_no_page_shows_a_secret(client, operator, cast):
    keep = {
        name: f"{name}-{secrets.token_hex(12)}"
        for name in ("totp", "session", "told", "token", "app")
    }
    rows_of(cast.workspace)
    EmailAddress.objects.create(user=cast.owner, email=cast.owner.email, verified=True)
    Authenticator.objects.create(user=operator, type="totp", data={"secret": keep["totp"]})
    Authenticator.objects.create(user=operator, type="recovery_codes", data={"seed": keep["totp"]})
    UserSession.objects.create(
        user=operator, ip="127.0.0.1", session_key=keep["session"][:40], user_agent="x"
    )
    app = SocialApp.objects.create(provider="google", name="g", client_id="c", secret=keep["app"])
    account = SocialAccount.objects.create(
        user=operator, provider="google", uid="7", extra_data={"x": keep["told"]}
    )
    SocialToken.objects.create(app=app, account=account, token=keep["token"])
    operators.record(operator, "made operator", cast.admin)
    task(True)
    hashes = [user.password for user in User.objects.all()]
    visited = 0
    for model in site._registry:
        base = f"{model._meta.app_label}/{model._meta.model_name}/"
        pages = [base, *(f"{base}{row.pk}/change/" for row in model._default_manager.all()[:3])]
        for path in pages:
            shown = text(client, path)
            visited += 1
            for secret in (*(value[:40] for value in keep.values()), *hashes):
                assert secret not in shown, (path, secret)
    assert visited > 20


def test_pages_that_would_grant_or_show_too_much_do_not_exist(client):
    assert set(WITHOUT_PAGE) == {Group, SocialApp, SocialToken}
    for path in (
        "auth/group/",
        "socialaccount/socialapp/",
        "socialaccount/socialtoken/",
        "sites/site/",
    ):
        assert client.get(f"/platform/{path}").status_code == 404
    user = f"/platform/tenants/user/{User.objects.get().pk}"
    for path in ("permissions", "password", "history"):
        assert client.get(f"{user}/{path}/", follow=True).status_code == 404
    assert not [model for model in site._registry if model._meta.app_label == "guardian"]


def test_every_page_of_a_third_party_is_here_or_left_out_with_a_reason(db):
    assert {model for model in third_party_site._registry if not site.is_registered(model)} == set(
        WITHOUT_PAGE
    )


def test_a_third_party_page_that_nobody_has_read_shows_no_secret_and_changes_nothing(operator):
    page = third_party_page(SocialTokenAdmin)(SocialToken, site)
    request = RequestFactory().get("/")
    request.user = operator
    assert list(page.get_list_display(request)) == ["app", "account", "expires_at"]
    assert page.get_fields(request) == ["id", "app", "account", "expires_at"]
    assert set(page.get_readonly_fields(request)) == set(page.get_fields(request))
    assert page.has_view_permission(request)
    rights = (page.has_add_permission, page.has_change_permission, page.has_delete_permission)
    assert not any(right(request) for right in rights)
    assert page.actions is None


def test_a_user_is_never_edited_by_a_form(client, operator, cast):
    path = f"/platform/tenants/user/{cast.member.pk}/"
    client.post(f"{path}change/", {"email": "x@y.zz", "is_superuser": "on", "password": "x"})
    assert client.post(f"{path}delete/", {"post": "yes"}).status_code == 403
    assert client.post("/platform/tenants/user/add/", {"email": "x@y.zz"}).status_code == 403
    member = User.objects.get(pk=cast.member.pk)
    assert (member.email, member.is_superuser) == (cast.member.email, False)
    assert not LogEntry.objects.exists()


# --- home -----------------------------------------------------------------------------------------
def test_home_has_the_figures_and_says_what_needs_the_operator(client, cast):
    rows_of(cast.workspace)
    shown = text(client)
    for words in (
        "Workspaces",
        "Messages today",
        "Sends under way",
        "No worker is running",
        "need you.",
    ):
        assert words in shown
    figures = {
        figure["label"]: (figure["value"], figure["note"])
        for figure in operations.figures(timezone.now())
    }
    assert figures["Workspaces"] == ("2", "1 workspace sent in the last 30 days")
    assert figures["Messages today"] == ("1", "1 in 7 days (UTC)")
    Heartbeat.objects.create(worker="web1:7", beat_at=timezone.now())
    shown = text(client)
    assert "No worker is running" not in shown
    assert "web1:7" in shown


@pytest.mark.parametrize(
    ("worries", "worst", "words"),
    [
        (0, Status.OK, "Everything works."),
        (1, Status.BROKEN, "1 thing needs you."),
        (2, Status.WARNING, "It works; 2 things need a look."),
    ],
)
def test_the_verdict_in_words(worries, worst, words):
    assert words in operations.verdict(worries, worst)[1]


def test_the_sidebar_has_every_page_and_marks_the_one_shown(client):
    shown = text(client, "tenants/user/")
    for model in site._registry:
        assert f"/platform/{model._meta.app_label}/{model._meta.model_name}/" in shown
    assert "Switch workspace" not in shown
    task(False)
    assert text(client).split("Failed tasks</span>")[1].split("</span>")[0].strip().endswith("1")


def test_the_palette_finds_pages_users_and_workspaces(client, cast):
    assert "Recurring jobs" in text(client, "search/?s=recurring&extended=1")
    shown = text(client, "search/?s=biddano&extended=1")
    workspace = Workspace.objects.get(name="Biddano Tech")
    assert f"/platform/tenants/workspace/{workspace.pk}/change/" in shown
    assert f"/platform/tenants/user/{cast.owner.pk}/change/" in shown
    assert "Biddano Tech" not in text(client, "search/?s=zzz&extended=1")


# --- workers --------------------------------------------------------------------------------------
WORKERS = "delivery/heartbeat/"


def _seen(worker: str, beat: timedelta, first: timedelta | None = None) -> None:
    now = timezone.now()
    Heartbeat.objects.create(
        worker=worker, beat_at=now - beat, started_at=now - first if first else None
    )


def test_the_page_of_workers_says_who_lives_and_who_went_silent(client):
    assert "No worker has ever run" in text(client, WORKERS)
    _seen("web1:7", timedelta(seconds=4), timedelta(hours=3))
    _seen("web2:9", timedelta(minutes=5), timedelta(minutes=65))
    page = text(client, WORKERS)
    assert "1 running" in page
    assert "1 worker is silent" in page
    assert "running for 3 h" in page
    assert "silent after running for 60 min" in page or "silent after running for 1 h" in page
    assert page.index("web1:7") < page.index("web2:9")


def test_the_page_of_workers_says_what_waits_and_for_how_long(client):
    _seen("web1:7", timedelta(seconds=4))
    assert "Workers took every task at once" in text(client, WORKERS)
    OrmQ.objects.create(key="pushpilot", payload="x", lock=timezone.now() - timedelta(minutes=3))
    OrmQ.objects.create(key="pushpilot", payload="x", lock=timezone.now() + timedelta(minutes=3))
    page = text(client, WORKERS)
    assert "The oldest has waited for 3 min" in page
    assert 'class="pf-card pf-figure" data-status="warning"' in page


def test_a_shard_that_waits_for_a_retry_is_for_later(client, cast):
    run = rows_of(cast.workspace, mark="x")[Run]
    with scope(cast.workspace):
        Shard.objects.all().delete()
        assert "No message waits" in text(client, WORKERS)
        Run.objects.filter(pk=run.pk).update(state=Run.State.RUNNING, finished_at=None)
        due = timezone.now() + timedelta(minutes=3)
        Shard.objects.create(
            workspace=cast.workspace, run=run, first_id=1, last_id=2, not_before=due
        )
    assert "1 shard waits for a retry or for its rate limit" in text(client, WORKERS)


def test_the_page_of_workers_shows_leases_without_any_text_of_a_workspace(client, cast):
    run = rows_of(cast.workspace, mark="SECRETTEXT")[Run]
    now = timezone.now()
    with scope(cast.workspace):
        Run.objects.filter(pk=run.pk).update(state=Run.State.RUNNING, finished_at=None)
        Shard.objects.all().delete()
        held = {"workspace": cast.workspace, "run": run, "state": Shard.State.LEASED}
        Shard.objects.create(
            first_id=1, last_id=2500, owner="web1:811:ab12", lease_until=now + timedelta(seconds=25),
            leased_at=now - timedelta(seconds=9), **held,
        )  # fmt: skip
        Shard.objects.create(
            first_id=2501,
            last_id=5000,
            owner="web1:812:ab12",
            lease_until=now - timedelta(seconds=70),
            attempts=2,
            **held,
        )
        waits = {"workspace": cast.workspace, "run": run, "first_id": 5001, "last_id": 7500}
        Shard.objects.create(not_before=now - timedelta(minutes=6), **waits)
    page = text(client, WORKERS)
    for words in (
        "web1:811",
        "1 – 2,500",
        "9 s ago",
        "24 s left",
        "ran out 70 s ago",
        "1 lease ran out",
    ):
        assert (
            words in page
            or words.replace("24", "25") in page
            or words.replace("70 s", "1 min") in page
        ), words
    assert page.index("web1:812") < page.index("web1:811"), "what needs a look stands first"
    assert "The oldest has waited for 6 min" in page
    assert 'pf-figure" data-status="broken"' in page
    assert "ab12" not in page
    assert "SECRETTEXT" not in page


def test_a_worker_has_no_page_of_its_own_and_nothing_to_change(client):
    _seen("web1:7", timedelta(seconds=4))
    for path in ("web1_3A7/change/", "web1:7/change/"):
        assert client.get(f"/platform/{WORKERS}{path}").status_code == 404
    for path in ("add/", "web1_3A7/delete/", "web1_3A7/history/"):
        assert client.post(f"/platform/{WORKERS}{path}", {"post": "yes"}).status_code in (403, 404)
    assert Heartbeat.objects.exists()
