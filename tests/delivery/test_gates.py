"""The list of gates decides the same at the forecast, in the ledger and immediately before the
send."""

from datetime import timedelta
from itertools import product

import pytest
from django.db.models import F, Q
from django.db.models.lookups import Exact
from django.utils import timezone

from campaigns.audience import gates, selection
from campaigns.audience.gates import Gate
from campaigns.audience.reasons import Reason, words_of
from campaigns.models import ALL_CHANNELS, Consent, Contact, Endpoint, Run
from delivery.engine import dispatch
from delivery.engine.compose import Composer
from delivery.models import Message
from delivery.providers.fcm.provider import Fcm
from tenants.scope import scope
from tests.story import add_people, run_to_the_end, write_campaign

YES, NO = "opted_in", "opted_out"
# {what was said, oldest first: (channel, topic, word)}: is app push stopped?
WORDS = {
    "nothing": ((), False),
    "no": ((("app_push", "", NO),), True),
    "no to all": (((ALL_CHANNELS, "", NO),), True),
    "no to another channel": ((("web_push", "", NO),), False),
    "no to a topic": ((("app_push", "offers", NO),), False),
    "yes": ((("app_push", "", YES),), False),
    "no to all, then yes": (((ALL_CHANNELS, "", NO), ("app_push", "", YES)), False),
    "no, then yes to all": ((("app_push", "", NO), (ALL_CHANNELS, "", YES)), False),
    "yes, then no to all": ((("app_push", "", YES), (ALL_CHANNELS, "", NO)), True),
    "no, then yes to a topic": ((("app_push", "", NO), ("app_push", "offers", YES)), True),
    "no to all, then yes to another channel": (
        ((ALL_CHANNELS, "", NO), ("web_push", "", YES)),
        True,
    ),
}
# {what became of the endpoint since the audience was fixed: the gate that it meets}
ENDPOINTS = {
    "nothing": Reason.PENDING,
    "retired": Reason.ENDPOINT_INACTIVE,
    "not opted in": Reason.NOT_OPTED_IN,
    "retired, not opted in": Reason.ENDPOINT_INACTIVE,
    "deleted": Reason.NO_ENDPOINT,
    "moved": Reason.NO_ENDPOINT,
    "moved, retired": Reason.NO_ENDPOINT,
}
STATES = list(product(WORDS, ENDPOINTS))


def become(contact: Contact, words: str, endpoint: str, heir: Contact) -> None:
    said, _ = WORDS[words]
    for age, (channel, topic, word) in enumerate(reversed(said)):
        at = timezone.now() - timedelta(minutes=age)
        stated = {"channel": channel, "topic": topic, "status": word, "source": "test", "at": at}
        Consent.objects.create(workspace=contact.workspace, contact=contact, **stated)
    own = Endpoint.objects.filter(contact=contact)
    if "retired" in endpoint:
        own.update(is_active=False)
    if "not opted in" in endpoint:
        own.update(opted_in=False)
    if endpoint == "deleted":
        own.delete()
    if "moved" in endpoint:
        own.update(contact=heir)


def last_look(run) -> dict[int, Reason]:
    """{contact: the reason that dispatch gives now}."""
    ids = dict(
        Message.objects.filter(run=run, reason=Reason.PENDING).values_list("pk", "contact_id")
    )
    composer = Composer(run, Fcm(), "en", run.workspace.zone)
    found, left = {}, sorted(ids)
    while left:
        group, skipped, left = dispatch.compose(run, composer, left, {})
        found |= {ids[recipient.message_id]: Reason.PENDING for recipient, _ in group}
        found |= {ids[result.id]: Reason(result.reason) for result in skipped}
    return found


def test_the_audience_and_the_last_look_decide_the_same_in_every_state(cast, prepared):
    run = prepared(len(STATES) + 2)
    with scope(cast.workspace):
        *people, heir, deleted = Contact.objects.order_by("pk")
        states = dict(zip(people, STATES, strict=True))
        for contact, (words, endpoint) in states.items():
            become(contact, words, endpoint, heir)
        gone = deleted.pk
        deleted.delete()
        audience = dict(
            selection.recipients(cast.workspace, "app_push", {}).values_list("pk", "reason")
        )
        dispatched = last_look(run)
    expected = {
        contact: Reason.UNSUBSCRIBED if WORDS[words][1] else ENDPOINTS[endpoint]
        for contact, (words, endpoint) in states.items()
    }
    assert {contact: audience[contact.pk] for contact in people} == expected
    # A recipient of the ledger had an endpoint; without it the contact has left the audience.
    since = {
        contact: Reason.LEFT_AUDIENCE if one == Reason.NO_ENDPOINT else one
        for contact, one in expected.items()
    }
    assert {contact: dispatched[contact.pk] for contact in people} == since
    assert (dispatched[heir.pk], dispatched[gone]) == (Reason.PENDING, Reason.LEFT_AUDIENCE)


def test_the_last_look_of_one_workspace_serves_the_next_one(cast, prepared):
    """The statement is compiled once in a process, perhaps for somebody else's run."""
    dispatch._statement.cache_clear()
    with scope(cast.other_workspace):
        dispatch._rows([], Run(channel="app_push"))
    run = prepared(2)
    with scope(cast.workspace):
        first, second = Contact.objects.order_by("pk")
        Consent.objects.create(
            workspace=cast.workspace, contact=first, channel="app_push", status=NO, source="test"
        )
        assert last_look(run) == {first.pk: Reason.UNSUBSCRIBED, second.pk: Reason.PENDING}


# --- a new gate is a line in the list -------------------------------------------------------------
def odd_contacts(asked: gates.Asked) -> Q:
    return Q(Exact(F(asked.of_contact("pk")) % 2, 1))


@pytest.fixture
def add_gate(monkeypatch):
    """A function that adds one line to the list, as a restart of the product would read it."""

    def add(**when) -> None:
        monkeypatch.setattr(
            gates, "GATES", (*gates.GATES, Gate(Reason.HOLDOUT, odd_contacts, **when))
        )
        dispatch._statement.cache_clear()

    yield add
    dispatch._statement.cache_clear()


def test_a_new_gate_is_forecast_explained_and_written_down(cast, connected, launched, add_gate):
    add_people(cast.workspace, 4)
    add_gate()
    with scope(cast.workspace):
        assert selection.forecast(cast.workspace, "app_push", {}) == {
            Reason.PENDING: 2,
            Reason.HOLDOUT: 2,
        }
    draft = write_campaign(cast.workspace, name="Draft")
    review = cast.client("member").get(cast.url(f"campaigns/campaign/{draft.pk}/review/"))
    lines = {line.reason: (line.count, line.told) for line in review.context["lines"]}
    assert lines[Reason.HOLDOUT] == (2, words_of(Reason.HOLDOUT, "app_push"))
    run = run_to_the_end(launched())
    assert run.tally == {"accepted": 2, "holdout": 2}
    page = cast.client("member").get(
        cast.url(f"campaigns/run/{run.pk}/recipients/"), {"reason": "holdout"}
    )
    assert [row["reason"] for row in page.context["rows"]] == [Reason.HOLDOUT] * 2


@pytest.mark.parametrize(
    ("when", "tally"),
    [({}, {"accepted": 2, "holdout": 2}), ({"at_dispatch": False}, {"accepted": 4})],
    ids=["asked again", "asked at the launch only"],
)
def test_a_new_gate_is_asked_again_before_the_send_if_it_says_so(prepared, add_gate, when, tally):
    run = prepared(4)
    add_gate(**when)
    assert run_to_the_end(run).tally == tally
