"""The ledger: shards of a run and one row per recipient. Written by pipeline.py and record.py,
by nothing else."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from campaigns.audience.reasons import Reason
from campaigns.models import Campaign, Contact, Endpoint, Run
from tenants import roles
from tenants.models import Connection
from tenants.scope import TenantModel


class DirectSend(TenantModel):
    """One request for direct messages: who gets what, until a worker gathers it into the ledger
    and after that for its trace. `contents` and `data` are emptied a day after the request."""

    # A lane: the workspace's campaign for the direct messages of this channel and class.
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="+")
    contents = models.JSONField(default=list)  # as Revision.contents
    people = models.JSONField(default=list)  # [[contact id, external id, their own data | null], …]
    data = models.JSONField(default=dict)  # for all of them
    unknown = models.JSONField(default=list)  # the external ids that no contact has
    made_by = models.CharField(max_length=200, blank=True)
    accepted_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()  # who was not sent to by then is expired
    # Where its messages are, once it is gathered.
    run = models.ForeignKey(Run, null=True, on_delete=models.CASCADE, related_name="direct_sends")
    shard = models.ForeignKey(
        "delivery.Shard", null=True, on_delete=models.SET_NULL, related_name="direct_sends"
    )
    emptied_at = models.DateTimeField(null=True)

    capabilities = {**roles.READ_ONLY, "send": roles.SEND}

    class Meta:
        indexes = [
            # What waits to be gathered?
            models.Index(fields=["id"], condition=models.Q(run=None), name="direct_waiting"),
            # What is to be emptied?
            models.Index(
                fields=["accepted_at"], condition=models.Q(emptied_at=None), name="direct_full"
            ),
        ]

    def __str__(self) -> str:
        return f"direct send {self.pk}"


class Message(TenantModel):
    """One recipient of a run. Unique per (run, contact, endpoint), in direct messages per request
    beside: a person may get several in one run.

    Lean on purpose: no index on a column that the hot UPDATE changes, no foreign-key index but
    the unique one's prefix (fixing an audience of a million took 12.8 s with four secondary
    indexes, 1.3 s like this). Workers find rows by ranges of the primary key.
    """

    workspace = models.ForeignKey(
        "tenants.Workspace",
        on_delete=models.CASCADE,
        related_name="+",
        editable=False,
        db_index=False,
    )
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="messages", db_index=False)
    # Always set; nullable so that Django joins it with LEFT JOIN: the row outlives a deleted
    # contact.
    contact = models.ForeignKey(
        Contact,
        null=True,
        on_delete=models.DO_NOTHING,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    endpoint = models.ForeignKey(
        Endpoint,
        null=True,
        on_delete=models.DO_NOTHING,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    reason = models.PositiveSmallIntegerField(default=Reason.PENDING)  # of Reason
    attempts = models.PositiveSmallIntegerField(default=0)
    possible_duplicate = models.PositiveSmallIntegerField(default=0)
    attempted_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)
    # Tries since the last time that a person sent it again; `attempts` counts them all.
    retries = models.PositiveSmallIntegerField(default=0)
    # The number of the content revision that was handed to the provider.
    revision = models.PositiveIntegerField(null=True)
    provider_id = models.CharField(max_length=200, blank=True)
    error_code = models.CharField(max_length=64, blank=True)
    # What was said at the attempts that the provider did not simply accept, the last ones:
    # delivery.engine.answers. NULL for all others, so that adding it rewrote no table.
    answers = models.JSONField(null=True, editable=False)
    # The direct send that it belongs to; 0: none. No foreign key: it would need an index.
    request = models.BigIntegerField(default=0)
    # When a direct message was handed to the provider.
    sent_at = models.DateTimeField(null=True)

    capabilities = roles.READ_ONLY

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["run", "contact", "endpoint", "request"], name="message_once_per_recipient"
            ),
            # NULLs are distinct in a unique index, so recipients without an endpoint need their
            # own.
            models.UniqueConstraint(
                fields=["run", "contact", "request"],
                condition=models.Q(endpoint__isnull=True),
                name="message_once_no_endpoint",
            ),
            # A broadcast is one recipient. The provider alone knows its people.
            models.UniqueConstraint(
                fields=["run"],
                condition=models.Q(contact__isnull=True),
                name="message_once_per_topic",
            ),
        ]

    def __str__(self) -> str:
        return f"message {self.pk}"


class Shard(TenantModel):
    """A part of a run, the ledger rows with first_id ≤ id ≤ last_id, that one worker takes at a
    time.

    While leased, [window_from, window_to] covers every row that may be in flight: the worker
    moves it in the database before it sends (the fence). A row in the window without an outcome,
    of a worker that died, is unknown.
    """

    class State(models.TextChoices):
        OPEN = "open", "Open"
        LEASED = "leased", "Leased"
        HELD = "held", "Held"  # all that is left waits for a platform, see Reach
        DONE = "done", "Done"

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="shards")
    first_id = models.BigIntegerField()
    last_id = models.BigIntegerField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    owner = models.CharField(max_length=64, blank=True)
    lease_until = models.DateTimeField(null=True)
    leased_at = models.DateTimeField(null=True)  # the last time that a worker took it
    # of the content, as the worker that took it sends it
    revision = models.PositiveIntegerField(null=True)
    not_before = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveIntegerField(default=0)
    window_from = models.BigIntegerField(null=True)
    window_to = models.BigIntegerField(null=True)
    # {reason slug: rows} of this shard's rows that have an outcome; moves in the same transaction
    # as the rows.
    tally = models.JSONField(default=dict)
    # {platform: deferred rows}, as its last worker counted them
    held = models.JSONField(default=dict)
    held_until = models.DateTimeField(null=True)  # then they are given up

    capabilities = roles.READ_ONLY

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "first_id"], name="shard_cut_once")]
        # What can be leased now?
        indexes = [
            models.Index(
                fields=["state", "not_before"], condition=~models.Q(state="done"), name="shard_open"
            )
        ]

    def __str__(self) -> str:
        return f"shard {self.first_id}–{self.last_id}"

    @property
    def worker(self) -> str:
        """The process that holds it, as leases.worker_name() says: the owner without the lease's
        own random part."""
        return self.owner.rpartition(":")[0] or self.owner


class Reach(TenantModel):
    """What the provider's answers say about a connection, with the credentials that it has now,
    and one platform."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="reach")
    # of Channel.platforms; "": the app did not say
    platform = models.CharField(max_length=16, blank=True)
    # The provider took a message for a device of it: our account is the right one.
    proven_at = models.DateTimeField(null=True)
    # While it is held nothing is sent to the platform but one message (`probe`) at a time, the next
    # at `probe_at`.
    held_since = models.DateTimeField(null=True)
    code = models.CharField(max_length=64, blank=True)
    detail = models.CharField(max_length=500, blank=True)
    probe = models.BigIntegerField(null=True)
    probe_at = models.DateTimeField(null=True)

    capabilities = {"view": roles.CONNECTIONS}

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "platform"], name="reach_once_per_platform"
            )
        ]

    def __str__(self) -> str:
        return f"{self.platform or 'unnamed platform'} through connection {self.connection_id}"


class Pace(models.Model):
    """The token bucket of a connection or of a run, shared by all workers; a row, so that it
    survives a restart."""

    connection = models.OneToOneField(
        Connection, null=True, on_delete=models.CASCADE, related_name="pace"
    )
    run = models.OneToOneField(Run, null=True, on_delete=models.CASCADE, related_name="pace")
    tokens = models.FloatField()
    refilled_at = models.DateTimeField()
    # The rate grows from `ramp_base` of the full one to all of it in a minute that begins at
    # `ramp_from`.
    ramp_from = models.DateTimeField()
    ramp_base = models.FloatField(default=1.0)
    closed_until = models.DateTimeField(null=True)  # the provider said Retry-After

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(connection__isnull=True) ^ models.Q(run__isnull=True),
                name="pace_of_one_thing",
            )
        ]

    def __str__(self) -> str:
        return (
            f"pace of {'run' if self.run_id else 'connection'} {self.run_id or self.connection_id}"
        )


class Installation(models.Model):
    """One row: which installation this database belongs to, and how far it had come.

    A copy of the database (a staging clone, a restored backup) must never send by itself:
    delivery.engine.installation.
    """

    name = models.CharField(max_length=64)
    # one every ten seconds of work: a database that went back has fewer
    ticks = models.BigIntegerField(default=0)
    ticked_at = models.DateTimeField(null=True)
    # what a machine noticed that remembers more, for those that do not
    locked = models.TextField(blank=True)

    def __str__(self) -> str:
        return self.name


class Fingerprint(models.Model):
    """One row, written when the tables are made: what this database and every copy of it have in
    common, and no other database has."""

    value = models.CharField(max_length=64)

    def __str__(self) -> str:
        return self.value


class Drill(TenantModel):
    """A crash that somebody asked for: kill -9 for one process that sends a run to the sandbox.
    Written by delivery.engine.drill; the watchdog of that process reads it."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="drills")
    worker = models.CharField(max_length=64)  # as leases.worker_name() says
    asked_at = models.DateTimeField()
    killed_at = models.DateTimeField(null=True)

    capabilities = roles.READ_ONLY

    class Meta:
        # What is a watchdog asked to kill? It looks twice a second.
        indexes = [
            models.Index(
                fields=["asked_at"], condition=models.Q(killed_at=None), name="drill_waiting"
            )
        ]

    def __str__(self) -> str:
        return f"drill on {self.worker}"


class Heartbeat(models.Model):
    """Proof that a worker's q2 cluster works: written by a q2 task, read by its watchdog."""

    worker = models.CharField(max_length=100, primary_key=True)
    started_at = models.DateTimeField(null=True)  # its first beat
    beat_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.worker
