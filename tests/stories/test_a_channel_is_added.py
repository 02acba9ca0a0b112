"""The proof of the seam: a channel and its provider, fewer than 100 lines with a registry line each, go through form,
lint, preview, send, ledger and report like any other."""

from datetime import timedelta

import pytest

from campaigns.audience.reasons import Reason
from campaigns.channels import registry as channels
from campaigns.models import Campaign, Contact, Content, Endpoint, Run
from delivery.models import Message
from delivery.providers import registry as providers
from tenants.models import Connection
from tenants.scope import scope
from tests.house.sources import ROOT
from tests.pages import text
from tests.story import run_to_the_end
from tests.toy.channel import Pager
from tests.toy.provider import PagerNetwork

NUMBERS = {"asha": "1001", "ravi": "1002", "meera": "9003", "kabir": "0004"}
FORM = {"name": "Night shift", "channel": "pager", "line": "Come in, {{ first_name }}", "audience": "everyone",
        "schedule_type": "send_now"}  # fmt: skip


@pytest.fixture
def network(monkeypatch, settings):
    """The two registry lines."""
    settings.SEND_UNDO = timedelta()
    provider = PagerNetwork()
    monkeypatch.setitem(channels.CHANNELS, Pager.key, Pager())
    monkeypatch.setitem(providers.PROVIDERS, provider.key, provider)
    return provider.network


@pytest.fixture
def on_call(cast, network):
    """Four people with pagers, one without; and the connection."""
    with scope(cast.workspace):
        for name, number in {**NUMBERS, "isha": ""}.items():
            attributes = {"first_name": name.title()}
            person = Contact.objects.create(workspace=cast.workspace, external_id=name, attributes=attributes)
            if number:
                Endpoint.objects.create(
                    workspace=cast.workspace, contact=person, channel="pager", value=number, kind=""
                )
        connection = Connection(workspace=cast.workspace, name="Pagers", provider="pager_sandbox", service="pager")
        connection.settings, connection.credentials = {"network": "north"}, "north"
        connection.save()
    return cast


def written(cast, **fields):
    """The add form posted with these fields; the campaign that it made, or None, and the answer."""
    answer = cast.client("member").post(cast.url("campaigns/campaign/add/"), {**FORM, "_review": "1", **fields})
    with scope(cast.workspace):
        return Campaign.objects.order_by("-pk").first(), answer


def test_both_together_are_small():
    files = [ROOT / "tests" / "toy" / f"{name}.py" for name in ("channel", "provider")]
    assert sum(bool(line.strip()) for file in files for line in file.read_text().splitlines()) < 100


def test_the_form_has_its_fields_and_no_others(on_call):
    page = on_call.client("member").get(on_call.url("campaigns/campaign/add/?channel=pager"))
    form = page.context["adminform"].form
    assert set(form.message.fields) == {"line"}
    assert "id_line" in page.content.decode()
    assert "id_deep_link" not in page.content.decode()
    made, answer = written(on_call, line="x" * 81)
    assert (made, list(answer.context["adminform"].form.errors)) == (None, ["line"])
    made, answer = written(on_call, line="{{ oops")
    assert (made, list(answer.context["adminform"].form.errors)) == (None, ["line"])


@pytest.mark.parametrize("kind", ["topic", "condition"])
def test_a_broadcast_of_another_channel_is_no_audience_of_it(on_call, kind):
    page = on_call.client("member").get(on_call.url("campaigns/campaign/add/?channel=pager"))
    audience = page.context["adminform"].form.audience
    assert [key for key, _ in audience.fields["audience"].choices] == ["everyone", "rule", "custom"]
    assert kind not in audience.fields
    made, answer = written(on_call, audience=kind, topic="news", condition="'news' in topics")
    assert (made, list(answer.context["adminform"].form.errors)) == (None, ["audience"])
    counted = on_call.client("member").post(on_call.url("campaigns/campaign/audience/"), {**FORM, "audience": kind})
    assert "error" in counted.json()


def test_lint_says_what_the_channel_finds(on_call):
    empty, _ = written(on_call, line="")
    review = on_call.client("member").get(on_call.url(f"campaigns/campaign/{empty.pk}/review/"))
    assert "write what the pager shows" in text(review)
    loud, _ = written(on_call, line="COME IN")
    assert "Capitals alone" in text(on_call.client("member").get(on_call.url(f"campaigns/campaign/{loud.pk}/review/")))


def test_the_preview_draws_it_for_a_real_person(on_call):
    answer = on_call.client("member").post(on_call.url("preview/"), FORM).json()
    assert answer["message"] == {"line": "Come in, Asha"}
    assert (answer["bytes"], answer["limit"]) == (len("Come in, Asha"), 160)


def test_a_provider_that_checks_no_message_says_so(on_call):
    answer = on_call.client("member").post(on_call.url("preview/check/"), FORM)
    assert (answer.status_code, answer.json()["ok"]) == (200, False)


def test_it_is_sent_recorded_and_reported(on_call, network):
    member = on_call.client("member")
    campaign, _ = written(on_call)
    with scope(on_call.workspace):
        content = Content.objects.get()
        assert (content.channel, content.fields, content.title) == ("pager", {"line": FORM["line"]}, FORM["line"])
    member.post(on_call.url(f"campaigns/campaign/{campaign.pk}/review/"))
    with scope(on_call.workspace):
        run = Run.objects.get()
    run_to_the_end(run)
    assert run.tally == {"accepted": 3, "endpoint_gone": 1, "no_endpoint": 1}
    assert {page["to"]: page["line"] for page in network.arrived} == {
        "1001": "Come in, Asha", "1002": "Come in, Ravi", "9003": "Come in, Meera",
    }  # fmt: skip
    with scope(on_call.workspace):
        ledger = dict(Message.objects.values_list("contact__external_id", "reason"))
    assert ledger == {
        "asha": Reason.ACCEPTED, "ravi": Reason.ACCEPTED, "meera": Reason.ACCEPTED, "kabir": Reason.ENDPOINT_GONE,
        "isha": Reason.NO_ENDPOINT,
    }  # fmt: skip
    page = member.get(on_call.url(f"campaigns/run/{run.pk}/change/"))
    assert "The pager was given back." in text(member.get(on_call.url(f"campaigns/run/{run.pk}/errors/")))
    assert page.status_code == member.get(on_call.url(f"campaigns/campaign/{campaign.pk}/change/")).status_code == 200
    assert "Pager" in text(member.get(on_call.url("")))
