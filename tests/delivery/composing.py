"""A composer without a database, and the message in what it composes."""

from __future__ import annotations

import json
from datetime import UTC, tzinfo
from typing import Any

from campaigns.models import Revision, Run
from delivery.engine.compose import Composer
from delivery.providers.fcm.provider import Fcm

SALE = {"language": "en", "title": "Sale", "body": "Today"}


def composer(*contents: dict[str, Any], zone: tzinfo = UTC) -> Composer:
    revision = Revision(workspace_id=1, campaign_id=2, contents=list(contents) or [SALE])
    return Composer(Run(pk=3, workspace_id=1, campaign_id=2, revision=revision), Fcm(), "en", zone)


def message(body: bytes) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(body)["message"]
    return decoded
