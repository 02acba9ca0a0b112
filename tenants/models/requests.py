"""Requests of the API that must not be carried out twice."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class AnsweredRequest(models.Model):
    """A POST with an Idempotency-Key, and its answer once there is one. It belongs to its caller
    and not to a workspace: some callers are only just making theirs."""

    # "user:7:12", "key:3:12": the caller, and the workspace; without one "user:7:"
    caller = models.CharField(max_length=60)
    key = models.CharField(max_length=255)
    digest = models.CharField(max_length=64)  # of method, address and body
    claimed_at = models.DateTimeField(default=timezone.now, db_index=True)  # old ones are deleted
    status = models.PositiveSmallIntegerField(null=True)  # null: not answered yet
    answer = models.TextField(default="")  # the body, encrypted: it may hold a link or a key

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["caller", "key"], name="request_once_per_key")
        ]
