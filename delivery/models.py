"""The ledger: shards of a run and one row per recipient. Written by pipeline.py and record.py, by nothing else."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from campaigns.models import Contact, Endpoint, Run
from campaigns.reasons import Reason
from tenants import roles
from tenants.models import Connection
from tenants.scope import TenantModel


class Message(TenantModel):
    """One recipient of a run: the seeds' notifications. Unique per (run, contact, endpoint).

    Lean on purpose: no index on a column that the hot UPDATE changes, no foreign-key index but the unique one's
    prefix (fixing an audience of a million took 12.8 s with four secondary indexes, 1.3 s like this). Workers find
    rows by ranges of the primary key.
    """

    workspace = models.ForeignKey(
        "tenants.Workspace", on_delete=models.CASCADE, related_name="+", editable=False, db_index=False
    )
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="messages", db_index=False)
    # Always set; nullable so that Django joins it with LEFT JOIN: the row outlives a deleted contact.
    contact = models.ForeignKey(
        Contact, null=True, on_delete=models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False
    )
    endpoint = models.ForeignKey(
        Endpoint, null=True, on_delete=models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False
    )
    reason = models.PositiveSmallIntegerField(choices=Reason.choices, default=Reason.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    possible_duplicate = models.PositiveSmallIntegerField(default=0)
    attempted_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)
    provider_id = models.CharField(max_length=200, blank=True)
    error_code = models.CharField(max_length=64, blank=True)

    capabilities = roles.READ_ONLY

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "contact", "endpoint"], name="message_once_per_recipient"),
            # NULLs are distinct in a unique index, so recipients without an endpoint need their own.
            models.UniqueConstraint(
                fields=["run", "contact"], condition=models.Q(endpoint__isnull=True), name="message_once_no_endpoint"
            ),
        ]

    def __str__(self) -> str:
        return f"message {self.pk}"


class Shard(TenantModel):
    """A slice of a run, the ledger rows with first_id ≤ id ≤ last_id, that one worker takes at a time.

    While leased, [window_from, window_to] covers every row that may be in flight: the worker moves it in the
    database before it sends (the fence). A row in the window without an outcome, of a worker that died, is unknown.
    """

    class State(models.TextChoices):
        OPEN = "open", "Open"
        LEASED = "leased", "Leased"
        DONE = "done", "Done"

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="shards")
    first_id = models.BigIntegerField()
    last_id = models.BigIntegerField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    owner = models.CharField(max_length=64, blank=True)
    lease_until = models.DateTimeField(null=True)
    not_before = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveIntegerField(default=0)
    window_from = models.BigIntegerField(null=True)
    window_to = models.BigIntegerField(null=True)
    # {reason slug: rows} of this shard's rows that have an outcome; moves in the same transaction as the rows.
    tally = models.JSONField(default=dict)

    capabilities = roles.READ_ONLY

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "first_id"], name="shard_cut_once")]
        # What can be leased now?
        indexes = [models.Index(fields=["state", "not_before"], condition=~models.Q(state="done"), name="shard_open")]

    def __str__(self) -> str:
        return f"shard {self.first_id}–{self.last_id}"


class Pace(models.Model):
    """The token bucket of a connection, shared by all workers."""

    connection = models.OneToOneField(Connection, on_delete=models.CASCADE, primary_key=True, related_name="pace")
    tokens = models.FloatField()
    refilled_at = models.DateTimeField()
    closed_until = models.DateTimeField(null=True)  # the provider said Retry-After

    def __str__(self) -> str:
        return f"pace of {self.connection_id}"


class Heartbeat(models.Model):
    """Proof that a worker's q2 cluster works: written by a q2 task, read by its watchdog."""

    worker = models.CharField(max_length=100, primary_key=True)
    beat_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.worker
