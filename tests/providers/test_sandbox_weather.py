"""The sandbox's storms, and the bad network of the fault laboratory: whatever they do, the
sandbox accepted what it says, and each message that was sent has one outcome."""

import random
import threading
import time
from typing import Any

import pytest
import requests

from delivery.providers.base import Outcome, Verdict
from delivery.providers.fcm.account import FcmAccount
from delivery.providers.fcm.sender import FcmSender
from delivery.providers.http2 import CurlTransport
from tests.faults.proxy import running_proxy
from tests.providers.sandbox_server import Sandbox

pytestmark = pytest.mark.once


def body(number: int) -> bytes:
    return b'{"message":{"token":"sbx_ok_%d","data":{"pp_ref":"m%d"}}}' % (number, number)


def drained(sender: FcmSender, within_secs: float = 10) -> list[Outcome]:
    outcomes: list[Outcome] = []
    deadline = time.monotonic() + within_secs
    while sender.in_flight and time.monotonic() < deadline:
        outcomes += sender.poll(0.5)
    return outcomes


def sent(account: FcmAccount, count: int, timeout_secs: float = 5) -> list[Outcome]:
    sender = FcmSender(account, CurlTransport(timeout_secs=timeout_secs))
    sender.send([(number, body(number)) for number in range(count)])
    outcomes = drained(sender)
    sender.close()
    return outcomes


def accepted(sandbox: Sandbox, account: FcmAccount) -> set[int]:
    found = sandbox.accepted(account.mint().value, account.project_id)
    assert set(found.values()) <= {1}, "the transport sent a message twice by itself"
    return {int(ref.removeprefix("m")) for ref, _ in found}


def counts(sandbox: Sandbox) -> dict[str, int]:
    found: dict[str, int] = requests.get(f"{sandbox.url}/sandbox/weather", timeout=10).json()[
        "counts"
    ]
    return found


@pytest.mark.parametrize("accepts", [False, True])
@pytest.mark.parametrize(
    ("what", "verdict"),
    [
        ("QUOTA_EXCEEDED", Verdict.LATER),
        ("UNAVAILABLE", Verdict.MAYBE_LATER),
        ("INTERNAL", Verdict.MAYBE_LATER),
        ("HANG", Verdict.AMBIGUOUS),
    ],
)
def test_a_storm_answers_in_its_own_way_and_the_log_says_what_was_accepted(
    sandbox: Sandbox, account: FcmAccount, what: str, verdict: Verdict, accepts: bool
) -> None:
    before = counts(sandbox)
    sandbox.settings(
        storms=[{"what": what, "secs": 60, "accepts": accepts, "retry_after_secs": 17}]
    )
    outcomes = sent(account, 20, timeout_secs=1 if what == "HANG" else 5)
    assert [outcome.verdict for outcome in outcomes] == [verdict] * 20
    if what != "HANG":
        assert {outcome.retry_after_secs for outcome in outcomes} == {17}
    assert accepted(sandbox, account) == (set(range(20)) if accepts else set())
    name = f"{what}+accepted" if accepts else what
    assert counts(sandbox)[name] - before.get(name, 0) == 20


def test_a_storm_hits_its_share_and_passes(sandbox: Sandbox, account: FcmAccount) -> None:
    sandbox.settings(storms=[{"what": "UNAVAILABLE", "secs": 1, "share": 0.5}])
    outcomes = sent(account, 300)
    hit = {outcome.message_id for outcome in outcomes if outcome.verdict is Verdict.MAYBE_LATER}
    assert 60 < len(hit) < 240
    assert accepted(sandbox, account) == set(range(300)) - hit
    time.sleep(1)
    assert {outcome.verdict for outcome in sent(account, 50)} == {Verdict.ACCEPTED}


@pytest.mark.parametrize(
    ("storm", "says"),
    [
        ({"what": "RAIN", "secs": 1}, "what must be HANG or one of"),
        ({"what": "HANG", "secs": 0}, "secs must be more than 0"),
        ({"what": "HANG", "secs": 1, "share": 1.5}, "share must be"),
        ({"what": "HANG", "secs": 1, "every_secs": -1}, "every_secs at least 0"),
        ({"what": "HANG", "secs": 1, "retry_after_secs": -1}, "retry_after_secs must be"),
        ({"what": "HANG"}, "secs"),
        ({"what": "HANG", "secs": 1, "colour": "grey"}, "colour"),
    ],
)
def test_a_storm_that_makes_no_sense_is_refused(
    sandbox: Sandbox, storm: dict[str, Any], says: str
) -> None:
    answer = requests.put(f"{sandbox.url}/sandbox/settings", json={"storms": [storm]}, timeout=10)
    assert answer.status_code == 422
    assert says in answer.json()["error"]


def behind(sandbox: Sandbox, account: FcmAccount, url: str) -> FcmAccount:
    return FcmAccount.parse(sandbox.key_file(account.project_id), sandbox_url=url)


@pytest.mark.parametrize("swallow", [False, True])
def test_a_reset_leaves_no_message_without_outcome(
    sandbox: Sandbox, account: FcmAccount, swallow: bool
) -> None:
    sandbox.settings(latency_ms=[2000, 2500])
    with running_proxy(int(sandbox.url.rpartition(":")[2])) as proxy:
        sender = FcmSender(behind(sandbox, account, proxy.url), CurlTransport(timeout_secs=5))
        sender.send([(number, body(number)) for number in range(200)])
        sender.poll(0.2)
        # The same thread drives curl, so the network must break while it polls.
        breaking = threading.Timer(
            0, lambda: proxy.reset(share=1, swallow=swallow, dice=random.Random(1))
        )
        breaking.start()
        if swallow:
            time.sleep(0.1)
            sender.send([(number, body(number)) for number in range(200, 300)])
        outcomes = drained(sender)
        breaking.join()
        sender.close()
    by_verdict: dict[Verdict, set[int]] = {}
    for outcome in outcomes:
        by_verdict.setdefault(outcome.verdict, set()).add(outcome.message_id)
    log = accepted(sandbox, account)
    assert len(outcomes) == (300 if swallow else 200)
    assert by_verdict[Verdict.AMBIGUOUS]
    assert (
        by_verdict.get(Verdict.ACCEPTED, set())
        <= log
        <= set(range(300)) - by_verdict.get(Verdict.LATER, set())
    )
    assert bool(by_verdict[Verdict.AMBIGUOUS] - log) == swallow, (
        "only what was swallowed is missing in the log"
    )


def test_a_goaway_in_the_middle_loses_no_answer(sandbox: Sandbox, account: FcmAccount) -> None:
    sandbox.settings(latency_ms=[300, 400])
    with running_proxy(int(sandbox.url.rpartition(":")[2])) as proxy:
        sender = FcmSender(behind(sandbox, account, proxy.url), CurlTransport(timeout_secs=5))
        outcomes = []
        for start in range(0, 400, 100):
            sender.send([(number, body(number)) for number in range(start, start + 100)])
            until = time.monotonic() + 10
            while not proxy.go_away():  # the new connection may not have reached the proxy yet
                assert time.monotonic() < until
                outcomes += sender.poll(0.1)
        outcomes += drained(sender)
        sender.close()
        assert proxy.goaways
    log = accepted(sandbox, account)
    good = {outcome.message_id for outcome in outcomes if outcome.verdict is Verdict.ACCEPTED}
    unsure = {outcome.message_id for outcome in outcomes if outcome.verdict is Verdict.AMBIGUOUS}
    assert len(outcomes) == 400
    assert good <= log <= good | unsure
    assert len(good) >= 300


def test_a_stalled_network_goes_on_where_it_stopped(sandbox: Sandbox, account: FcmAccount) -> None:
    with running_proxy(int(sandbox.url.rpartition(":")[2])) as proxy:
        stalling = threading.Thread(target=proxy.stall, args=(1,))
        through = behind(sandbox, account, proxy.url)
        stalling.start()
        assert {outcome.verdict for outcome in sent(through, 100)} == {Verdict.ACCEPTED}
        stalling.join()
    assert accepted(sandbox, account) == set(range(100))
