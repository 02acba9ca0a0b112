"""The first part of an address, /w/<slug>/: who is let in, and what belongs elsewhere."""

import pytest

from tests.cast import ROLES


def test_the_root_of_a_workspace_leads_to_its_console_with_what_was_asked(cast):
    client = cast.client("viewer")
    assert client.get("/w/biddano-tech/").url == "/w/biddano-tech/admin/"
    assert client.get("/w/biddano-tech/?from=mail").url == "/w/biddano-tech/admin/?from=mail"


def test_an_account_s_page_has_one_address_for_all_workspaces(cast):
    answer = cast.client("viewer").get("/w/biddano-tech/accounts/email/?next=/")
    assert answer.url == "/accounts/email/?next=/"


@pytest.mark.parametrize(
    ("name", "status"),
    [*dict.fromkeys(ROLES, 200).items(), ("outsider", 404), ("other_owner", 404)],
)
def test_a_workspace_exists_for_its_members_alone(cast, name, status):
    client = cast.client(name)
    assert client.get(cast.url()).status_code == status
    assert client.get("/w/nowhere/admin/").status_code == 404


def test_nobody_is_asked_to_sign_in_and_comes_back(cast):
    answer = cast.client("anonymous").get(cast.url("?tab=1"))
    assert answer.status_code == 302
    assert answer.url.endswith("?next=/w/biddano-tech/admin/%3Ftab%3D1")
