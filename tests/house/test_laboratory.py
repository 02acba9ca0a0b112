"""The fault laboratory says "ok" only if it would have seen what is wrong: each fault is
planted, and must be found."""

from __future__ import annotations

import pytest
from django.utils import timezone

from campaigns.audience.reasons import Reason
from campaigns.models import Revision, Run
from delivery.models import Message, Shard
from tests.faults.checker import Report, SandboxLog, compare
from tests.story import write_campaign

pytestmark = pytest.mark.once

COUNT = 10


@pytest.fixture
def sent(inside, tmp_path):
    """A function that gives a run of COUNT recipients, in two shards, of whom the last ended as
    `others`, and the log of a sandbox that accepted everybody else."""

    def make(*others: Reason, state: str = Run.State.COMPLETED) -> tuple[Run, SandboxLog]:
        now, campaign = timezone.now(), write_campaign(inside.workspace)
        revision = Revision.objects.create(
            workspace=inside.workspace, campaign=campaign, number=1, contents=[]
        )
        run = Run.objects.create(
            workspace=inside.workspace, campaign=campaign, revision=revision, intended_at=now, not_after=now,
            started_at=now, state=state, audience_size=COUNT,
        )  # fmt: skip
        reasons = [Reason.ACCEPTED] * (COUNT - len(others)) + list(others)
        made = [
            Message(workspace=inside.workspace, run=run, contact_id=n, endpoint_id=n, reason=reason)
            for n, reason in enumerate(reasons)
        ]
        rows = Message.objects.bulk_create(made)
        for part in (rows[: COUNT // 2], rows[COUNT // 2 :]):
            Shard.objects.create(
                workspace=inside.workspace,
                run=run,
                first_id=part[0].pk,
                last_id=part[-1].pk,
                tally=_tally(part),
            )
        if run.is_ended:
            Run.objects.filter(pk=run.pk).update(tally=_tally(rows), finished_at=now)
        log = SandboxLog(tmp_path)
        log.sent[run.pk] |= {
            row.pk: [now.timestamp()] for row in rows if row.reason == Reason.ACCEPTED
        }
        return run, log

    return make


def _tally(rows: list[Message]) -> dict[str, int]:
    settled = [Reason(row.reason).slug for row in rows if not Reason(row.reason).is_waiting]
    return {slug: settled.count(slug) for slug in settled}


def problems(run: Run, log: SandboxLog, *ends: Reason, excused: int = 0) -> list[str]:
    ends_of_attack = frozenset(reason.slug for reason in ends)
    report: Report = compare(run, log, COUNT, excused, ends=ends_of_attack)
    return report.problems()


def test_a_run_that_everybody_got_has_no_problem(sent):
    assert problems(*sent()) == []
    assert problems(*sent(Reason.UNKNOWN, Reason.UNKNOWN), excused=2) == []


@pytest.mark.parametrize(
    "reason", [reason for reason in Reason if reason not in (Reason.ACCEPTED, Reason.UNKNOWN)]
)
def test_who_ended_as_no_attack_explains_is_lost(sent, reason):
    assert f"2 lost: {reason.slug} 2" in problems(*sent(reason, reason))


def test_an_end_that_the_attack_names_is_no_loss_but_any_other_is(sent):
    cancelled = sent(Reason.CANCELLED, state=Run.State.CANCELLED)
    assert problems(*cancelled, Reason.CANCELLED) == []
    assert problems(*cancelled, Reason.EXPIRED) == ["1 lost: cancelled 1"]


def test_who_is_accepted_in_the_ledger_alone_is_lost(sent):
    run, log = sent()
    log.sent[run.pk].popitem()
    assert problems(run, log) == ["1 lost: unseen 1"]


@pytest.mark.parametrize(
    "tally", [{"accepted": COUNT - 1}, {"accepted": COUNT + 1}, {"accepted": 9, "expired": 1}]
)
def test_a_tally_of_the_run_that_is_not_its_rows_is_found(sent, tally):
    run, log = sent()
    Run.objects.filter(pk=run.pk).update(tally=tally)
    assert any("the run page: " in found for found in problems(run, log))


def test_an_audience_of_another_size_than_the_rows_is_found(sent):
    run, log = sent()
    Run.objects.filter(pk=run.pk).update(audience_size=COUNT + 1)
    assert problems(run, log) == ["the run page does not balance: 11 = Accepted 10"]


def test_a_tally_of_a_shard_that_is_not_its_rows_is_found_while_the_run_is_sent_and_afterwards(
    sent,
):
    for state, who in (
        (Run.State.RUNNING, "the run page: "),
        (Run.State.COMPLETED, "the shards' tallies: "),
    ):
        run, log = sent(*[Reason.PENDING] * 3 if state == Run.State.RUNNING else [], state=state)
        before = problems(run, log)
        Shard.objects.filter(run=run).filter(tally__accepted=5).update(tally={"accepted": 4})
        new = set(problems(run, log)) - set(before)
        assert [found for found in new if found.startswith(who)], (state, new)


def test_what_waits_for_a_retry_waits(sent):
    run, log = sent(Reason.RETRY_SCHEDULED, Reason.PENDING, state=Run.State.RUNNING)
    assert problems(run, log) == ["2 lost: pending 1, retry_scheduled 1"]
