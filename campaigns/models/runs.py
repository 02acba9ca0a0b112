"""Runs: the occurrences of a campaign, each with its account."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy

from campaigns.audience.reasons import FAILED, UNMADE, Reason
from campaigns.models.campaigns import AmbiguityPolicy, Campaign, Revision, Targeted
from pushpilot.lib import display
from tenants import roles
from tenants.models import Connection


class Run(Targeted):
    """One occurrence of a campaign. Written by campaigns.plan, moved by delivery.engine.pipeline.

    planned → preparing → running ⇄ paused → finishing → completed | cancelled | missed | failed,
    each step a conditional update on (state, epoch).
    """

    class State(models.TextChoices):
        PLANNED = "planned", gettext_lazy("Planned")
        PREPARING = "preparing", gettext_lazy("Preparing the audience")
        RUNNING = "running", gettext_lazy("Sending")
        PAUSED = "paused", gettext_lazy("Paused")
        FINISHING = "finishing", gettext_lazy("Finishing")
        COMPLETED = "completed", gettext_lazy("Completed")
        CANCELLED = "cancelled", gettext_lazy("Cancelled")
        MISSED = "missed", gettext_lazy("Missed")
        FAILED = "failed", gettext_lazy("Failed")

    ACTIVE_STATES = (State.PREPARING, State.RUNNING, State.PAUSED, State.FINISHING)
    ENDED_STATES = (State.COMPLETED, State.CANCELLED, State.MISSED, State.FAILED)

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="runs")
    revision = models.ForeignKey(Revision, on_delete=models.PROTECT, related_name="runs")
    connection = models.ForeignKey(
        Connection, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    intended_at = models.DateTimeField()
    # the moment of its series that it was moved from
    occurrence_at = models.DateTimeField(null=True)
    not_after = models.DateTimeField()  # it starts by then or is missed
    ends_at = models.DateTimeField(null=True)  # who was not sent to by then is expired
    state = models.CharField(max_length=16, choices=State.choices, default=State.PLANNED)
    epoch = models.PositiveIntegerField(default=0)
    ambiguity_policy = models.CharField(
        max_length=8, choices=AmbiguityPolicy.choices, default=AmbiguityPolicy.HOLD
    )
    per_second = models.PositiveIntegerField(null=True)
    avoid_quarter_hours = models.BooleanField(default=False)
    # What the circuit breaker paused it for, and the causes that a person has resumed it in spite
    # of.
    tripped = models.CharField(max_length=16, blank=True)
    waived = models.JSONField(default=list)
    # the memory of delivery.engine.breaker
    last_outcomes = models.CharField(max_length=200, blank=True)
    audience_size = models.PositiveIntegerField(null=True)
    # {reason slug: rows}: what preparation skipped while it runs, the whole account once the run
    # has ended.
    tally = models.JSONField(default=dict)
    # devices that it retired and nobody has revived
    retired = models.PositiveIntegerField(default=0)
    # the newest contact when the audience began to be fixed
    audience_to = models.BigIntegerField(null=True)
    prepared_to = models.BigIntegerField(default=0)  # contacts up to this id are in the ledger
    attempts = models.PositiveIntegerField(default=0)
    last_error = models.CharField(max_length=500, blank=True)
    owner = models.CharField(max_length=64, blank=True)
    lease_until = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    planned_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)

    capabilities = {**roles.READ_ONLY, "send": roles.SEND}

    class Meta:
        verbose_name = gettext_lazy("send")
        verbose_name_plural = gettext_lazy("sends")
        constraints = [
            # The same occurrence is never launched twice.
            models.UniqueConstraint(
                fields=["campaign", "intended_at"], name="run_once_per_occurrence"
            )
        ]
        indexes = [
            # The tick's question: what is due, what is under way?
            models.Index(
                fields=["state", "intended_at"],
                condition=Q(state__in=["planned", "preparing", "running", "paused", "finishing"]),
                name="run_open",
            ),
            # The dashboard: a workspace's runs of the last days, its next runs.
            models.Index(fields=["workspace", "intended_at"], name="run_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.campaign} · {display.moment(self.intended_at, self.workspace.zone)}"

    @property
    def slot(self) -> datetime:
        """The moment of the series that it stands for."""
        return self.occurrence_at or self.intended_at

    @property
    def is_ended(self) -> bool:
        return self.state in self.ENDED_STATES

    @property
    def is_in_vain(self) -> bool:
        """Completed, nobody got it, and not because there was nobody to send to."""
        is_over = self.state == self.State.COMPLETED and self.finished_at is not None
        return is_over and not self.count(Reason.ACCEPTED) and bool(self.count(*FAILED, *UNMADE))

    def count(self, *reasons: Reason) -> int:
        """Rows of the final account with one of these reasons."""
        return sum(self.tally.get(reason.slug, 0) for reason in reasons)
