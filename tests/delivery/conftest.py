"""Runs on their way, for the tests of the engine and of its pages."""

from datetime import timedelta

import pytest
from django.utils import timezone

from campaigns import plan
from campaigns.models import Run
from delivery.engine import pipeline
from tenants.scope import scope
from tests.story import add_people, write_campaign


@pytest.fixture
def launched(connected, cast, settings):
    """A function that schedules a campaign now and gives its run."""
    settings.SEND_UNDO = timedelta()

    def launch(**fields) -> Run:
        campaign = write_campaign(cast.workspace, **fields)
        with scope(cast.workspace):
            return plan.schedule(campaign, by=cast.owner, now=timezone.now())

    return launch


@pytest.fixture
def prepared(cast, launched):
    """A function that gives a run to `count` new people whose audience is fixed and of which
    nothing is sent."""

    def prepare(count: int = 30, **fields) -> Run:
        add_people(cast.workspace, count, tokens=fields.pop("tokens", None))
        run = launched(**fields)
        with scope(cast.workspace):
            pipeline.launch(run, timezone.now())
            run.refresh_from_db()
            pipeline.prepare(run, timezone.now())
            run.refresh_from_db()
        return run

    return prepare
