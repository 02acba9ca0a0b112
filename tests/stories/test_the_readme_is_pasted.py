"""The README's command for events, pasted as it stands with a key in it, and then with a reference
of a message."""

from __future__ import annotations

import json
import re
import shlex
from itertools import pairwise
from pathlib import Path

from django.conf import settings
from django.test import Client

from reports import tasks
from reports.models import Event
from tenants.scope import scope
from tests.reports.made import make_sent
from tests.tenants.api.app import key_of

README = (Path(settings.BASE_DIR) / "README.md").read_text(encoding="utf-8")
HOST, KEY = "https://push.example.com", "pp_live_…"


def pasted(key: str, **changed: str) -> dict:
    """The answer to the README's only curl."""
    (command,) = re.findall(r"^    curl (?:.*\\\n)*.*$", README, re.MULTILINE)
    words = shlex.split(command.replace("\\\n", " ").replace(KEY, key))
    options = list(pairwise(words))
    headers = dict(value.split(": ", 1) for option, value in options if option == "-H")
    (body,) = [json.loads(value) for option, value in options if option == "-d"]
    body["batch"][0] |= changed
    (path,) = [word.removeprefix(HOST) for word in words if word.startswith(HOST)]
    kind = headers.pop("Content-Type")
    answer = Client().generic("POST", path, json.dumps(body), kind, headers=headers)
    assert answer.status_code == 202, answer.content
    return answer.json()


def write_key(cast) -> str:
    return key_of(cast.workspace, kind="write", scopes=[])


def test_as_it_stands_its_event_says_what_to_replace(cast):
    (ignored,) = pasted(write_key(cast))["ignored"]
    assert ignored["code"] == "ref_unknown"
    assert "data.pp_ref" in ignored["reason"]


def test_with_a_copied_reference_its_event_counts(cast):
    sent = make_sent(cast.workspace)
    answer = pasted(write_key(cast), event_id="mine", ref=sent.ref())
    assert (answer["accepted"], answer["ignored"], answer["rejected"]) == (1, [], [])
    tasks.digest()
    with scope(cast.workspace):
        assert Event.objects.get(event_id="mine").message_id == sent.messages[0].pk
