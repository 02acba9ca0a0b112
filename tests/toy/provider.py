"""A pager network that answers at once: 0… are out of service, 9… are busy for a moment."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from django import forms

from campaigns.channels.base import REFERENCE, Compiled
from delivery.providers import base
from delivery.providers.base import ADDRESS, Outcome, Verdict


@dataclass
class Page:
    """One content as the network takes it."""

    content: Compiled

    def fill(self, values: Mapping[str, str]) -> bytes:
        line = {**self.content.static, **values}["line"]
        return json.dumps({"to": values[ADDRESS], "line": line, "ref": values[REFERENCE]}).encode()


@dataclass
class Network:
    """The sender, and the log of what arrived."""

    arrived: list[dict[str, str]] = field(default_factory=list)
    busy: set[str] = field(default_factory=set)
    waiting: list[tuple[int, dict[str, str]]] = field(default_factory=list)

    @property
    def in_flight(self) -> int:
        return len(self.waiting)

    def send(self, batch: Iterable[tuple[int, bytes]]) -> None:
        self.waiting += [(number, json.loads(body)) for number, body in batch]

    def poll(self, wait_secs: float) -> list[Outcome]:
        answered, self.waiting = [self._answer(*one) for one in self.waiting], []
        return answered

    def close(self) -> None:
        self.waiting = []

    def _answer(self, number: int, page: dict[str, str]) -> Outcome:
        if page["to"].startswith("0"):
            return Outcome(number, Verdict.GONE, "OUT_OF_SERVICE")
        if page["to"].startswith("9") and page["to"] not in self.busy:
            self.busy.add(page["to"])
            return Outcome(number, Verdict.ROW_LATER, "BUSY", retry_after_secs=0.01)
        self.arrived.append(page)
        return Outcome(number, Verdict.ACCEPTED, "", provider_id=f"page-{number}")


@dataclass
class Account:
    settings: dict[str, str]


class RegionForm(base.CredentialsForm):
    region = forms.CharField(required=False)

    def secret(self) -> str:
        return str(self.cleaned_data.get("region") or "")


class PagerNetwork(base.Provider[Account]):
    key, label, mark, service = "pager", "Pager network", "PN", "pager"
    summary = "Reaches pagers."
    manners = base.Manners(answer_secs=1.0, retries_most=2, retry_wait_secs=0.01)
    codes = {"OUT_OF_SERVICE": "The pager was given back."}
    credentials_form = RegionForm

    def __init__(self) -> None:
        self.network = Network()

    def read(self, credentials: str) -> Account:
        if not credentials.isalpha():
            raise ValueError("region must be a word, such as north.")
        return Account({"region": credentials})

    def check(self, account: Account) -> base.CheckResult:
        return base.CheckResult(True, "The network answers.")

    def open(self, account: Account) -> Network:
        return self.network

    def request(self, content: Compiled, kind: str) -> Page:
        return Page(content)


class PagerSandbox(PagerNetwork, base.Sandbox[Account]):
    key, label, mark = "pager_sandbox", "Pager sandbox", "PS"
    summary = "Keeps every page to itself."

    def create_account(self, name: str) -> str:
        return "nowhere"

    def received(self, account: Account, *, after: int | None, limit: int) -> base.LogPage:
        new = list(enumerate(self.network.arrived, 1))[after or 0 :][:limit]
        pages = [
            base.Received(at, time.time(), page["to"], page["ref"], "", page["line"], "", "", ())
            for at, page in new
        ]
        return base.LogPage(pages, (after or 0) + len(pages), len(pages) == limit)
