"""docs/api.md, request by request: every curl in it is sent as it stands there, and the answer has
the fields that stand below it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from campaigns import plan
from campaigns.models import Campaign, Run
from delivery.models import Message
from pushpilot.lib.signing import sign_reference
from tenants import keys
from tenants.models import ApiKey
from tenants.scope import scope
from tests.story import add_people, work_until_ended, write_campaign
from tests.tenants.api.app import App
from tests.tenants.api.calls import app_of
from tests.tenants.identity.people import PASSWORD, account

PAGE = (Path(django_settings.BASE_DIR) / "docs" / "api.md").read_text(encoding="utf-8")
HOST = "https://push.example.com"
# A block of indented lines, and the indented answer below it, if there is one.
BLOCK = re.compile(r"^    (curl .*(?:\n    .*)*)(?:\n\n    (\{.*(?:\n    .*)*))?", re.MULTILINE)


def examples() -> Iterator[tuple[str, str]]:
    """(the curl, the answer below it or "")."""
    for curl, answer in BLOCK.findall(PAGE):
        yield curl.replace("\\\n", " "), answer


def test_the_page_has_examples_and_each_with_an_answer_is_found():
    found = list(examples())
    assert len(found) == PAGE.count("\n    curl ")
    assert any(answer for _curl, answer in found)


def shape(told: Any) -> Any:
    """The fields of an answer, without its values; a list is told by its first item."""
    if isinstance(told, dict):
        return {name: shape(value) for name, value in told.items()}
    if isinstance(told, list):
        return [shape(told[0])] if told else []
    return None


def missing(documented: Any, answered: Any, at: str = "") -> list[str]:
    if isinstance(documented, dict):
        if not isinstance(answered, dict):
            return [at]
        return [
            fault
            for name, below in documented.items()
            for fault in (
                missing(below, answered[name], f"{at}.{name}")
                if name in answered
                else [f"{at}.{name}"]
            )
        ]
    if isinstance(documented, list) and documented:
        if not isinstance(answered, list) or not answered:
            return [at]
        return missing(documented[0], answered[0], f"{at}[0]")
    return []


def read(answer: str) -> Any:
    """A documented answer; `…` stands for what is left out."""
    text = re.sub(r",\s*…(?=\s*[}\]])", "", answer).replace("[…]", "[]")
    return json.loads(text)


class World:
    """What the examples speak of, and who sends them."""

    def __init__(self, cast: Any, key_file: str) -> None:
        self.cast, self.key_file = cast, key_file
        with scope(cast.workspace):
            key = ApiKey(
                workspace=cast.workspace,
                name="Backend",
                kind=ApiKey.Kind.SECRET,
                scopes=list(keys.SCOPES),
            )
            self.key = keys.create(key, by=cast.owner)
            run = Run.objects.get()
            message = Message.objects.filter(run=run).first()
            assert message is not None
            self.campaign = run.campaign_id
            self.message = message.pk
            self.ref = sign_reference(cast.workspace.pk, run.campaign_id, run.pk, message.pk)
        self.token = str(app_of(cast.owner).authorization)

    def filled(self, text: str) -> str:
        """The request with ids, keys and names that exist. Raises AssertionError for a placeholder
        that nobody knows."""
        for was, real in {
            "Bearer pp_live_…": f"Bearer {self.key}",
            "Bearer eyJ…": self.token,
            "freshcart": self.cast.workspace.slug,
            "<data.pp_ref of the push>": self.ref,
            "<FCM registration token>": "sbx_ok_new_phone",
            '"password": "…"': f'"password": "{PASSWORD}"',
            "/campaigns/7": f"/campaigns/{self.campaign}",
            "/notifications/7": f"/notifications/{self.message}",
        }.items():
            text = text.replace(was, real)
        assert "…" not in text, text
        assert "<" not in text, text
        return text

    def send(self, curl: str) -> Any:
        words = shlex.split(re.sub(r'-d "(.*\$\(cat .*)"', self._with_file, curl))
        method, address, headers, body = "GET", "", {}, None
        for at, word in enumerate(words):
            if word in ("-X", "--request"):
                method = words[at + 1]
            elif word == "-H":
                name, _colon, value = words[at + 1].partition(": ")
                headers[name] = self.filled(value)
            elif word == "-d":
                body, method = words[at + 1], "POST" if method == "GET" else method
            elif word.startswith(HOST):
                address = self.filled(word.removeprefix(f"{HOST}/api/v1"))
        app = App(headers.pop("Authorization", None))
        headers.pop("Content-Type", None)
        if body is not None:
            body = json.loads(body if "private_key" in body else self.filled(body))
        return app.ask(method, address, body, **headers)

    def _with_file(self, found: re.Match[str]) -> str:
        """The shell puts a file into a quoted body."""
        project = json.loads(self.key_file)["project_id"]
        body = found[1].replace('\\"', '"').replace("freshcart-app", project)
        written = re.sub(r"\$\(cat [^)]*\)", lambda _: self.key_file, body)
        return f"-d {shlex.quote(written)}"


@pytest.fixture
def world(cast, connected, sandbox, settings) -> World:
    settings.SEND_UNDO = timedelta()
    account()  # asha@example.com
    (person,) = add_people(cast.workspace, 1, tokens=["sbx_ok_phone1"])
    with scope(cast.workspace):
        type(person).objects.filter(pk=person.pk).update(external_id="cust-42")
        campaign: Campaign = write_campaign(cast.workspace, name="Weekend")
        run = plan.schedule(campaign, by=cast.owner, now=timezone.now())
    work_until_ended(run)
    return World(cast, connected.credentials)


@pytest.mark.parametrize(("curl", "documented"), list(examples()))
def test_an_example_of_the_docs_is_answered_as_it_says(world, curl, documented):
    answer = world.send(curl)
    assert answer.status_code < 300, (curl, answer.content)
    if documented:
        assert missing(shape(read(documented)), shape(answer.json())) == []


def test_a_field_that_an_answer_lacks_is_seen():
    documented = read('{"results": [{"id": 7, "name": "…"}], "left_out": 0, …}')
    assert missing(shape(documented), {"results": [{"id": None}]}) == [
        ".results[0].name",
        ".left_out",
    ]
