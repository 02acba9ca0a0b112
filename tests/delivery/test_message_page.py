"""The page of one message: why it was or was not sent, its attempts, its text."""

from datetime import UTC, datetime

import pytest
from django.utils import timezone
from django.utils.html import escape

from campaigns.audience.reasons import Reason, words_of
from campaigns.models import Contact, Run
from delivery.admin import slots
from delivery.engine import pipeline, record
from delivery.engine.answers import MOST
from delivery.models import DirectSend, Message, Shard
from delivery.notifications import attempts_of, content_of, flying_among, state_of
from tenants.scope import scope
from tests.delivery.direct_sends import accept
from tests.story import add_people, run_to_the_end

LATER = "The service is currently unavailable."


def look(cast, message, who="viewer"):
    answer = cast.client(who).get(cast.url(f"campaigns/run/message/{message.pk}/"))
    assert answer.status_code == 200
    return answer


def only(cast, **wanted) -> Message:
    with scope(cast.workspace):
        rows = Message.objects.select_related("run__connection", "run__workspace")
        return rows.get(**wanted)


def test_the_attempts_stand_in_order_with_the_providers_sentence(cast, retried):
    answer = look(cast, only(cast))
    told = [one.attempt for one in answer.context["attempts"]]
    assert [(one.verdict, one.code, one.sentence) for one in told] == [
        ("maybe_later", "UNAVAILABLE", LATER),
        ("accepted", "", ""),
    ]
    assert told[0].at < told[1].at
    assert told[1].provider_id == only(cast).provider_id != ""
    html = answer.content.decode()
    assert html.index(LATER) < html.index('data-verdict="accepted"')
    assert "tries again" in told[0].meaning


def test_a_message_that_waits_shows_when_it_is_tried_again(cast, connected, launched):
    add_people(cast.workspace, 1, tokens=["sbx_flaky_1"])
    launched()
    pipeline.tick(timezone.now())
    pipeline.work(timezone.now())
    answer = look(cast, only(cast))
    assert answer.context["next_try"]
    assert "Next try: " in answer.content.decode()


def test_a_message_that_was_never_handed_over_says_why(cast, connected, launched):
    person, _ = add_people(cast.workspace, 2)
    with scope(cast.workspace):
        person.endpoints.update(opted_in=False)
    run = run_to_the_end(launched())
    html = look(cast, only(cast, contact=person)).content.decode()
    assert "data-no-attempt" in html
    assert escape(words_of(Reason.NOT_OPTED_IN, run.channel).explanation) in html


def test_the_last_attempt_of_a_refused_message_is_not_promised_again(cast, prepared):
    prepared(1)
    message = only(cast)
    at = "2026-11-30T10:00:00+00:00"
    said = {"at": at, "verdict": "later", "code": "NOT_SENT", "sentence": "", "revision": 1}
    message.answers, message.reason = [said, said], Reason.REJECTED
    first, last = attempts_of(message)
    assert "tries again" in first.meaning
    assert "before another try" in last.meaning
    assert first.at == datetime(2026, 11, 30, 10, tzinfo=UTC)


def test_a_row_from_before_the_answers_shows_its_one_attempt(cast, prepared):
    prepared(1)
    message = only(cast)
    message.reason, message.error_code = Reason.ENDPOINT_GONE, "UNREGISTERED"
    message.attempted_at, message.revision = timezone.now(), 1
    [one] = attempts_of(message)
    assert (one.verdict, one.code, one.sentence, one.revision) == ("", "UNREGISTERED", "", 1)
    assert one.at == message.attempted_at


@pytest.mark.parametrize(("number", "is_cut"), [(MOST - 1, False), (MOST, True)])
def test_answers_that_may_not_be_all_are_announced(cast, prepared, number, is_cut):
    prepared(1)
    said = {"at": "2026-11-30T10:00:00+00:00", "verdict": "later", "code": "X", "sentence": ""}
    with scope(cast.workspace):
        Message.objects.update(answers=[said] * number)
    assert look(cast, only(cast)).context["is_cut"] is is_cut


def test_the_text_is_that_of_the_revision_that_was_sent(cast, retried):
    with scope(cast.workspace):
        message = Message.objects.select_related("contact").get()
        run = Run.objects.select_related("revision", "workspace").get(pk=retried.pk)
        german = {**run.revision.contents[0], "language": "de", "title": "Angebot"}
        run.revision.contents = [*run.revision.contents, german]
        assert content_of(message, run)[0]["language"] == "en"
        message.contact.language = "de-AT"
        assert content_of(message, run)[0]["title"] == "Angebot"
        message.contact = None
        assert content_of(message, run)[0]["language"] == "en"
        run.revision.pk, run.revision.number, run.revision.contents = None, 2, []
        content, number = content_of(message, run)
    assert (number, bool(content["title"])) == (1, True)
    assert escape(content["title"]) in look(cast, only(cast)).content.decode()


def test_a_direct_message_shows_its_text_while_it_is_kept(cast, connected):
    add_people(cast.workspace, 1)
    send = accept(cast.workspace, "user-0")
    pipeline.work(timezone.now())
    html = look(cast, only(cast)).content.decode()
    assert "{{ data.code }} for {{ first_name }}" in html
    with scope(cast.workspace):
        DirectSend.objects.filter(pk=send.pk).update(contents=[], data={})
    assert "data.code" not in look(cast, only(cast)).content.decode()


def test_only_people_who_may_send_see_the_reference(cast, retried):
    shown = {
        who: "Copy reference" in look(cast, only(cast), who).content.decode()
        for who in ("owner", "member", "viewer")
    }
    assert shown["owner"]
    assert not shown["viewer"]


def test_a_device_is_named_by_its_end_alone(cast, retried):
    html = look(cast, only(cast), "owner").content.decode()
    assert "sbx_flaky_1" not in html
    assert "…_flaky_1" in html


def test_a_deleted_contact_and_foreign_or_unknown_ids(cast, retried):
    message = only(cast)
    with scope(cast.workspace):
        Contact.objects.all().delete()
    assert "Deleted contact" in look(cast, message).content.decode()
    path = f"campaigns/run/message/{message.pk}/"
    elsewhere = f"/w/{cast.other_workspace.slug}/admin/{path}"
    assert cast.client("other_owner").get(elsewhere).status_code == 404
    assert cast.client("owner").get(cast.url("campaigns/run/message/9/")).status_code == 404


def test_the_lists_lead_to_the_message(cast, retried):
    link = cast.url(f"campaigns/run/message/{only(cast).pk}/")
    recipients = cast.client("viewer").get(cast.url(f"campaigns/run/{retried.pk}/recipients/"))
    assert link in recipients.content.decode()
    with scope(cast.workspace):
        person = Contact.objects.get()
    newest = cast.client("owner").get(cast.url(f"campaigns/contact/{person.pk}/change/"))
    assert link in newest.content.decode()


def test_later_events_come_from_the_slot(cast, retried, monkeypatch):
    monkeypatch.setattr(slots, "MESSAGE_STATES", [lambda ids: {ids[0]: ["Opened yesterday"]}])
    assert "Opened yesterday" in look(cast, only(cast)).content.decode()


def test_a_message_in_a_workers_window_is_being_sent(cast, prepared):
    prepared(3)
    with scope(cast.workspace):
        shard = Shard.objects.get()
        Shard.objects.update(window_from=shard.first_id, window_to=shard.first_id + 1)
        record.results([record.Result(shard.first_id, Reason.ACCEPTED, attempted=1)], 1)
        rows = list(Message.objects.order_by("pk"))
        flying = flying_among(rows)
        assert [state_of(row, flying) for row in rows] == ["sent", "sending", "pending"]
    assert look(cast, rows[1]).context["status"] == "Sending"


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        (Reason.RETRY_SCHEDULED, "scheduled"),
        (Reason.DEFERRED, "scheduled"),
        (Reason.REJECTED, "failed"),
        (Reason.ENDPOINT_GONE, "failed"),
        (Reason.UNKNOWN, "unknown"),
        (Reason.UNKNOWN_CLOSED, "unknown"),
        (Reason.EXPIRED, "skipped"),
    ],
)
def test_each_reason_has_a_state(reason, state):
    assert state_of(Message(pk=1, reason=reason), frozenset()) == state


def test_every_reason_is_in_one_state():
    assert {state_of(Message(pk=1, reason=one), frozenset()) for one in Reason} == {
        "pending",
        "scheduled",
        "sent",
        "failed",
        "skipped",
        "unknown",
    }
