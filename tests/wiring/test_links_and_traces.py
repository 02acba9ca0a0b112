"""What leads into an account stays with its owner: where links point, what is cached, what lies
in files and logs."""

from __future__ import annotations

import io
import logging
import os
import re
import runpy
import stat

import pytest
from django.core import mail
from django.core.mail import EmailMultiAlternatives, get_connection
from django.test import Client
from django.utils import timezone

from pushpilot.lib import env
from pushpilot.lib.redaction import Line
from tenants import invitations
from tenants.scope import scope
from tests.house.sources import ROOT
from tests.house.starting import PRODUCTION, start
from tests.pages import YES
from tests.tenants.api.app import App
from tests.tenants.identity.people import PASSWORD, account, sign_in
from tests.tenants.identity_provider import GOOGLE

pytestmark = pytest.mark.once

PUBLIC = "https://push.example.com"
EVIL = {"HTTP_HOST": "localhost", "HTTP_X_FORWARDED_HOST": "evil.example"}


@pytest.fixture
def public(settings):
    settings.PUBLIC_URL, settings.ALLOWED_HOSTS = PUBLIC, ["*"]


def links() -> list[str]:
    """Of every mail, in all of its parts."""
    parts = [
        (sent.body, *(part.content for part in getattr(sent, "alternatives", [])))
        for sent in mail.outbox
    ]
    return re.findall(r"https?://[^\s\"'<>]+", "\n".join(text for texts in parts for text in texts))


# --- where links point ----------------------------------------------------------------------------
NEW = {"full_name": "Asha", "email": "new@example.com", "password1": PASSWORD}


@pytest.mark.parametrize(
    ("path", "form"),
    [("/accounts/signup/", NEW), ("/accounts/signup/", {**NEW, "email": "asha@example.com"}),
     ("/accounts/password/reset/", {"email": "asha@example.com"}),
     ("/accounts/password/reset/", {"email": "nobody@example.com"})],
)  # fmt: skip
@pytest.mark.usefixtures("public")
def test_a_stranger_s_host_is_in_no_link_of_a_mail(db, path, form):
    account()
    Client(**EVIL).post(path, form)
    assert links()
    assert all(link.startswith(PUBLIC) for link in links())


@pytest.mark.usefixtures("public")
def test_the_api_s_mails_lead_to_the_public_address(db):
    App(client=Client(**EVIL)).post(
        "/auth/register", email="new@example.com", password=PASSWORD, full_name="Asha"
    )
    assert links()
    assert all(link.startswith(PUBLIC) for link in links())


@pytest.mark.usefixtures("public")
def test_mails_to_the_signed_in_lead_to_the_public_address(db):
    account()
    client, _ = sign_in(**EVIL)
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    client.post("/accounts/email/", {"action_add": "", "email": "second@example.com"})
    client.post(
        "/accounts/password/change/",
        {"oldpassword": PASSWORD, "password1": "x9 " * 9, "password2": "x9 " * 9},
    )
    assert len(mail.outbox) == 2
    assert len(links()) >= 3
    assert all(link.startswith(PUBLIC) for link in links())


@pytest.mark.usefixtures("public")
def test_what_others_send_leads_to_the_public_address(cast):
    client = cast.client("owner")
    client.defaults.update(EVIL)
    client.post(
        cast.url("tenants/invitation/add/"), {"emails": "new@example.com", "role": "member"}
    )
    operator = cast.client("operator")
    operator.defaults.update(EVIL)
    operator.post(f"/platform/tenants/user/{cast.viewer.pk}/send_password_reset/", YES)
    with scope(cast.workspace):
        sent = invitations.invite(
            cast.workspace, "job@example.com", "member", by=cast.owner, now=timezone.now()
        )
    assert sent.link.startswith(PUBLIC)
    assert {one.to[0] for one in mail.outbox} == {
        "new@example.com",
        cast.viewer.email,
        "job@example.com",
    }
    assert all(link.startswith(PUBLIC) for link in links())


@pytest.mark.usefixtures("public")
def test_a_provider_leads_back_to_the_public_address(db, identity_provider):
    asked = identity_provider.start(Client(**EVIL), GOOGLE)
    assert asked["redirect_uri"].startswith(PUBLIC)


def settings_with(monkeypatch, tmp_path, **environment):
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(str(ROOT / "pushpilot" / "settings.py"))


def test_localhost_is_a_host_of_http_only(monkeypatch, tmp_path):
    assert (
        "localhost"
        in settings_with(monkeypatch, tmp_path, PUBLIC_URL="http://localhost:8000")["ALLOWED_HOSTS"]
    )
    assert settings_with(monkeypatch, tmp_path, **PRODUCTION)["ALLOWED_HOSTS"] == [
        "push.example.com"
    ]


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1", "10.1.2.3:8000", "[::1]", "web_1"])
def test_a_load_balancer_asks_by_any_name(db, settings, host):
    settings.PUBLIC_URL, settings.ALLOWED_HOSTS = PUBLIC, ["push.example.com"]
    assert Client(HTTP_HOST=host).get("/healthz").status_code == 200
    assert Client(HTTP_HOST=host).get("/accounts/login/").status_code == 400


# --- what is kept ---------------------------------------------------------------------------------
def test_cookies_are_bound_to_the_host_on_https(monkeypatch, tmp_path):
    made = settings_with(monkeypatch, tmp_path, **PRODUCTION)
    assert (made["SESSION_COOKIE_NAME"], made["CSRF_COOKIE_NAME"]) == (
        "__Host-sessionid",
        "__Host-csrftoken",
    )
    for cookie in ("SESSION", "CSRF", "LANGUAGE"):
        assert made[f"{cookie}_COOKIE_SECURE"]
        assert f"{cookie}_COOKIE_DOMAIN" not in made  # the prefix allows none
        assert f"{cookie}_COOKIE_PATH" not in made
    plain = settings_with(monkeypatch, tmp_path, PUBLIC_URL="http://localhost:8000")
    assert (plain["SESSION_COOKIE_NAME"], plain["CSRF_COOKIE_NAME"]) == ("sessionid", "csrftoken")


def test_the_workspace_s_cookie_is_secure_where_the_session_s_is(cast, settings):
    settings.SESSION_COOKIE_SECURE = True
    assert cast.client("member").get(cast.url(), secure=True).cookies["workspace"]["secure"]
    assert cast.client("member").get(cast.url()).cookies["workspace"]["secure"]


@pytest.mark.parametrize(
    ("who", "path"),
    [("anonymous", "/accounts/login/"), ("anonymous", "/accounts/signup/"), ("member", "/accounts/profile/"),
     ("member", "/accounts/email/"), ("member", "/accounts/sessions/"), ("member", "/invitations/"),
     ("outsider", "/"), ("member", "/workspaces/deleted/"), ("anonymous", "/invitations/unknown/"),
     ("owner", "w:tenants/apikey/"), ("owner", "w:tenants/auditentry/export/"), ("owner", "w:campaigns/contact/"),
     ("operator", "/platform/tenants/user/")],
)  # fmt: skip
def test_no_cache_keeps_a_page(cast, who, path):
    answer = cast.client(who).get(cast.url(path[2:]) if path.startswith("w:") else path)
    assert "no-store" in answer.headers["Cache-Control"]


def test_no_cache_keeps_an_answer_of_the_api(db):
    account()
    app = App()
    answers = [
        app.login(),
        app.get("/workspaces"),
        app.post("/auth/refresh", refresh_token=app.tokens["refresh_token"]),
    ]
    answers += [app.post("/auth/refresh", refresh_token="x" * 40)]
    assert [answer.headers["Cache-Control"] for answer in answers] == ["private, no-store"] * 4


# --- files and logs -------------------------------------------------------------------------------
def test_only_its_own_user_reads_what_a_first_run_makes(tmp_path):
    folder = tmp_path / "var"
    # one table shows how the file is made; all of them take 15 seconds of CPU
    done = start(tmp_path, "migrate", "contenttypes", "0001", "-v0", DATA_DIR=str(folder))
    assert done.returncode == 0, done.stderr
    mails = (
        "from django.core.mail import send_mail; from django.core.cache import cache; "
        "cache.set('a', 1);"
    )
    done = start(
        tmp_path,
        "shell",
        "-c",
        f"{mails} send_mail('a', 'b', None, ['a@example.com'])",
        DATA_DIR=str(folder),
    )
    assert done.returncode == 0, done.stderr
    found = {
        folder: folder.stat().st_mode,
        **{path: path.stat().st_mode for path in folder.rglob("*")},
    }
    assert {path.name for path in found} >= {
        "secret_key",
        "encryption_key",
        "pushpilot.sqlite3",
        "mail",
        "cache",
    }
    assert [path for path in (folder / "mail").iterdir() if "a@example.com" in path.read_text()]
    assert {oct(stat.S_IMODE(mode)) for mode in found.values() if stat.S_ISREG(mode)} == {"0o600"}
    assert {oct(stat.S_IMODE(mode)) for mode in found.values() if stat.S_ISDIR(mode)} == {"0o700"}


def test_the_web_server_writes_for_its_own_user():
    before = os.umask(0o022)
    try:
        runpy.run_path(str(ROOT / "pushpilot" / "wsgi.py"))
        assert os.umask(0o022) == 0o077
    finally:
        os.umask(before)


def test_a_log_of_an_older_version_is_closed_to_others(tmp_path):
    from pushpilot.processes import Processes

    log = tmp_path / "web.log"
    log.write_text("old\n")
    log.chmod(0o644)
    processes = Processes({}, tmp_path)
    processes.start("web", ["true"])
    processes.stop()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


TOKEN = "Zr3xU6bJ0yWq8nC5tV1kL7pS2aHd9eGf"
ADDRESSES = [
    f"/invitations/{TOKEN}/", f"/invitations/{TOKEN}/?mailbox={TOKEN}", f"/accounts/confirm-email/MQ:1w:{TOKEN}/",
    f"/accounts/password/reset/key/1-{TOKEN}/",
]  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_log_line_holds_no_link_s_token(address):
    record = logging.LogRecord(
        "django.request", logging.WARNING, "", 0, "%s: %s", ("Gone", address), None
    )
    line = Line("%(levelname)s %(message)s").format(record)
    assert TOKEN not in line
    assert line.startswith(
        "WARNING Gone: " + address.partition("MQ")[0].partition("1-")[0].partition(TOKEN)[0]
    )


def test_the_product_s_log_lines_are_made_that_way(settings):
    assert settings.LOGGING["formatters"]["line"]["()"] == "pushpilot.lib.redaction.Line"
    assert {handler["formatter"] for handler in settings.LOGGING["handlers"].values()} == {"line"}


@pytest.mark.parametrize("is_terminal", [True, False])
def test_mails_on_the_console_hold_links_on_a_terminal_only(monkeypatch, is_terminal):
    monkeypatch.setenv("EMAIL_URL", "console://")
    out = io.StringIO()
    monkeypatch.setattr(out, "isatty", lambda: is_terminal)
    backend = get_connection(env.email("EMAIL_URL", "")["EMAIL_BACKEND"], stream=out)
    sent = EmailMultiAlternatives(
        "Hello", "\n".join(ADDRESSES), to=["a@example.com"], connection=backend
    )
    sent.attach_alternative(f'<a href="{ADDRESSES[1]}">', "text/html")
    sent.send()
    assert (TOKEN in out.getvalue()) == is_terminal
    assert "a@example.com" in out.getvalue()
    assert TOKEN in sent.body
