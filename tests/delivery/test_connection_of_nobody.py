"""A connection whose provider is not installed."""

from django.utils import timezone

from campaigns.models import Run
from delivery.engine import pipeline
from tenants.models import Connection
from tenants.scope import scope


def test_a_provider_that_is_not_installed_breaks_no_page_and_pauses_the_send(
    cast, connected, prepared
):
    run = prepared(3)
    with scope(cast.workspace):
        Connection.objects.update(provider="carrier_pigeon", settings={})
    owner = cast.client("owner")
    pages = (
        "tenants/connection/",
        f"tenants/connection/{connected.pk}/change/",
        f"campaigns/run/{run.pk}/change/",
        "",
    )
    assert [owner.get(cast.url(page)).status_code for page in pages] == [200] * 4
    owner.post(cast.url(f"tenants/connection/{connected.pk}/test/"))
    with scope(cast.workspace):
        assert Connection.objects.get().check_ok is False
    pipeline.work(timezone.now())
    with scope(cast.workspace):
        run.refresh_from_db()
    assert (run.state, "carrier_pigeon" in run.last_error) == (Run.State.PAUSED, True)
