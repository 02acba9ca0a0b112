"""Idempotency-Key: carried out once, answered as often as it is sent."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from tenants import workspaces
from tenants.api import idempotency
from tenants.models import AnsweredRequest, Workspace
from tenants.roles import Role
from tenants.scope import scope
from tenants.workspaces import change_member
from tests.tenants.api.app import App, refused
from tests.tenants.api.calls import app_of, membership
from tests.tenants.identity.people import account

NEW = {"name": "FreshCart"}


def create(app: App, key: str = "k1", **body):
    return app.ask("POST", "/workspaces", body or NEW, **{"Idempotency-Key": key})


def invite(app: App, workspace: str = "biddano-tech", email: str = "new@biddano.test"):
    path = f"/workspaces/{workspace}/invitations"
    return app.ask("POST", path, {"email": email}, **{"Idempotency-Key": "k1"})


def is_replayed(answer) -> bool:
    return answer.headers.get("Idempotent-Replayed") == "true"


def test_the_same_request_is_carried_out_once_and_answered_again(ashas):
    first, second = create(ashas), create(ashas)
    assert (first.status_code, is_replayed(first)) == (201, False)
    assert (second.status_code, is_replayed(second)) == (201, True)
    assert second.json() == first.json()
    assert Workspace.objects.count() == 1


def test_without_a_key_it_is_carried_out_each_time(ashas):
    for _ in range(2):
        assert ashas.post("/workspaces", **NEW).status_code == 201
    assert Workspace.objects.count() == 2


def test_another_request_under_the_same_key_is_refused(ashas):
    create(ashas)
    assert refused(create(ashas, name="Another")) == (422, "idempotency_key_reused")
    assert Workspace.objects.count() == 1


def test_a_key_belongs_to_its_caller_and_its_workspace(ashas, db):
    create(ashas)
    other = App().sign_in(account("ravi@example.com").email)
    assert not is_replayed(create(other))
    create(ashas, "k2", name="Second")
    answers = [invite(ashas, slug) for slug in ("freshcart", "second")]
    assert [(answer.status_code, is_replayed(answer)) for answer in answers] == [(201, False)] * 2


def test_a_refused_request_may_be_corrected_under_its_key(ashas):
    assert create(ashas, name="").status_code == 422
    assert create(ashas).status_code == 201


def test_while_the_first_is_under_way_the_second_is_told_to_wait(ashas):
    create(ashas)
    AnsweredRequest.objects.update(status=None)
    answer = create(ashas)
    assert refused(answer) == (409, "in_progress")
    assert answer.headers["Retry-After"] == "1"


def test_a_request_whose_server_died_is_not_carried_out_again(ashas):
    create(ashas)
    long_ago = timezone.now() - timedelta(minutes=6)
    AnsweredRequest.objects.update(status=None, claimed_at=long_ago)
    assert refused(create(ashas)) == (409, "outcome_unknown")
    assert Workspace.objects.count() == 1


def test_a_fault_of_ours_keeps_its_key_and_an_unreachable_database_frees_it(ashas, monkeypatch):
    def fails(error: Exception):
        def create_for(*args, **fields):
            raise error

        monkeypatch.setattr(workspaces, "create_workspace_for", create_for)

    fails(OperationalError("database is locked"))
    assert create(ashas).status_code == 503
    assert not AnsweredRequest.objects.exists()
    fails(ValueError("a fault"))
    assert create(ashas).status_code == 500
    monkeypatch.undo()
    again = create(ashas)
    assert (again.status_code, is_replayed(again)) == (500, True)


def test_an_answer_that_cannot_be_kept_is_given_all_the_same(ashas, monkeypatch):
    def fails(*args, **fields):
        raise OperationalError("database is locked")

    monkeypatch.setattr(AnsweredRequest, "save", fails)
    # get_or_create saves too, so the claim is there already
    monkeypatch.setattr(idempotency, "_claim", lambda *args: AnsweredRequest())
    assert create(ashas).status_code == 201
    assert Workspace.objects.count() == 1


def test_whoever_lost_the_right_gets_no_answer_again(cast):
    app = app_of(cast.admin)
    assert invite(app).status_code == 201
    with scope(cast.workspace):
        change_member(membership(cast.workspace, cast.admin), Role.VIEWER, by=cast.owner)
    assert refused(invite(app))[0] == 403
    with scope(cast.workspace):
        change_member(membership(cast.workspace, cast.admin), "", by=cast.owner)
    assert refused(invite(app)) == (404, "workspace_not_found")


@pytest.mark.parametrize("key", ["", "a" * 256, "two words", "naïve"])
def test_a_key_that_is_none_is_refused(ashas, key):
    answer = create(ashas, key)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"


def test_an_answer_is_kept_encrypted_for_a_day(cast):
    link = invite(app_of(cast.owner)).json()["link"]
    kept = AnsweredRequest.objects.get()
    assert link not in kept.answer
    now = timezone.now()
    idempotency.forget_answers(now + timedelta(hours=23))
    assert AnsweredRequest.objects.exists()
    idempotency.forget_answers(now + timedelta(hours=25))
    assert not AnsweredRequest.objects.exists()


def test_an_answer_that_no_key_decrypts_is_not_made_up(ashas, settings):
    create(ashas)
    settings.ENCRYPTION_KEYS = ["another"]
    assert refused(create(ashas)) == (409, "outcome_unknown")


@pytest.mark.skipif(
    connection.vendor == "sqlite", reason="its threads share one connection's tables in memory"
)
@pytest.mark.django_db(transaction=True)
def test_a_hundred_at_once_make_one_workspace():
    app = App().sign_in(account().email)

    def send(number: int) -> int:
        try:
            return create(App(app.authorization)).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as pool:
        statuses = set(pool.map(send, range(100)))
    assert statuses <= {201, 409}
    assert create(app).status_code == 201
    assert Workspace.objects.count() == 1
