"""Messages over the API: the list with its filters, and one with its attempts."""

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.utils import timezone

from campaigns.audience.reasons import Reason
from campaigns.models import Contact, Endpoint, Run
from delivery import ledger
from delivery.engine import pipeline
from delivery.models import Message, Shard
from tenants import keys
from tenants.models import Workspace
from tenants.scope import scope
from tests.delivery.direct_sends import accept
from tests.story import add_people, run_to_the_end
from tests.tenants.api.app import App, key_of, refused

LIST = "/notifications"


def reader(workspace: Workspace, *scopes: str) -> App:
    wanted = list(scopes) or [keys.NOTIFICATIONS_READ]
    return App(f"Bearer {key_of(workspace, scopes=wanted)}")


@pytest.fixture
def app(cast) -> App:
    return reader(cast.workspace)


def leaf(app: App, query: str = "", most: int = 50) -> list[list[dict]]:
    """The pages of the list, one after the other."""
    path, pages = f"{LIST}?{query}", []
    for _ in range(most):
        answer = app.get(path)
        assert answer.status_code == 200, answer.content
        page = answer.json()
        assert (page["count"], page["previous"]) == (None, None)
        pages.append(page["results"])
        if page["next"] is None:
            return pages
        path = f"{LIST}?{urlsplit(page['next']).query}"
    raise AssertionError("the list has no end")


def found(app: App, query: str = "") -> list[dict]:
    return [row for page in leaf(app, query) for row in page]


def people_of(rows: list[dict]) -> list[str]:
    return [row["external_user_id"] for row in rows]


@pytest.fixture
def sent(cast, connected, launched) -> Run:
    """A run of twelve: eight accepted, four gone."""
    fates = ["unregistered" if number % 3 == 0 else "ok" for number in range(12)]
    add_people(cast.workspace, 12, tokens=[f"sbx_{fate}_{n}" for n, fate in enumerate(fates)])
    return run_to_the_end(launched(name="Weekend"))


# --- the list -------------------------------------------------------------------------------------
@pytest.mark.parametrize("slash", ["", "/"])
def test_every_message_is_listed_once_with_its_state_and_without_its_address(app, sent, slash):
    rows = app.get(f"{LIST}{slash}").json()["results"]
    assert len({row["id"] for row in rows}) == 12
    gone, taken = rows[0], rows[1]
    assert (gone["state"], gone["reason"], gone["code"]) == (
        "failed",
        "endpoint_gone",
        "UNREGISTERED",
    )
    assert (taken["state"], taken["reason"], taken["attempt_count"]) == ("sent", "accepted", 1)
    assert taken["campaign"] == {"id": sent.campaign_id, "name": "Weekend"}
    assert (taken["run"], taken["external_user_id"], taken["revision"]) == (sent.pk, "user-1", 1)
    assert taken["address"].endswith("…sbx_ok_1")
    assert taken["reason_in_words"] == "Accepted"


def test_pages_hold_everybody_once_the_newest_send_first(cast, connected, launched, app, sent):
    second = run_to_the_end(launched(name="Second"))
    rows = found(app, "page_size=5")
    assert [row["run"] for row in rows] == [second.pk] * 12 + [sent.pk] * 12
    assert len({row["id"] for row in rows}) == 24
    assert people_of(rows[12:]) == [f"user-{number}" for number in range(12)]
    assert [len(page) for page in leaf(app, "page_size=24")] == [24]
    assert len(found(app, "state=skipped&page_size=3")) == 4


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("state=sent", 8),
        ("state=failed", 4),
        ("state=skipped", 0),
        ("state=pending", 0),
        ("reason=endpoint_gone", 4),
        ("reason=rejected", 0),
        ("state=sent&reason=rejected", 0),
        ("state=failed&reason=endpoint_gone", 4),
        ("external_user_id=user-3", 1),
        ("external_user_id=user-3%E2%80%8B", 1),  # with an invisible character
        ("external_user_id=user-3&state=sent", 0),
        ("external_user_id=nobody", 0),
        ("run=999999", 0),
        ("campaign=999999", 0),
        ("attempted_after=2020-01-01T00:00:00Z", 12),
        ("attempted_before=2020-01-01T00:00:00Z", 0),
        ("attempted_after=2099-01-01T00:00:00Z", 0),
        ("attempted_before=2099-01-01T00:00:00Z&state=failed", 4),
    ],
)
@pytest.mark.parametrize("is_small", [True, False], ids=["small", "large"])
def test_filters(app, sent, monkeypatch, query, count, is_small):
    """Of small sends in one query, of large ones by strides."""
    if not is_small:
        monkeypatch.setattr(ledger, "SMALL_RUN", 1)
        monkeypatch.setattr(ledger, "STRIDE", 2)
    rows = found(app, f"page_size=3&{query}")
    assert len({row["id"] for row in rows}) == len(rows) == count
    assert len(found(app, f"run={sent.pk}&{query}" if "run=" not in query else query)) == count


def test_a_campaign_or_a_send_alone(cast, connected, launched, app, sent):
    second = run_to_the_end(launched(name="Second"))
    assert {row["run"] for row in found(app, f"campaign={sent.campaign_id}")} == {sent.pk}
    assert {row["run"] for row in found(app, f"run={second.pk}")} == {second.pk}
    assert found(app, f"run={second.pk}&campaign={sent.campaign_id}") == []


def test_a_page_that_has_read_enough_ends_early_and_says_where_to_go_on(app, sent, monkeypatch):
    monkeypatch.setattr(ledger, "SMALL_RUN", 1)
    monkeypatch.setattr(ledger, "STRIDE", 2)
    monkeypatch.setattr(ledger, "ROWS_LOOKED_AT", 4)
    pages = leaf(app, "attempted_after=2020-01-01T00:00:00Z&reason=endpoint_gone")
    assert len(pages) >= 3
    assert [len(page) for page in pages if page] != []
    assert people_of([row for page in pages for row in page]) == [
        "user-0",
        "user-3",
        "user-6",
        "user-9",
    ]


def test_many_small_sends_are_read_together(
    cast, connected, app, sent, django_assert_max_num_queries
):
    now = timezone.now()
    with scope(cast.workspace):
        person = Contact.objects.first()
        made = [
            Run(
                workspace=cast.workspace,
                campaign=sent.campaign,
                revision=sent.revision,
                intended_at=now + timedelta(seconds=number),
                not_after=now,
                started_at=now,
                finished_at=now,
                state=Run.State.COMPLETED,
                audience_size=1,
                tally={"accepted": 1},
                channel=sent.channel,
            )
            for number in range(1, 41)
        ]
        runs = Run.objects.bulk_create(made)
        Message.objects.bulk_create(
            Message(workspace=cast.workspace, run=run, contact=person, reason=Reason.ACCEPTED)
            for run in runs
        )
    app.get(LIST)
    with django_assert_max_num_queries(12):
        rows = app.get(f"{LIST}?page_size=30&state=sent").json()["results"]
    assert [row["run"] for row in rows] == sorted((run.pk for run in runs), reverse=True)[:30]
    assert len(found(app, "page_size=7&external_user_id=user-0")) == 41


def test_a_message_in_flight_is_sending_and_its_neighbours_are_pending(cast, prepared, app):
    run = prepared(5)
    with scope(cast.workspace):
        shard = Shard.objects.get()
        Shard.objects.update(window_from=shard.first_id, window_to=shard.first_id + 1)
    assert people_of(found(app, "state=sending")) == ["user-0", "user-1"]
    assert people_of(found(app, "state=pending")) == ["user-2", "user-3", "user-4"]
    states = [row["state"] for row in found(app, f"run={run.pk}")]
    assert states == ["sending", "sending", "pending", "pending", "pending"]
    assert found(app, "reason=pending") == found(app)


def test_a_message_that_waits_for_a_retry_is_scheduled(cast, connected, launched, app):
    add_people(cast.workspace, 1, tokens=["sbx_flaky_1"])
    launched()
    pipeline.tick(timezone.now())
    pipeline.work(timezone.now())
    [row] = found(app, "state=scheduled")
    assert (row["reason"], row["code"]) == ("retry_scheduled", "UNAVAILABLE")
    assert row["due_at"] is not None


def test_a_broadcast_is_one_row_without_a_contact(cast, connected, launched, app):
    run = run_to_the_end(
        launched(target_kind="topic", target="news", title="News", body="Read it.")
    )
    pages = leaf(app, "page_size=1")
    assert [[row["external_user_id"] for row in page] for page in pages] == [[None]]
    assert pages[0][0]["run"] == run.pk


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=lost", "state"),
        ("reason=maybe", "reason"),
        ("campaign=x", "campaign"),
        ("run=0", "run"),
        ("run=99999999999999999999", "run"),
        ("cursor=1.2", "cursor"),
        ("cursor=1.2.3x", "cursor"),
        ("cursor=x1.2.3", "cursor"),
        ("page_size=201", "page_size"),
        ("attempted_after=yesterday", "attempted_after"),
        ("external_user_id=" + "x" * 201, "external_user_id"),
        ("campaigns=1", "campaigns"),
        ("state=sent&state=failed", "state"),
    ],
)
def test_a_parameter_that_cannot_be_read_is_named(app, query, field):
    answer = app.get(f"{LIST}?{query}")
    assert refused(answer)[0] == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_cursor_of_nowhere_gives_an_empty_page(app, sent):
    assert app.get(f"{LIST}?cursor=0.0.0").json()["results"] == []
    assert len(app.get(f"{LIST}?cursor=999999999999999999.1.1").json()["results"]) == 12


def test_a_stride_ends_within_the_messages_of_one_person(cast, sent, app, monkeypatch):
    """Direct messages: one person may have more of them in a run than a stride is long."""
    monkeypatch.setattr(ledger, "SMALL_RUN", 1)
    monkeypatch.setattr(ledger, "STRIDE", 2)
    with scope(cast.workspace):
        first = Message.objects.order_by("contact_id", "pk")[0]
        Message.objects.bulk_create(
            Message(
                workspace=cast.workspace,
                run=sent,
                contact=first.contact,
                endpoint=first.endpoint,
                reason=Reason.REJECTED,
                request=number,
            )
            for number in range(1, 8)
        )
        tally = {"accepted": 8, "endpoint_gone": 4, "rejected": 7}
        Run.objects.filter(pk=sent.pk).update(tally=tally, audience_size=19)
    assert people_of(found(app, "page_size=3&reason=rejected")) == ["user-0"] * 7
    assert len(found(app, "page_size=3")) == 19


def test_a_direct_message_has_no_campaign_but_a_class(cast, connected, app):
    add_people(cast.workspace, 1)
    for _ in range(2):
        accept(cast.workspace, "user-0")
    pipeline.work(timezone.now())
    rows = found(app)
    assert [(row["campaign"], row["class"], row["state"]) for row in rows] == [
        (None, "transactional", "sent")
    ] * 2
    assert [
        len(found(app, f"page_size=1&{query}"))
        for query in ("external_user_id=user-0", "state=sent")
    ] == [2, 2]
    assert app.get(f"{LIST}/{rows[0]['id']}").json()["attempts"][0]["verdict"] == "accepted"


# --- one ------------------------------------------------------------------------------------------
def test_a_message_tells_each_attempt_with_the_providers_sentence(cast, retried, app):
    [row] = found(app)
    told = app.get(f"{LIST}/{row['id']}").json()
    assert app.get(f"{LIST}/{row['id']}/").json() == told
    assert {key: told[key] for key in row} == row
    first, last = told["attempts"]
    assert (first["verdict"], first["code"], first["revision"]) == ("maybe_later", "UNAVAILABLE", 1)
    assert first["sentence"] == "The service is currently unavailable."
    assert "tries again" in first["meaning"]
    assert (last["verdict"], last["at"], last["code"]) == ("accepted", row["attempted_at"], "")
    assert told["endpoint"]["address"] == row["address"]
    assert (told["endpoint"]["is_active"], told["endpoint"]["platform"]) == (True, "android")
    assert "sbx_flaky_1" not in str(told).replace("…_flaky_1", "")


def test_a_refused_message_says_why_and_that_its_address_was_retired(cast, sent, app):
    [row] = found(app, "external_user_id=user-0")
    told = app.get(f"{LIST}/{row['id']}").json()
    assert told["attempts"][0]["sentence"] == "Requested entity was not found."
    assert told["explanation"] == told["attempts"][0]["meaning"] != ""
    assert told["endpoint"]["is_active"] is False
    assert told["endpoint"]["retired_reason"] == "UNREGISTERED"
    with scope(cast.workspace):
        Endpoint.objects.all().delete()
        Contact.objects.all().delete()
    told = app.get(f"{LIST}/{row['id']}").json()
    assert (told["external_user_id"], told["endpoint"], told["address"]) == (None, None, None)


@pytest.mark.parametrize("number", ["1", "99999999999999999999999"])
def test_an_unknown_message_is_404(app, number):
    assert refused(app.get(f"{LIST}/{number}")) == (404, "notification_not_found")


# --- who may --------------------------------------------------------------------------------------
def test_a_key_without_the_scope_and_another_workspaces_key(cast, sent, app):
    [row, *_] = found(app)
    other = reader(cast.workspace, keys.WORKSPACE_READ, keys.CAMPAIGNS_READ)
    stranger = reader(cast.other_workspace)
    for path in (LIST, f"{LIST}/{row['id']}"):
        assert refused(other.get(path)) == (403, "scope_missing")
    assert stranger.get(LIST).json()["results"] == []
    assert found(stranger, f"run={sent.pk}") == []
    assert refused(stranger.get(f"{LIST}/{row['id']}"))[0] == 404


def test_the_account_of_a_page_takes_the_same_queries_for_one_row_and_for_many(
    cast, connected, launched, app, sent, django_assert_max_num_queries
):
    app.get(LIST)
    for size in (1, 12):
        with django_assert_max_num_queries(12):
            assert len(app.get(f"{LIST}?page_size={size}").json()["results"]) == size
