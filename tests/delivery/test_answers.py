"""What the provider says about a message is kept on its row."""

from datetime import datetime

import pytest
from django.utils import timezone

from campaigns.audience.reasons import Reason
from campaigns.models import AmbiguityPolicy, Run
from delivery.engine import answers, pipeline, record, statements
from delivery.engine.answers import answer
from delivery.models import Message, Shard
from delivery.providers.base import (
    CredentialsRefused,
    Outcome,
    ProviderUnreachable,
    Verdict,
)
from delivery.providers.fcm.sender import FcmSender
from tenants.scope import scope
from tests.delivery.broken import broken
from tests.story import add_people, run_to_the_end

NOW = timezone.now()
TOKEN = "dQw4w9WgXcQ_r2d2c3po99:APA91bHPRgkF3JUikC4ENAHEeMrd41Zxv3hVZjC9KtT8OvPVGJ"


def said(cast, **wanted) -> list[list[tuple[str, str, str]]]:
    """(verdict, code, sentence) of each answer of the rows, in order."""
    with scope(cast.workspace):
        rows = Message.objects.filter(**wanted).order_by("pk").values_list("answers", flat=True)
        return [
            [(one["verdict"], one["code"], one["sentence"]) for one in kept or []] for kept in rows
        ]


def test_a_refused_message_keeps_the_providers_sentence_and_an_accepted_one_keeps_nothing(
    cast, connected, launched
):
    add_people(cast.workspace, 3, tokens=["sbx_ok_1", "sbx_unregistered_1", "sbx_mismatch_1"])
    run = run_to_the_end(launched())
    assert said(cast) == [
        [],
        [("gone", "UNREGISTERED", "Requested entity was not found.")],
        [("wrong_sender", "SENDER_ID_MISMATCH", "SenderId mismatch")],
    ]
    with scope(cast.workspace):
        taken, gone, _ = Message.objects.order_by("pk")
    assert taken.answers is None
    [kept] = gone.answers
    assert kept["revision"] == run.revision.number == gone.revision
    assert datetime.fromisoformat(kept["at"]) == gone.attempted_at


def test_a_message_that_got_through_in_the_end_tells_what_went_before(cast, retried):
    assert retried.tally == {"accepted": 1}
    trouble = ("maybe_later", "UNAVAILABLE", "The service is currently unavailable.")
    assert said(cast) == [[trouble]]


def test_the_statement_of_accepted_messages_does_not_look_at_answers(cast, prepared, monkeypatch):
    prepared(2)
    asked = []

    def listen(sql, values, real=statements.run):
        asked.append("answers" in sql)
        return real(sql, values)

    monkeypatch.setattr(statements, "run", listen)
    with scope(cast.workspace):
        first, second = Message.objects.order_by("pk").values_list("pk", flat=True)
        record.results([record.Result(first, Reason.ACCEPTED, attempted=1)], 1)
        kept = answer(NOW, Verdict.REFUSED, "NO", "no")
        record.results([record.Result(second, Reason.REJECTED, attempted=1, answer=kept)], 1)
    assert asked == [False, True]


def test_a_group_of_both_kinds_changes_no_other_rows_answers(cast, prepared):
    prepared(2)
    with scope(cast.workspace):
        first, second = Message.objects.order_by("pk").values_list("pk", flat=True)
        before = [{"at": "2026-01-01T00:00:00+00:00", "verdict": "later", "code": "EARLIER"}]
        Message.objects.filter(pk=first).update(answers=before)
        kept = answer(NOW, Verdict.REFUSED, "NO", "no")
        found = [
            record.Result(first, Reason.ACCEPTED, attempted=1),
            record.Result(second, Reason.REJECTED, attempted=1, answer=kept),
        ]
        assert record.results(found, 7) == {"accepted": 1, "rejected": 1}
        assert Message.objects.get(pk=first).answers == before
        assert Message.objects.get(pk=second).answers[0]["revision"] == 7


def test_the_last_ten_answers_stay_in_order(cast, prepared):
    prepared(1)
    with scope(cast.workspace):
        pk = Message.objects.get().pk
        for number in range(13):
            kept = answer(NOW, Verdict.ROW_LATER, f"TRY_{number}", "")
            record.results([record.Result(pk, Reason.RETRY_SCHEDULED, answer=kept)], 1)
            Message.objects.update(reason=Reason.PENDING)
    codes = [code for _, code, _ in said(cast)[0]]
    assert codes == [f"TRY_{number}" for number in range(3, 13)]


@pytest.mark.parametrize(
    ("policy", "reason"),
    [(AmbiguityPolicy.HOLD, Reason.UNKNOWN), (AmbiguityPolicy.RESEND, Reason.PENDING)],
)
def test_an_attempt_that_a_dead_worker_took_along_is_an_answer_too(cast, prepared, policy, reason):
    run = prepared(3)
    with scope(cast.workspace):
        Run.objects.filter(pk=run.pk).update(ambiguity_policy=policy)
        shard = Shard.objects.select_related("run").get()
        shard.window_from, shard.window_to = shard.first_id, shard.first_id + 1
        shard.revision = 4
        is_resend = policy == AmbiguityPolicy.RESEND
        for _ in range(2 if is_resend else 1):
            record.mark_window(shard, NOW, is_resend=is_resend)
        assert [row.reason for row in Message.objects.order_by("pk")][:2] == [reason] * 2
        kept = Message.objects.order_by("pk").first().answers
    assert {one["revision"] for one in kept} == {4}
    died = ("ambiguous", "WORKER_DIED", "")
    assert said(cast) == [[died] * (2 if is_resend else 1)] * 2 + [[]]


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (
            CredentialsRefused("Make a new key."),
            ("broken", "CREDENTIALS_REFUSED", "Make a new key."),
        ),
        (ProviderUnreachable("No answer."), ("later", "UNREACHABLE", "No answer.")),
    ],
)
def test_a_message_that_could_not_be_handed_over_says_why(cast, prepared, monkeypatch, error, kept):
    prepared(2)

    def refuse(sender, batch):
        raise error

    monkeypatch.setattr(FcmSender, "send", refuse)
    pipeline.work(timezone.now())
    assert said(cast, attempts=0) == [[kept]] * 2


def test_a_broken_connection_is_told_on_the_row(cast, connected, launched, monkeypatch):
    add_people(cast.workspace, 1)
    broken(monkeypatch)
    launched()
    pipeline.tick(timezone.now())
    pipeline.work(timezone.now())
    assert said(cast) == [[("broken", "PERMISSION_DENIED", "")]]


def test_a_sentence_that_repeats_the_address_or_a_key_is_kept_without_them(
    cast, connected, launched, monkeypatch
):
    add_people(cast.workspace, 1, tokens=["sbx_ok_with_a_long_name"])

    def echo(sender, secs, real=FcmSender.poll):
        quoted = 'no "sbx_ok_with_a_long_name" (Bearer abc.def); SBX_OK_WITH_A_LONG_… ya29.secret'
        return [
            Outcome(one.message_id, Verdict.REFUSED, "NO", detail=quoted)
            for one in real(sender, secs)
        ]

    monkeypatch.setattr(FcmSender, "poll", echo)
    run_to_the_end(launched())
    assert said(cast) == [[("refused", "NO", 'no "[address]" (Bearer [hidden] [address] [hidden]')]]


@pytest.mark.parametrize(
    ("sentence", "address", "kept"),
    [
        (f"Token {TOKEN} is bad", TOKEN, "Token [address] is bad"),
        (f"Token {TOKEN[:20]}", TOKEN, "Token [address]"),
        ("a word", "", "a word"),
        ("nul \x00 and half \ud83d", "", "nul  and half ?"),
        ("x" * 900, "", "x" * answers.SENTENCE_MOST),
        ("y" * 290 + TOKEN, TOKEN, "y" * 290 + "[address]"),
    ],
)
def test_a_sentence_is_cut_and_fits_both_databases(cast, prepared, sentence, address, kept):
    prepared(1)
    with scope(cast.workspace):
        pk = Message.objects.get().pk
        entry = answer(NOW, Verdict.REFUSED, "C" * 90, sentence, address)
        record.results([record.Result(pk, Reason.REJECTED, answer=entry)], 1)
    assert said(cast) == [[("refused", "C" * 64, kept)]]
