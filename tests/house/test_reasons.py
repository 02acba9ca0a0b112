"""Every Reason has words, and every place that shows reasons shows each of them.

A place is a module that asks for the words. One that PAGES does not know fails: say there how to
look at it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

import pytest
from django.utils import timezone
from django.utils.html import escape

from campaigns.audience import selection
from campaigns.audience.gates import GATES
from campaigns.audience.reasons import Reason, words_of
from campaigns.channels import registry
from campaigns.channels.base import ReasonWords
from campaigns.channels.push.channel import Push
from campaigns.models import Campaign, Contact, Run
from delivery.admin.run import errors
from delivery.models import Message, Shard
from pushpilot.management.commands.demo import Command
from tenants.scope import scope
from tests.cast import Cast
from tests.house.rows import rows_of
from tests.house.sources import modules

pytestmark = pytest.mark.once

WAITING = {Reason.PENDING, Reason.DEFERRED, Reason.RETRY_SCHEDULED}
Look = Callable[[Cast, Run], str]


@dataclass(frozen=True)
class Page:
    """`modules`: those that ask for words. `without`: reasons that cannot occur on it."""

    look: Look
    modules: set[str]
    explains: bool = True
    without: set[Reason] = field(default_factory=set)


def at(address: str, **query: str) -> Look:
    """The page at an address of the run, as its owner sees it."""

    def look(cast: Cast, run: Run) -> str:
        response = cast.client("owner").get(cast.url(f"campaigns/run/{run.pk}/{address}"), query)
        assert response.status_code == 200
        return text_of(response)

    return look


def text_of(response: Any) -> str:
    body = b"".join(response.streaming_content) if response.streaming else response.content
    return str(body.decode())


def progress(cast: Cast, run: Run) -> str:
    """What run.js writes into the account of the run's page."""
    lines = cast.client("owner").get(cast.url(f"campaigns/run/{run.pk}/progress/")).json()["lines"]
    return escape(" ".join(f"{line['label']} {line['explanation']}" for line in lines))


def of_campaign(address: str, status: str) -> Look:
    def look(cast: Cast, run: Run) -> str:
        with scope(cast.workspace):
            Campaign.objects.filter(pk=run.campaign_id).update(status=status)
        response = cast.client("owner").get(
            cast.url(f"campaigns/campaign/{run.campaign_id}/{address}")
        )
        assert response.status_code == 200
        return text_of(response)

    return look


def each_message(cast: Cast, run: Run) -> str:
    with scope(cast.workspace):
        ids = list(Message.objects.filter(run=run).values_list("pk", flat=True))
    client = cast.client("owner")
    return " ".join(text_of(client.get(cast.url(f"campaigns/run/message/{pk}/"))) for pk in ids)


def demo(cast: Cast, run: Run) -> str:
    out = StringIO()
    with scope(cast.workspace):
        Command(stdout=out).account(run)
    return escape(out.getvalue())


PAGES = {
    "review": Page(
        of_campaign("review/", Campaign.Status.DRAFT),
        {"campaigns.admin.campaign.review"},
        without={Reason.PENDING},
    ),
    "campaign": Page(
        of_campaign("change/", Campaign.Status.RUNNING),
        {"reports.funnel"},
        without=WAITING - {Reason.PENDING},
    ),
    "run": Page(progress, {"delivery.admin.run.figures"}, without={Reason.RETRY_SCHEDULED}),
    "recipients": Page(at("recipients/"), {"delivery.admin.run.recipients"}, explains=False),
    "export": Page(at("recipients.csv"), {"delivery.admin.run.recipients"}, explains=False),
    "errors": Page(at("errors/"), {"delivery.admin.run.errors", "delivery.codes"}),
    "message": Page(each_message, {"delivery.admin.run.message", "delivery.notifications"}),
    "demo": Page(demo, {"pushpilot.management.commands.demo"}, explains=False),
}


@pytest.fixture
def run(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run under way with one recipient in each reason, all with a code that nobody knows."""
    monkeypatch.setattr(errors, "CODES_SHOWN", len(Reason))
    monkeypatch.setattr(selection, "forecast", lambda *asked: dict.fromkeys(Reason, 2))
    made = rows_of(cast.workspace)[Run]
    assert isinstance(made, Run)
    with scope(cast.workspace):
        Message.objects.all().delete()
        for reason in Reason:
            contact = Contact.objects.create(
                workspace=cast.workspace, external_id=f"is {reason.slug}"
            )
            Message.objects.create(
                workspace=cast.workspace,
                run=made,
                contact=contact,
                reason=reason,
                error_code="A_CODE",
            )
        rows = Message.objects.order_by("pk")
        Shard.objects.create(
            workspace=cast.workspace, run=made, first_id=rows[0].pk, last_id=rows.reverse()[0].pk, held={"android": 1},
            state=Shard.State.HELD, tally={reason.slug: 1 for reason in Reason if reason not in WAITING},
        )  # fmt: skip
        Run.objects.filter(pk=made.pk).update(
            state=Run.State.RUNNING,
            finished_at=None,
            audience_size=len(Reason),
            tally={},
            started_at=timezone.now(),
        )
        made.refresh_from_db()
    return made


def missing(cast: Cast, run: Run) -> set[tuple[str, Reason]]:
    """(page, reason) wherever a page does not say what the reason is called, or what it means."""
    found = set()
    for name, page in PAGES.items():
        text = page.look(cast, run)
        for reason in set(Reason) - page.without:
            told = words_of(reason, run.channel)
            wanted = (told.label, told.explanation) if page.explains else (told.label,)
            if not all(words and escape(words) in text for words in wanted):
                found.add((name, reason))
    return found


@pytest.mark.parametrize(
    "own", [True, False], ids=["words of the channel", "words for every channel"]
)
def test_every_page_shows_every_reason(cast, run, monkeypatch, own):
    if not own:
        monkeypatch.setattr(Push, "reason_words", {})
    assert missing(cast, run) == set()


def test_a_reason_without_an_explanation_is_caught_on_every_page_that_explains(
    cast, run, monkeypatch
):
    monkeypatch.setattr(Reason.HOLDOUT, "words", ReasonWords("Holdout group", ""))
    assert missing(cast, run) == {
        (name, Reason.HOLDOUT) for name, page in PAGES.items() if page.explains
    }


def test_a_page_that_leaves_a_reason_out_is_caught(cast, run, monkeypatch):
    monkeypatch.setattr(
        "reports.funnel.words_of", lambda reason, channel: ReasonWords("Something", "Else.")
    )
    assert missing(cast, run) == {
        ("campaign", reason) for reason in set(Reason) - PAGES["campaign"].without
    }


def test_pages_without_a_table_of_reasons_take_every_reason_too(cast, run):
    for path in ("", f"reports/event/run/{run.pk}/funnel/", f"reports/event/campaign/{run.campaign_id}/funnel/",
                 "campaigns/run/", "campaigns/campaign/", f"campaigns/run/{run.pk}/change/",
                 f"campaigns/run/{run.pk}/shards/"):  # fmt: skip
        assert cast.client("owner").get(cast.url(path)).status_code == 200, path
    for reason in Reason:
        page = at("recipients/", reason=reason.slug)(cast, run)
        assert f"is {reason.slug}" in page, reason


def test_whoever_asks_for_words_is_looked_at():
    asking = {
        name
        for name, file in modules()
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom)
        and any(alias.name == "words_of" for alias in node.names)
    }
    assert asking == set().union(*(page.modules for page in PAGES.values()))


# --- the words ------------------------------------------------------------------------------------
def spoken() -> list[tuple[Reason, ReasonWords]]:
    """The words of every channel and those for channels without own ones."""
    return [
        (reason, words_of(reason, channel))
        for reason in Reason
        for channel in (*registry.CHANNELS, "none")
    ]


def test_no_two_reasons_are_called_the_same():
    for channel in (*registry.CHANNELS, "none"):
        assert len({words_of(reason, channel).label for reason in Reason}) == len(Reason), channel


def test_a_gate_of_the_launch_completes_the_sentence_before_a_send():
    asked = {gate.reason for gate in GATES if gate.at_launch}
    assert [
        reason
        for reason, told in spoken()
        if reason in asked and not (told.counted(1) and told.counted(2))
    ] == []


def test_words_for_every_channel_name_nothing_of_one_channel():
    for reason in Reason:
        told = f"{reason.words.label} {reason.words.explanation} {reason.words.counted(2)}".lower()
        assert not any(
            word in told for word in ("device", "push", "app ", "token", "notification", "fcm")
        ), reason


def test_a_channel_has_words_for_reasons_that_exist():
    for channel in registry.CHANNELS.values():
        assert set(channel.reason_words) <= {reason.slug for reason in Reason}, channel.key
