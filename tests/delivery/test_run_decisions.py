"""Buttons for what the engine leaves to a person: each asks with its count, and says what it
did."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from campaigns.audience.reasons import Reason
from campaigns.models import Run
from delivery.engine import pipeline
from delivery.models import Message, Shard
from tenants.models import AuditEntry
from tenants.scope import scope
from tests.delivery.run_pages import lines, notices, page, press, progress, said
from tests.story import add_people, run_to_the_end

DECISIONS = ("retry-failed", "resend-unknown", "close-unknown")


@pytest.fixture
def undecided(cast, connected, launched):
    """A completed run: three accepted, two refused, one of whom nobody knows."""
    add_people(cast.workspace, 6)
    run = run_to_the_end(launched())
    with scope(cast.workspace):
        ids = list(Message.objects.filter(run=run).order_by("pk").values_list("pk", flat=True))
        Message.objects.filter(pk__in=ids[:2]).update(reason=Reason.REJECTED, error_code="MADE_UP")
        Message.objects.filter(pk=ids[2]).update(reason=Reason.UNKNOWN, error_code="NO_ANSWER")
        tally = {"accepted": 3, "rejected": 2, "unknown": 1}
        Shard.objects.filter(run=run).update(tally=tally)
        Run.objects.filter(pk=run.pk).update(tally=tally)
        run.refresh_from_db()
    return run


def test_the_page_offers_what_can_be_decided_and_asks_with_the_count(cast, undecided):
    assert progress(cast, undecided)["can"] == list(DECISIONS)
    html = " ".join(page(cast, undecided).content.decode().split())
    asks = progress(cast, undecided)["asks"]
    for name, count in (("retry_title", "2"), ("resend_title", "1"), ("close_title", "1")):
        assert count in asks[name]
        assert f'data-bind="asks.{name}">{asks[name]}<' in html
    viewer = page(cast, undecided, who="viewer").content.decode()
    assert "data-decide" not in viewer
    assert progress(cast, undecided, "viewer")["can"] == []


def test_what_is_unknown_is_neither_sent_nor_failed_on_any_page(cast, undecided):
    for verb in ("close-unknown", ""):
        counts = progress(cast, undecided)["counts"]
        assert (counts["accepted"], counts["failed"], counts["unsure"]) == (3, 2, 1)
        shards = page(cast, undecided, "shards/").content.decode()
        assert re.findall(r'is-number">(\d+)<', shards)[:3] == ["3", "2", "1"]
        listed = cast.client("viewer").get(cast.url("campaigns/run/")).content.decode()
        assert re.findall(r"field-(?:accepted|failed|unknown)[^>]*>\s*(\d+)\s*<", listed) == [
            "3",
            "2",
            "1",
        ]
        if verb:
            press(cast, undecided, verb)


def test_a_run_whose_message_could_not_be_made_does_not_look_like_a_success(cast, undecided):
    with scope(cast.workspace):
        Run.objects.filter(pk=undecided.pk).update(tally={"render_error": 5, "no_endpoint": 1})
    where = progress(cast, undecided)
    assert (where["headline"], where["tone"]) == ("Accepted for none of 6 recipients", "danger")
    assert ("The message could not be created for 5 of 6 recipients.") in notices(where)
    assert where["counts"]["skipped"] == 6, "the provider was never asked"
    listed = cast.client("viewer").get(cast.url("campaigns/run/")).content.decode()
    campaign = cast.client("viewer").get(
        cast.url(f"campaigns/campaign/{undecided.campaign_id}/change/")
    )
    assert "Nobody received the message." in campaign.content.decode()
    assert "bg-red" in listed
    assert "bg-green" not in listed
    with scope(cast.workspace):
        Run.objects.filter(pk=undecided.pk).update(tally={"accepted": 4, "render_error": 2})
    where = progress(cast, undecided)
    assert (where["headline"], where["tone"]) == ("Sent to 4 of 6 recipients", "success")
    assert "could not be created for 2 of 6 recipients" in notices(where)


def test_the_refused_are_sent_to_again(cast, undecided):
    assert "goes out again to 2 rejected recipients" in said(
        press(cast, undecided, "retry-failed", "member")
    )
    assert lines(progress(cast, undecided))["pending"] == 2
    run_to_the_end(undecided)
    assert lines(progress(cast, undecided)) == {"accepted": 5, "unknown": 1}
    assert progress(cast, undecided)["can"] == ["resend-unknown", "close-unknown"]
    with scope(cast.workspace):
        assert AuditEntry.objects.get(action="refused messages sent again").detail["count"] == 2


def test_the_unknown_are_sent_to_again_flagged(cast, undecided):
    assert "goes out again to 1 unknown recipient, marked" in said(
        press(cast, undecided, "resend-unknown")
    )
    run_to_the_end(undecided)
    assert lines(progress(cast, undecided)) == {"accepted": 4, "rejected": 2}
    assert "possible duplicate" in page(cast, undecided, "recipients/").content.decode()


def test_the_unknown_are_left_so(cast, undecided):
    assert "1 recipient closed as unknown" in said(press(cast, undecided, "close-unknown"))
    assert lines(progress(cast, undecided)) == {"accepted": 3, "rejected": 2, "unknown_closed": 1}
    assert progress(cast, undecided)["can"] == ["retry-failed"]


@pytest.mark.parametrize("verb", DECISIONS)
def test_a_second_press_is_told_why_nothing_happens(cast, undecided, verb):
    press(cast, undecided, verb)
    answer = press(cast, undecided, verb)
    assert answer.status_code == 302
    assert said(answer)
    assert not re.search(r"\d", said(answer))


def test_a_missed_run_is_sent_after_all_as_a_run_of_its_own(cast, connected, launched):
    add_people(cast.workspace, 3)
    run = launched()
    pipeline.tick(timezone.now() + timedelta(hours=2))
    assert progress(cast, run)["can"] == ["send-missed"]
    html = page(cast, run).content.decode()
    assert "run-send-missed" in html
    assert "Today it would reach 3 devices." in html
    answer = press(cast, run, "send-missed")
    assert "The missed message goes out now" in said(answer)
    with scope(cast.workspace):
        sent = Run.objects.exclude(pk=run.pk).get()
    assert answer.url.endswith(f"/campaigns/run/{sent.pk}/change/")
    assert run_to_the_end(sent).tally == {"accepted": 3}
    again = press(cast, run, "send-missed")
    assert "othing was sent again" in said(again)


def test_a_missed_run_that_cannot_be_sent_says_why(cast, undecided):
    assert "othing was sent again" in said(press(cast, undecided, "send-missed"))


# --- recipients by code ---------------------------------------------------------------------------
def test_recipients_are_found_by_the_provider_s_code(cast, undecided):
    html = page(cast, undecided, "recipients/", reason="rejected", code="MADE_UP").content.decode()
    assert html.count("MADE_UP</code>") == 2
    assert 'name="code" value="MADE_UP"' in html
    assert (
        page(cast, undecided, "recipients/", code="MADE_UP")
        .content.decode()
        .count("MADE_UP</code>")
        == 2
    )
    assert (
        "This part of the list is empty"
        in page(cast, undecided, "recipients/", code="<x>").content.decode()
    )
    lines_of_csv = (
        page(cast, undecided, "recipients.csv", code="MADE_UP").getvalue().decode().splitlines()
    )
    assert len(lines_of_csv) == 3


def test_a_fate_is_found_page_by_page_wherever_its_shards_lie(cast, prepared):
    """Rows of every third shard; the tallies point at them, and a page may end inside of a
    shard."""
    run = prepared(300)
    with scope(cast.workspace):
        rows = list(
            Message.objects.filter(run=run).order_by("pk").values_list("pk", "contact__external_id")
        )
        Shard.objects.filter(run=run).delete()
        wanted = [row for at, row in enumerate(rows) if at // 10 % 3 == 0]
        Message.objects.filter(pk__in=[pk for pk, _ in wanted]).update(reason=Reason.REJECTED)
        Message.objects.filter(run=run, reason=Reason.PENDING).update(reason=Reason.ACCEPTED)
        for at in range(0, 300, 10):
            tally = {"rejected": 10} if at // 10 % 3 == 0 else {"accepted": 10}
            Shard.objects.create(
                workspace=cast.workspace,
                run=run,
                first_id=rows[at][0],
                last_id=rows[at + 9][0],
                state="done",
                tally=tally,
            )
    found, query = [], {"reason": "rejected"}
    while query:
        context = page(cast, run, "recipients/", **query).context
        found += [row["contact"].external_id for row in context["rows"]]
        query = (
            dict(part.split("=") for part in context["following"].split("&"))
            if context["following"]
            else {}
        )
    assert found == [name for _, name in wanted]


def test_a_fate_is_found_even_where_the_tallies_do_not_tell_of_it(cast, connected, launched):
    """Who was skipped before the cut is in no shard's tally."""
    add_people(cast.workspace, 3)
    with scope(cast.workspace):
        from campaigns.models import Endpoint

        Endpoint.objects.filter(pk=Endpoint.objects.order_by("pk").first().pk).update(
            opted_in=False
        )
    run = run_to_the_end(launched())
    rows = page(cast, run, "recipients/", reason="not_opted_in").context["rows"]
    assert [row["reason"] for row in rows] == [Reason.NOT_OPTED_IN]
