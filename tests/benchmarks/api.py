"""`python -m tests.benchmarks.api`: the API's campaigns, a page of twenty and one alone, beside bare
views of django-ninja that run the same queries.

product    GET /api/v1/campaigns and /api/v1/campaigns/<id> with a key: whose it is, its scope, its limit, the walls, filters, ETag
bare       the same rows by the same query and schema, from a router that asks nobody who calls

Both go through all of the product's middleware. CPU is that of the web process and, on PostgreSQL,
of its database session. The two take turns, and each round counts once: medians over the rounds.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from typing import Any

from tests.benchmarks.lists import Side, asked, compare, fill, nothing
from tests.faults import laboratory

MOST = 3.0  # what an answer may cost beside the bare view


def bare_api(workspace: Any) -> Any:
    """The same queries and schemas, as ninja's tutorial would write them."""
    from ninja import NinjaAPI

    from campaigns.api import campaign_routes
    from campaigns.models import Campaign
    from tenants.scope import scope

    bare = NinjaAPI(urls_namespace="bare", openapi_url="")
    rows = Campaign._base_manager.filter(workspace=workspace).select_related("workspace")
    page = campaign_routes.CAMPAIGNS.route["response"]

    @bare.get("/campaigns", response=page)
    def listed(request: Any) -> Any:
        with scope(workspace):
            count = rows.count()
            found = [campaign_routes._row(row) for row in rows.order_by("-pk")[:20]]
        return {"count": count, "next": None, "previous": None, "results": found}

    @bare.get("/campaigns/{int:pk}", response=campaign_routes.schemas.CampaignDetail)
    def one(request: Any, pk: int) -> Any:
        with scope(workspace):
            return campaign_routes._detail(rows.get(pk=pk))

    return bare


def run(chosen: argparse.Namespace) -> bool:
    from django.conf import settings
    from django.db import connection
    from django.test import Client
    from django.urls import clear_url_caches, path

    import pushpilot.urls
    from campaigns.models import Campaign
    from tenants import keys
    from tenants.models import ApiKey
    from tenants.scope import scope
    from tests.database import migrate

    settings.ALLOWED_HOSTS, settings.API_PER_MINUTE = ["*"], 1_000_000
    warnings.filterwarnings("ignore", "No directory at")  # staticfiles/, of a deployment
    migrate()
    workspace = fill(chosen.workspaces, chosen.campaigns).workspace
    with scope(workspace):
        key = ApiKey(
            workspace=workspace,
            name="Backend",
            kind=ApiKey.Kind.SECRET,
            scopes=[keys.CAMPAIGNS_READ],
        )
        secret = keys.create(key, by=None)
        newest = Campaign.objects.order_by("-pk").values_list("pk", flat=True)[1]
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    pushpilot.urls.urlpatterns.append(path("bare/", bare_api(workspace).urls))
    clear_url_caches()
    client = Client(headers={"Authorization": f"Bearer {secret}"})

    def get(address: str) -> Any:
        response = client.get(address)
        assert response.status_code == 200, (address, response.content)
        return response

    print(
        f"{connection.vendor}, {chosen.campaigns:,} campaigns in {chosen.workspaces} workspaces; "
        f"CPU in ms per request\n\n    {'':<44}{'process':>11}{'database':>10}{'both':>9}{'ratio':>9}"
    )
    is_held = True
    for name, tail in (("a page of 20 campaigns", ""), ("one campaign", f"/{newest}")):
        bare, product = f"/bare/campaigns{tail}", f"/api/v1/campaigns{tail}"
        assert {**get(product).json(), "next": None} == {**get(bare).json(), "next": None}
        sides = [
            Side(f"{name}, bare", lambda at=bare: get(at), nothing),
            Side(f"{name}, the product", lambda at=product: get(at), nothing),
        ]
        compare(sides, chosen.rounds, chosen.requests)
        is_held &= sides[1].cpu_ms <= MOST * sides[0].cpu_ms
    connection.close()
    return is_held


def main() -> int:
    chosen = asked(__doc__, each="requests", times=50)
    with laboratory.empty_product(chosen.database):
        is_held = run(chosen)
    if not is_held:
        print(f"\nAn answer of the API costs more than {MOST}× the bare view.")
    return not is_held


if __name__ == "__main__":
    sys.exit(main())
