"""No address reads, parses or keeps a body that is larger than it takes, whoever sends it.

Measured at the stream that the web server hands over: what is taken from it, not how long it takes.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.test import RequestFactory

from pushpilot import bodies
from pushpilot.api import api
from pushpilot.lib.limits import Limiter
from reports.api import event_routes as events
from tenants import keys
from tenants.api import security
from tests.cast import Cast
from tests.house.routes import all_routes, fill
from tests.house.rows import Rows, rows_of
from tests.tenants.api.app import key_of

pytestmark = pytest.mark.once

MB = 1024 * 1024
HUGE_BYTES = 400 * MB
BOUNDARY = "boundary"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
PART = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="x"; filename="x.bin"\r\n\r\n'
).encode()


@dataclass
class Stream:
    """What the web server reads from, as large as one likes; `taken` is what was asked of it."""

    size: int
    head: bytes = PART
    taken: int = 0
    rest: bytes = field(default=b"a")

    def read(self, size: int = -1) -> bytes:
        size = self.size - self.taken if size < 0 else min(size, self.size - self.taken)
        start, self.taken = self.taken, self.taken + size
        return self.head[start : start + size] + self.rest * (
            size - len(self.head[start : start + size])
        )

    def readline(self, size: int = -1) -> bytes:
        return self.read(size)


def send(path: str, stream: Any, kind: str, cookies: str = "", **environ: Any) -> Any:
    """The answer of the whole product, middleware and all, to a POST of this stream."""
    made = RequestFactory().generic("POST", path, b"", kind).environ
    made |= {"wsgi.input": stream, "CONTENT_TYPE": kind, "HTTP_COOKIE": cookies, **environ}
    made = {name: value for name, value in made.items() if value is not None}
    status: list[int] = []
    body = APPLICATION(
        made, lambda line, headers, exc_info=None: status.append(int(line.split(" ")[0]))
    )
    content = b"".join(body)
    body.close()
    return status[0], content


APPLICATION = WSGIHandler()


@pytest.fixture
def rows(cast: Cast) -> Rows:
    return rows_of(cast.workspace)


def paths(cast: Cast, rows: Rows) -> list[str]:
    found = []
    for route in all_routes():
        path = fill(route.path, rows.get(route.model) if route.model else None)
        found.append(
            f"/w/{cast.workspace.slug}/{path}" if path.startswith("admin/") else f"/{path}"
        )
    return sorted({path for path in found if not path.startswith("/static/")})


def cookies_of(cast: Cast, who: str) -> str:
    return "; ".join(f"{name}={one.value}" for name, one in cast.client(who).cookies.items())


@pytest.mark.parametrize("who", ["anonymous", "owner"])
@pytest.mark.parametrize("kind", [JSON, FORM, MULTIPART])
def test_a_body_over_the_cap_is_refused_at_every_address_before_a_byte_is_read(
    cast, rows, who, kind
):
    cookies = cookies_of(cast, who)
    wrong = {}
    for path in paths(cast, rows):
        stream = Stream(HUGE_BYTES)
        status, content = send(path, stream, kind, cookies, CONTENT_LENGTH=str(HUGE_BYTES))
        # Events look at the key before anything else.
        expected = 401 if path == "/api/v1/events" else 413
        if stream.taken or status != expected or len(content) > 10_000:
            wrong[path] = (status, stream.taken, len(content))
    assert wrong == {}


@pytest.mark.parametrize("who", ["anonymous", "owner"])
def test_a_body_without_a_length_is_read_at_no_address(cast, rows, who):
    cookies = cookies_of(cast, who)
    wrong = {}
    for path in paths(cast, rows):
        stream = Stream(HUGE_BYTES)
        status, _ = send(
            path, stream, JSON, cookies, CONTENT_LENGTH=None, HTTP_TRANSFER_ENCODING="chunked"
        )
        if stream.taken or status not in (411, 401):
            wrong[path] = (status, stream.taken)
    assert wrong == {}


def test_strangers_upload_nothing_to_the_console(cast, rows):
    for name in (
        "campaigns/template/import/",
        "tenants/connection/add/",
        "campaigns/campaign/add/",
    ):
        stream = Stream(bodies.CONSOLE_FORM_BYTES)
        status, _ = send(cast.url(name), stream, MULTIPART, CONTENT_LENGTH=str(stream.size))
        assert (status, stream.taken) == (302, 0)


@pytest.mark.parametrize("path", ["login/", "signup/", "password/reset/", "logout/"])
def test_a_file_is_kept_by_no_page_that_asks_for_none(db, path, monkeypatch):
    from django.core.files import uploadhandler

    monkeypatch.setattr(uploadhandler, "TemporaryFileUploadHandler", None)
    content = PART + b"a" * 1000 + f"\r\n--{BOUNDARY}--\r\n".encode()
    assert (
        send(f"/accounts/{path}", BytesIO(content), MULTIPART, CONTENT_LENGTH=str(len(content)))[0]
        == 415
    )


def test_the_api_takes_no_form_with_files(db):
    content = PART + b"a" * 1000 + f"\r\n--{BOUNDARY}--\r\n".encode()
    status, answer = send(
        "/api/v1/auth/login", BytesIO(content), MULTIPART, CONTENT_LENGTH=str(len(content))
    )
    assert (status, json.loads(answer)["code"]) == (415, "unsupported_media_type")


def test_a_length_that_lies_is_believed_no_further_than_it_says(db):
    stream = Stream(HUGE_BYTES, head=b"")
    status, _ = send("/api/v1/auth/login", stream, JSON, CONTENT_LENGTH="1000")
    assert (status, stream.taken) == (400, 1000)
    assert send("/api/v1/auth/login", BytesIO(b'{"email"'), JSON, CONTENT_LENGTH="1000")[0] == 400


def operations() -> list[tuple[str, bool]]:
    """The address of each POST of the API with a body, and whether anybody may send it."""
    posts = {
        path: verbs["post"]
        for path, verbs in api.get_openapi_schema()["paths"].items()
        if "requestBody" in verbs.get("post", {})
    }
    return [(re.sub(r"{\w+}", "1", path), not post.get("security")) for path, post in posts.items()]


def test_who_asks_too_often_is_told_so_before_the_body_is_read(cast, monkeypatch, settings):
    for module, name in ((security, "_sign_ins"), (security, "_requests"), (events, "_limiter")):
        monkeypatch.setattr(module, name, Limiter(f"test{name}"))
    monkeypatch.setattr(security, "SIGN_INS_PER_MINUTE", 0)
    settings.API_PER_MINUTE = settings.EVENTS_PER_MINUTE = 0
    key = key_of(cast.workspace, by=cast.owner, name="Backend", scopes=list(keys.SCOPES))
    answers, taken = Counter[str](), set()
    for path, is_open in operations():
        stream = Stream(50_000)
        environ = {} if is_open else {"HTTP_AUTHORIZATION": f"Bearer {key}"}
        content = send(path, stream, JSON, CONTENT_LENGTH=str(stream.size), **environ)[1]
        answers[json.loads(content)["code"]] += 1
        taken |= {path} if stream.taken else set()
    assert not taken
    assert answers.keys() == {"too_many_requests", "person_needed"}
    assert answers["too_many_requests"] >= 20


def test_an_answer_does_not_grow_with_what_was_sent(db):
    def ask(fields: int, length: int) -> tuple[int, dict[str, Any], int]:
        body = json.dumps({f"{'x' * length}{number}": 1 for number in range(fields)}).encode()
        status, content = send(
            "/api/v1/auth/login", BytesIO(body), JSON, CONTENT_LENGTH=str(len(body))
        )
        return status, json.loads(content), len(content)

    status, answer, size = ask(60, 900)
    # two fields are missing
    assert (status, len(answer["errors"]), answer["more"]) == (422, 20, 42)
    assert size < 6_000
    status, answer, size = ask(300, 100)
    assert (status, answer["code"]) == (422, "too_many_values")
    assert size < 400


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ('{"a":' * 9 + "1" + "}" * 9, 400, "nested_too_deeply"),
        ("[" * 60_000, 400, "nested_too_deeply"),
        ('{"a": [' + "[]," * 300 + "[]]}", 422, "too_many_values"),
        ("{", 400, "malformed_json"),
        ("\xff", 400, "malformed_json"),
    ],
)
def test_a_deep_or_wide_body_is_refused_before_objects_are_made_of_it(db, body, status, code):
    data = body.encode("latin-1")
    answer = send("/api/v1/auth/login", BytesIO(data), JSON, CONTENT_LENGTH=str(len(data)))
    assert (answer[0], json.loads(answer[1])["code"]) == (status, code)
