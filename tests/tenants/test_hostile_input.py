"""What nobody sends by accident: addresses that lead to another site, characters that no text
has."""

import pytest
from django.core.exceptions import ValidationError

from tenants.models import Invitation, User, Workspace
from tenants.scope import scope
from tenants.workspaces import change_settings, create_workspace
from tests.pages import YES


# --- the way out of a workspace's address ---------------------------------------------------------
@pytest.mark.parametrize("who", ["anonymous", "member"])
@pytest.mark.parametrize(
    "rest", ["//evil.example/a", "///evil.example", "/%2F/evil.example", "/%2Fevil.example", "/%5Cevil.example",
             "/%5C%5Cevil.example", "/%09/evil.example", "/%0A/evil.example", "/%20/evil.example"],
)  # fmt: skip
def test_a_workspace_s_address_leads_to_no_other_site(cast, who, rest):
    for slug in (cast.workspace.slug, "x"):
        assert cast.client(who).get(f"/w/{slug}{rest}").status_code == 404


def test_account_pages_still_have_one_address_for_all_workspaces(cast):
    answer = cast.client("member").get(f"/w/{cast.workspace.slug}/accounts/email/?a=b")
    assert answer.headers["Location"] == "/accounts/email/?a=b"


# --- NUL ------------------------------------------------------------------------------------------
CONSOLE = [
    "search/?s=a%00b", "autocomplete/?term=%00&app_label=campaigns&model_name=campaign&field_name=segment",
    "tenants/membership/?role__exact=%00", "tenants/auditentry/?via__exact=%00", "tenants/auditentry/?target=%00",
    "tenants/auditentry/export/?q=a%00", "campaigns/contact/?q=a%00", "campaigns/contact/?a%00=b",
]  # fmt: skip
PLATFORM = ["search/?s=%00a", "tenants/user/?provider=%00", "tenants/workspace/?plan__exact=%00"]


@pytest.mark.parametrize("path", CONSOLE)
def test_a_nul_in_an_address_of_the_console_is_refused_with_a_sentence(cast, path):
    assert refused(cast.client("owner").get(cast.url(path)), "The address holds a NUL character")


@pytest.mark.parametrize("path", PLATFORM)
def test_a_nul_in_an_address_of_the_platform_is_refused(cast, path):
    assert refused(
        cast.client("operator").get(f"/platform/{path}"), "The address holds a NUL character"
    )


@pytest.mark.parametrize(
    ("path", "form"),
    [("/", {"name": "a\0b"}), ("/accounts/profile/", {"full_name": "a\0b"}), ("/accounts/login/", {"login\0": "a"}),
     ("/workspaces/deleted/", {"workspace": "\0"})],
)  # fmt: skip
def test_a_nul_in_a_form_is_refused(cast, path, form):
    assert refused(cast.client("outsider").post(path, form), "The form holds a NUL character")


def test_a_nul_that_a_cookie_spells_is_refused(cast):
    client = cast.client("anonymous")
    answer = client.get(cast.url(), headers={"Cookie": 'sessionid="' + "\\000" * 32 + '"'})
    assert refused(answer, "A cookie holds a NUL character")


def test_a_nul_in_a_path_is_an_address_that_there_is_not(cast):
    for path in (
        "/platform/django_q/success/%00/change/",
        "/platform/tenants/user/%00/change/",
        "/%00/",
    ):
        assert cast.client("operator").get(path).status_code == 404


def test_the_api_says_so_as_problem_json(cast):
    answer = cast.client("anonymous").get("/api/v1/workspaces?search=%00")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_text")
    assert answer.headers["Content-Type"] == "application/problem+json"


def refused(answer, sentence: str) -> bool:
    return answer.status_code == 400 and sentence in answer.content.decode()


# --- what is no id, what is no address ------------------------------------------------------------
@pytest.mark.parametrize("pk", ["abc", "99999999999999999999", "0", "1.5"])
@pytest.mark.parametrize(
    "action", ["workspace/{}/undo_deletion", "user/{}/deactivate", "user/{}/make_operator"]
)
def test_a_dialog_of_the_platform_about_no_row_is_404(cast, pk, action):
    path = f"/platform/tenants/{action.format(pk)}/"
    client = cast.client("operator")
    assert [client.get(path).status_code, client.post(path, YES).status_code] == [404, 404]


def test_an_address_that_is_too_long_invites_nobody(cast, mailoutbox):
    long = "a" * 260 + "@x.example"
    form = {"emails": f"ok@x.example {long}", "role": "member"}
    page = cast.client("admin").post(cast.url("tenants/invitation/add/"), form).content.decode()
    assert "This address has 270 characters" in page
    assert not mailoutbox
    with scope(cast.workspace):
        assert not Invitation.objects.exists()


# --- names and languages --------------------------------------------------------------------------
@pytest.mark.parametrize(
    "name",
    ["Fresh\x1b[31mCart", "Fresh\nCart", "Fresh\u202etraC", "Fresh\u2028Cart", "\u2066Fresh"],
)
def test_a_name_holds_nothing_that_cannot_be_seen(cast, name):
    settings = f"tenants/workspace/{cast.workspace.pk}/change/"
    form = {"name": name, "slug": "biddano-tech", "time_zone": "UTC", "default_language": "en"}
    sign_up = {"email": "new@biddano.test", "password1": "correct horse battery", "full_name": name}
    for who, path, fields in (
        ("owner", cast.url(settings), form), ("outsider", "/", {"name": name}),
        ("member", "/accounts/profile/", {"full_name": name}), ("anonymous", "/accounts/signup/", sign_up),
    ):  # fmt: skip
        assert (
            "A name cannot hold the invisible character U+"
            in cast.client(who).post(path, fields).content.decode()
        )
    assert not Workspace.objects.filter(name=name).exists()
    assert not User.objects.filter(full_name=name).exists()


def test_names_of_every_script_stay_names(cast):
    for name in ("क्‍ष Foods", "\u200fمخبز", "Śledź & Søn", "👩‍🍳 Kitchen"):
        assert (
            cast.client("member").post("/accounts/profile/", {"full_name": name}).status_code == 302
        )
        assert cast.client("outsider").post("/?new", {"name": name}).status_code == 302


@pytest.mark.parametrize(
    ("language", "kept"),
    [("en", "en"), ("pt-BR", "pt-BR"), ("zh-Hant-TW", "zh-Hant-TW"), ("es-419", "es-419"), ("en_us", "en-US"),
     ("hi\n", "hi"), ("klingon!! <b>", ""), ("english", ""), ("e", ""), ("ｅｎ", "")],
)  # fmt: skip
def test_the_default_language_is_one(cast, language, kept):
    form = {
        "name": "Biddano",
        "slug": "biddano-tech",
        "time_zone": "UTC",
        "default_language": language,
    }
    answer = cast.client("owner").post(
        cast.url(f"tenants/workspace/{cast.workspace.pk}/change/"), form
    )
    if kept:
        assert answer.status_code == 302
    else:
        assert list(answer.context["adminform"].form.errors) == ["default_language"]
    assert Workspace.objects.get(pk=cast.workspace.pk).default_language == (kept or "en")


# --- a workspace's address ------------------------------------------------------------------------
@pytest.mark.parametrize("slug", ["1", "2024", "Biddano-Tech", "ELSEWHERE", "Elsewhere", "Fresh"])
def test_a_web_address_reads_as_no_other_workspace(cast, slug):
    form = {"name": "Biddano", "slug": slug, "time_zone": "UTC", "default_language": "en"}
    page = cast.client("owner").post(
        cast.url(f"tenants/workspace/{cast.workspace.pk}/change/"), form
    )
    assert page.status_code == 200
    assert page.context["adminform"].form.errors.keys() == {"slug"}
    with pytest.raises(ValidationError) as raised, scope(cast.workspace):
        change_settings(cast.workspace, {"slug": slug}, by=cast.owner)
    assert raised.value.error_dict.keys() == {"slug"}
    assert Workspace.objects.get(pk=cast.workspace.pk).slug == "biddano-tech"


def test_an_older_address_in_capitals_is_nobody_else_s(cast):
    Workspace.objects.filter(pk=cast.other_workspace.pk).update(slug="Elsewhere")
    with pytest.raises(ValidationError), scope(cast.workspace):
        change_settings(cast.workspace, {"slug": "elsewhere"}, by=cast.owner)


def test_a_workspace_that_is_called_by_a_number_gets_an_address_with_letters(cast):
    assert [create_workspace("2024", owner=cast.owner).slug, create_workspace("2024", owner=cast.owner).slug[:15]] == [
        "workspace-2024", "workspace-2024-",
    ]  # fmt: skip
