"""Every number on every chart, one function per number.

What was sent comes from the runs' accounts, what happened afterwards from roll-ups: no function
reads events or messages, so none gets slower with their number. All times of day are the
workspace's.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

from django.db.models import Case, Count, IntegerField, Q, QuerySet, Sum, Value, When
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

from campaigns.audience.reasons import FAILED, UNMADE, UNSURE, WAITING, Reason
from campaigns.models import Campaign, Run, is_broadcast, lane_title
from delivery.models import Shard
from reports.models import Rollup
from tenants.models import Connection, Workspace

ACTIVE_STATUSES = (Campaign.Status.SCHEDULED, Campaign.Status.RUNNING, Campaign.Status.PAUSED)
Tally = Mapping[str, int]
_WAITING_SLUGS = frozenset(reason.slug for reason in WAITING)


class RunRow(NamedTuple):
    """A run with what the dashboard shows of it. `tally` is {reason slug: rows}, complete once
    the run has ended."""

    id: int
    campaign_id: int
    campaign: str
    channel: str
    recurring: bool
    state: str
    intended_at: datetime
    started_at: datetime | None
    audience: int
    tally: Tally
    zone: str  # of the campaign's schedule, "" for the workspace's
    is_broadcast: bool  # one message to subscribers that only the provider knows
    is_direct: bool  # of requests of programs: no campaign, so no page of one

    @property
    def accepted(self) -> int:
        return self.tally.get(Reason.ACCEPTED.slug, 0)

    @property
    def attempted(self) -> int:
        return sum(self.tally.get(reason.slug, 0) for reason in Reason if reason.is_attempted)

    @property
    def failed(self) -> int:
        """Refused by the provider, or the address is gone. What is unknown is neither sent nor
        failed."""
        return sum(self.tally.get(reason.slug, 0) for reason in FAILED)

    @property
    def unmade(self) -> int:
        """Not attempted: the text could not be personalised, or became too large."""
        return sum(self.tally.get(reason.slug, 0) for reason in UNMADE)

    @property
    def unknown(self) -> int:
        """May have arrived or not, whether somebody has decided about it or not."""
        return sum(self.tally.get(reason.slug, 0) for reason in UNSURE)

    @property
    def undecided(self) -> int:
        return self.tally.get(Reason.UNKNOWN.slug, 0)


# --- the five figures -----------------------------------------------------------------------------


def total_messages_sent(workspace: Workspace, live: Mapping[int, Tally] | None = None) -> int:
    """Messages that a provider accepted, ever. `live`: the result of live_tallies, if the caller
    has it."""
    accepted = Cast(KeyTextTransform(Reason.ACCEPTED.slug, "tally"), IntegerField())
    ended = Run.objects.filter(workspace=workspace).aggregate(n=Sum(accepted))["n"] or 0
    under_way = live_tallies(workspace) if live is None else live
    return int(ended) + sum(tally.get(Reason.ACCEPTED.slug, 0) for tally in under_way.values())


def messages_sent_today(
    workspace: Workspace, now: datetime, runs: Sequence[RunRow] | None = None
) -> int:
    """Messages accepted in the runs that started since midnight in the workspace's zone."""
    midnight = day_start(workspace, now, 0)
    found = runs_since(workspace, midnight) if runs is None else runs
    return sum(
        run.accepted for run in found if run.started_at is not None and run.started_at >= midnight
    )


def next_send_time(workspace: Workspace, now: datetime) -> datetime | None:
    """When the next planned run starts."""
    planned = Run.objects.filter(workspace=workspace, state=Run.State.PLANNED, not_after__gte=now)
    return planned.order_by("intended_at").values_list("intended_at", flat=True).first()


def active_campaign_count(workspace: Workspace) -> int:
    return sum(active_campaigns(workspace).values())


def connected_applications_count(workspace: Workspace) -> int:
    return Connection.objects.filter(workspace=workspace, is_active=True).count()


def active_campaigns(workspace: Workspace) -> dict[str, int]:
    """{status: campaigns} of the campaigns that are scheduled, running or paused."""
    rows = (
        Campaign.objects.filter(workspace=workspace, status__in=ACTIVE_STATUSES)
        .order_by()
        .values_list("status")
    )
    return dict(rows.annotate(n=Count("pk")))


def has_ever_sent(workspace: Workspace) -> bool:
    """Whether any run of the workspace has started."""
    return Run.objects.filter(workspace=workspace, started_at__isnull=False).exists()


# --- runs -----------------------------------------------------------------------------------------

_RUN_FIELDS = (
    "id",
    "campaign_id",
    "campaign__name",
    "channel",
    "campaign__schedule_type",
    "state",
    "intended_at",
    "started_at",
    "audience_size",
    "tally",
    "campaign__time_zone",
    "target_kind",
    "direct",
)


def live_tallies(workspace: Workspace) -> dict[int, Tally]:
    """{run: what its shards have recorded} for the runs whose account is not written down yet."""
    open_accounts = Run.objects.filter(
        Q(finished_at__isnull=True) | Q(state=Run.State.FAILED),
        workspace=workspace,
        audience_size__isnull=False,
    )
    return shard_tallies(
        Shard.objects.filter(run__in=open_accounts).values_list(
            "run_id", "run__tally", "run__audience_size", "tally"
        )
    )


def runs_since(
    workspace: Workspace, since: datetime, live: Mapping[int, Tally] | None = None
) -> list[RunRow]:
    """The runs intended for `since` or later, planned ones too, the earliest first."""
    rows = Run.objects.filter(workspace=workspace, intended_at__gte=since).order_by(
        "intended_at", "id"
    )
    return _run_rows(
        rows.values_list(*_RUN_FIELDS), live_tallies(workspace) if live is None else live
    )


def runs_of(campaign_id: int, run_id: int | None = None) -> list[RunRow]:
    """All runs of a campaign, the latest first; or that one."""
    rows = Run.objects.filter(campaign_id=campaign_id).order_by("-intended_at", "-id")
    if run_id is not None:
        rows = rows.filter(pk=run_id)
    shards = Shard.objects.filter(
        run__in=rows.filter(Q(finished_at__isnull=True) | Q(state=Run.State.FAILED))
    )
    live = shard_tallies(shards.values_list("run_id", "run__tally", "run__audience_size", "tally"))
    return _run_rows(rows.values_list(*_RUN_FIELDS), live)


def started_runs_of(campaign_id: int) -> list[RunRow]:
    """Those of runs_of that a report of the campaign counts."""
    return [run for run in runs_of(campaign_id) if run.started_at is not None]


def next_runs(runs: Iterable[RunRow], now: datetime, most: int = 6) -> list[RunRow]:
    """The planned ones among runs_since, the earliest first."""
    ahead = [
        run
        for run in runs
        if run.state == Run.State.PLANNED and run.intended_at >= now - timedelta(hours=1)
    ]
    return ahead[:most]


def shard_tallies(rows: Iterable[tuple[int, Tally, int | None, Tally]]) -> dict[int, Tally]:
    """{run: what its shards have recorded} from (run, its tally, its audience, a shard's tally)."""
    tallies: dict[int, Counter[str]] = defaultdict(Counter)
    for run_id, account, audience, tally in rows:
        # else the run's own account holds these rows already
        if sum(account.values()) < (audience or 0):
            # A retry that settled is still counted as waiting by its shard: what waits is the rest
            # of the audience.
            tallies[run_id].update(
                {slug: n for slug, n in tally.items() if slug not in _WAITING_SLUGS}
            )
    return dict(tallies)


def _run_rows(rows: Iterable[tuple[Any, ...]], live: Mapping[int, Tally]) -> list[RunRow]:
    found = []
    for (
        pk,
        campaign_id,
        name,
        channel,
        schedule,
        state,
        intended_at,
        started_at,
        audience,
        account,
        zone,
        kind,
        direct,
    ) in rows:
        tally = dict(Counter(account) + Counter(live.get(pk, {})))
        found.append(
            RunRow(
                pk,
                campaign_id,
                lane_title(direct) if direct else name,
                channel,
                schedule == Campaign.Schedule.RECURRING,
                state,
                intended_at,
                started_at,
                audience or 0,
                tally,
                zone,
                is_broadcast(kind),
                bool(direct),
            )
        )
    return found


# --- days -----------------------------------------------------------------------------------------


def day_start(workspace: Workspace, now: datetime, days_ago: int) -> datetime:
    """Midnight of a day in the workspace's zone, as UTC."""
    day = now.astimezone(workspace.zone).date() - timedelta(days=days_ago)
    return datetime.combine(day, time(), workspace.zone).astimezone(UTC)


def days_back(workspace: Workspace, now: datetime, days: int) -> list[date]:
    """The last days, today included, the oldest first."""
    today = now.astimezone(workspace.zone).date()
    return [today - timedelta(days=ago) for ago in range(days - 1, -1, -1)]


def sent_by_day(workspace: Workspace, runs: Iterable[RunRow]) -> Counter[date]:
    """Accepted messages by the day on which their run started."""
    sent: Counter[date] = Counter()
    for run in runs:
        if run.started_at is not None:
            sent[run.started_at.astimezone(workspace.zone).date()] += run.accepted
    return sent


def events_by_day(workspace: Workspace, now: datetime, days: int) -> dict[str, Counter[date]]:
    """{event type: {day: events of campaigns}} by the day on which they happened."""
    dates = days_back(workspace, now, days)
    starts = [day_start(workspace, now, ago) for ago in range(days - 1, -1, -1)]
    which_day = Case(
        *(When(quarter__lt=end, then=Value(index)) for index, end in enumerate(starts[1:])),
        default=Value(days - 1),
        output_field=IntegerField(),
    )
    rows = (
        Rollup.objects.filter(workspace=workspace, quarter__gte=starts[0], campaign_id__gt=0)
        .annotate(day=which_day)
        .values_list("type", "day")
        .order_by()
        .annotate(n=Sum("events"))
    )
    found: dict[str, Counter[date]] = defaultdict(Counter)
    for kind, day, count in rows:
        found[kind][dates[day]] += count
    return found


def people_by_run(workspace: Workspace, since: datetime) -> dict[int, Counter[str]]:
    """{run: {event type: recipients}} of what happened since then."""
    return _by_run(
        Rollup.objects.filter(workspace=workspace, quarter__gte=since, campaign_id__gt=0)
    )


def _by_run(rows: QuerySet[Rollup, Rollup]) -> dict[int, Counter[str]]:
    found: dict[int, Counter[str]] = defaultdict(Counter)
    for run_id, kind, people in (
        rows.order_by().values_list("run_id", "type").annotate(n=Sum("people"))
    ):
        found[run_id][kind] += people
    return found


def sent_by_channel(runs: Iterable[RunRow], since: datetime) -> list[tuple[str, int]]:
    """(channel, accepted messages) of the runs started since then, the biggest first."""
    sent: Counter[str] = Counter()
    for run in runs:
        if run.started_at is not None and run.started_at >= since:
            sent[run.channel] += run.accepted
    return [(channel, count) for channel, count in sent.most_common() if count]


def people_of_campaign(campaign_id: int, run_id: int | None = None) -> dict[int, Counter[str]]:
    """{run: {event type: recipients}} of a campaign, or of one of its runs."""
    rows = Rollup.objects.filter(campaign_id=campaign_id)
    if run_id is not None:
        rows = rows.filter(run_id=run_id)
    return _by_run(rows)


def everybody(people: Mapping[int, Counter[str]]) -> Counter[str]:
    """{event type: recipients} over all runs; a recipient of two runs counts twice."""
    total: Counter[str] = Counter()
    for counts in people.values():
        total.update(counts)
    return total


def engagement_over_time(
    campaign_id: int, since: datetime, until: datetime, run_id: int | None = None
) -> dict[str, dict[datetime, int]]:
    """{event type: {start of the quarter of an hour: events}}."""
    rows = Rollup.objects.filter(
        campaign_id=campaign_id, quarter__gte=since - timedelta(minutes=15), quarter__lt=until
    )
    if run_id is not None:
        rows = rows.filter(run_id=run_id)
    found: dict[str, dict[datetime, int]] = defaultdict(dict)
    for kind, quarter, events in (
        rows.order_by("quarter").values_list("type", "quarter").annotate(n=Sum("events"))
    ):
        found[kind][quarter] = events
    return found
