"""What nobody sends by accident: addresses that lead to another site, characters that no text has."""

import pytest


# --- the way out of a workspace's address -------------------------------------------------------------------------
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
