"""`python -m tests.benchmarks.lists`: the campaign list of one of many workspaces beside a plain
workspace filter.

product    a member's GET of /w/…/admin/campaigns/campaign/: sign-in, workspace, capabilities, both walls, tabs, sidebar
plain      a superuser's GET of the same columns: Unfold's ModelAdmin with get_queryset().filter(workspace=…), no more

CPU is that of the web process and, on PostgreSQL, of its database session. The two take turns,
and each round counts once: medians over the rounds. "queries alone" runs the SELECTs of one such
page again, without Django around them. With --database postgres://… also the third wall: the
product's page through a role that owns nothing, with ROW_SECURITY, beside the owner's without.
"""

from __future__ import annotations

import argparse
import copy
import gc
import statistics
import sys
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from tests.benchmarks.sending import Meter
from tests.faults import laboratory

MOST = 2.5  # what a page may cost beside the plain filter


class Side:
    """One of the things that are compared: `act` once is one page."""

    def __init__(
        self,
        name: str,
        act: Callable[[], object],
        around: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        self.name, self.act, self.around, self.costs = (
            name,
            act,
            around,
            list[tuple[float, float]](),
        )

    def measure(self, times: int) -> None:
        with self.around():
            self.act()  # the connection, the caches
            gc.collect()
            with Meter() as meter:
                for _ in range(times):
                    self.act()
        self.costs.append((1e3 * meter.cpu_secs / times, 1e3 * meter.database_cpu_secs / times))

    @property
    def cpu_ms(self) -> float:
        return statistics.median(own + database for own, database in self.costs)

    def line(self, beside: Side) -> str:
        own, database = (statistics.median(costs) for costs in zip(*self.costs, strict=True))
        return f"    {self.name:<44}{own:>11.2f}{database:>10.2f}{self.cpu_ms:>9.2f}{self.cpu_ms / beside.cpu_ms:>8.2f}×"


def compare(sides: list[Side], rounds: int, times: int) -> None:
    for number in range(rounds):
        for side in sides[number % 2 :] + sides[: number % 2]:
            side.measure(times)
    for side in sides:
        print(side.line(sides[0]))


# --- the data -------------------------------------------------------------------------------------
def fill(workspaces: int, campaigns: int) -> Any:
    """So many workspaces, each with its share of the campaigns; every second was sent. Returns a
    member of one."""
    from tenants.models import User
    from tenants.roles import Role
    from tenants.workspaces import add_member, create_workspace

    member = None
    for number in range(workspaces):
        owner = User.objects.create_user(f"owner{number}@benchmarks.test")
        workspace = create_workspace(f"Workspace {number}", owner=owner)
        _campaigns_in(workspace, campaigns // workspaces)
        if number == workspaces // 2:
            member = add_member(
                workspace, User.objects.create_user("member@benchmarks.test"), Role.MEMBER
            )
    return member


def _campaigns_in(workspace: Any, count: int) -> None:
    from django.utils import timezone

    from campaigns.audience.reasons import Reason
    from campaigns.models import Campaign, Content, Revision, Run
    from tenants.scope import scope

    now, statuses = timezone.now(), list(Campaign.Status)
    with scope(workspace):
        made = Campaign.objects.bulk_create(
            Campaign(workspace=workspace, name=f"Offer {n}", status=statuses[n % len(statuses)])
            for n in range(count)
        )
        Content.objects.bulk_create(
            Content(
                workspace=workspace,
                campaign=campaign,
                fields={"title": "20% off", "body": "Until Sunday."},
            )
            for campaign in made
        )
        pinned = Revision.objects.bulk_create(
            Revision(workspace=workspace, campaign=campaign, number=1, contents=[], digest="0" * 64)
            for campaign in made[::2]
        )
        Run.objects.bulk_create(
            Run(
                workspace=workspace, campaign=revision.campaign, revision=revision, intended_at=now, not_after=now,
                state=Run.State.COMPLETED, audience_size=100, tally={Reason.ACCEPTED.slug: 97}, started_at=now,
                finished_at=now,
            )
            for revision in pinned
        )  # fmt: skip


# --- the pages ------------------------------------------------------------------------------------
def plain_site(workspace: Any) -> Any:
    """An admin site with the campaign list as Unfold's tutorial would write it, with our
    columns."""
    from django.db.models import OuterRef, Subquery
    from unfold.admin import ModelAdmin
    from unfold.sites import UnfoldAdminSite

    from campaigns.admin.campaign.list import CampaignList
    from campaigns.admin.campaign.page import CampaignAdmin
    from campaigns.models import Campaign, Run

    class PlainCampaigns(ModelAdmin):
        list_display = CampaignAdmin.list_display
        list_display_links, search_fields, ordering, sortable_by = None, ("name",), ("-id",), ()
        list_per_page, show_full_result_count, actions = CampaignAdmin.list_per_page, False, None
        # No role is asked: a superuser's rights end where workspaces begin, and the plain way has
        # no such end.
        has_module_permission = has_view_permission = has_add_permission = lambda *asked: True
        has_change_permission = has_delete_permission = has_view_permission

        def get_queryset(self, request: Any) -> Any:
            request.workspace = workspace  # the columns ask for its clock
            runs = Run._base_manager.filter(campaign=OuterRef("pk"))
            last = runs.exclude(started_at=None).order_by("-intended_at").values("pk")[:1]
            following = (
                runs.filter(state=Run.State.PLANNED).order_by("intended_at").values("pk")[:1]
            )
            rows = Campaign._base_manager.filter(workspace=workspace).prefetch_related("contents")
            return rows.annotate(last_run_id=Subquery(last), next_run_id=Subquery(following))

        def get_changelist(self, request: Any, **kwargs: Any) -> Any:
            return CampaignList

    for name in CampaignAdmin.list_display:
        setattr(PlainCampaigns, name, getattr(CampaignAdmin, name))
    site = type("PlainSite", (UnfoldAdminSite,), {"settings_name": "UNFOLD_PLAIN"})(name="plain")
    site.register(Campaign, PlainCampaigns)
    return site


def pages_of(member: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """(product, plain), each a function that gets its page once."""
    from django.conf import settings
    from django.test import Client
    from django.urls import clear_url_caches, path

    import pushpilot.urls
    from tenants.models import User
    from tenants.scope import scope

    settings.UNFOLD_PLAIN = {"SITE_TITLE": "Plain"}
    pushpilot.urls.urlpatterns.append(path("plain/", plain_site(member.workspace).urls))
    clear_url_caches()
    product, plain = Client(), Client()
    product.force_login(member.user, backend="tenants.access.EmailBackend")
    plain.force_login(
        User.objects.create_superuser("root@benchmarks.test"), backend="tenants.access.EmailBackend"
    )

    def get(client: Any, url: str) -> Any:
        response = client.get(url)
        assert response.status_code == 200, (url, response.status_code)
        assert response.content.count(b"cp-row-link") == 25, url
        return response

    def get_plain() -> Any:
        with scope(member.workspace):
            return get(plain, "/plain/campaigns/campaign/")

    return lambda: get(product, f"{member.workspace.console_path}campaigns/campaign/"), get_plain


def queries_of(page: Callable[[], Any]) -> Callable[[], None]:
    """The SELECTs of the page, to be run again."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    page()
    with CaptureQueriesContext(connection) as captured:
        page()
    selects = [query["sql"] for query in captured if query["sql"].startswith("SELECT")]

    def again() -> None:
        with connection.cursor() as cursor:
            for sql in selects:
                cursor.execute(sql)
                cursor.fetchall()

    again.__doc__ = f"{len(selects)} queries"
    return again


@contextmanager
def nothing() -> Any:
    yield


def behind_the_wall() -> Callable[[], AbstractContextManager[None]]:
    """Opens a block in which everything goes through a role that owns nothing, with the backend
    of ROW_SECURITY=1."""
    from django.db import connection, connections

    from tenants.postgres.base import DatabaseWrapper
    from tests.approle import APP_ROLE, make_app_role

    make_app_role(connection)
    described = copy.deepcopy(connection.settings_dict)
    described["OPTIONS"]["assume_role"] = APP_ROLE
    walled, usual = DatabaseWrapper(described, "default"), connections["default"]

    @contextmanager
    def swapped() -> Any:
        connections["default"] = walled
        try:
            yield
        finally:
            connections["default"] = usual

    return swapped


def run(chosen: argparse.Namespace) -> bool:
    from django.conf import settings
    from django.db import connection

    from tests.database import migrate

    settings.ALLOWED_HOSTS = ["*"]
    warnings.filterwarnings("ignore", "No directory at")  # staticfiles/, of a deployment
    migrate()
    member = fill(chosen.workspaces, chosen.campaigns)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    product, plain = pages_of(member)
    head = f"{chosen.campaigns:,} campaigns in {chosen.workspaces} workspaces; CPU in ms per page"
    print(
        f"{connection.vendor}, {head}\n\n    "
        f"{'':<52}{'process':>9}{'database':>10}{'both':>9}{'ratio':>9}"
    )
    pages = [
        Side("plain workspace filter, whole page", plain, nothing),
        Side("campaign list", product, nothing),
    ]
    compare(pages, chosen.rounds, chosen.pages)
    selects = [queries_of(plain), queries_of(product)]
    names = ("plain workspace filter, queries alone", "campaign list, queries alone")
    again = [
        Side(f"{name} ({act.__doc__})", act, nothing)
        for name, act in zip(names, selects, strict=True)
    ]
    compare(again, chosen.rounds, chosen.pages * 5)
    if connection.vendor == "postgresql":
        wall = behind_the_wall()
        walls = [
            Side("campaign list, as the owner", product, nothing),
            Side("campaign list, ROW_SECURITY", product, wall),
        ]
        compare(walls, chosen.rounds, chosen.pages)
        with wall():
            connection.close()
    connection.close()
    return pages[1].cpu_ms <= MOST * pages[0].cpu_ms


def asked(description: str | None, *, each: str, times: int) -> argparse.Namespace:
    """The command's options; `each` is what a round asks for so many `times`."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--campaigns", type=int, default=10_000, help="in all workspaces together")
    parser.add_argument("--workspaces", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument(f"--{each}", type=int, default=times, help="per round")
    parser.add_argument(
        "--database", default="sqlite", help="sqlite, or postgres://user@host/database of a server"
    )
    return parser.parse_args()


def main() -> int:
    chosen = asked(__doc__, each="pages", times=20)
    with laboratory.empty_product(chosen.database):
        is_held = run(chosen)
    if not is_held:
        print(f"\nThe campaign list costs more than {MOST}× the plain filter.")
    return not is_held


if __name__ == "__main__":
    sys.exit(main())
