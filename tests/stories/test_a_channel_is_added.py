"""The proof of the seam: a channel, its provider and a sandbox, about 100 lines with a registry
line each, go through form, lint, preview, connection, send, ledger and report like any other."""

from datetime import timedelta
from html import unescape
from threading import Event

import pytest
from django.core.management import call_command
from django.utils import timezone

from campaigns.audience.reasons import Reason
from campaigns.channels import registry as channels
from campaigns.content.lint import ERROR, lint, lint_message
from campaigns.imports.files import read_table
from campaigns.imports.templates import RowStatus, TemplateResource, commit, preview
from campaigns.models import Campaign, Contact, Content, Endpoint, Run, Template
from delivery.models import Message
from delivery.providers import registry as providers
from pushpilot.management.commands import sandbox_devices
from reports import tasks as digest
from reports.models import Rollup
from tenants.models import AuditEntry, Connection
from tenants.scope import scope
from tests.house.sources import ROOT
from tests.pages import text
from tests.story import run_to_the_end
from tests.toy.channel import Pager
from tests.toy.provider import PagerNetwork, PagerSandbox

NUMBERS = {"asha": "1001", "ravi": "1002", "meera": "9003", "kabir": "0004"}
CONNECTIONS = "tenants/connection/"
SANDBOX = f"{CONNECTIONS}connect-sandbox/"
FORM = {"name": "Night shift", "channel": "pager", "line": "Come in, {{ first_name }}", "audience": "everyone",
        "schedule_type": "send_now"}  # fmt: skip


@pytest.fixture
def network(monkeypatch, settings):
    """The registry lines; the sandbox's network."""
    settings.SEND_UNDO = timedelta()
    sandbox = PagerSandbox()
    monkeypatch.setitem(channels.CHANNELS, Pager.key, Pager())
    for provider in (PagerNetwork(), sandbox):
        monkeypatch.setitem(providers.PROVIDERS, provider.key, provider)
    return sandbox.network


@pytest.fixture
def on_call(cast, network):
    """Four people with pagers, one without; and the connection."""
    with scope(cast.workspace):
        for name, number in {**NUMBERS, "isha": ""}.items():
            attributes = {"first_name": name.title()}
            person = Contact.objects.create(
                workspace=cast.workspace, external_id=name, attributes=attributes
            )
            if number:
                Endpoint.objects.create(
                    workspace=cast.workspace, contact=person, channel="pager", value=number, kind=""
                )
    assert cast.client("owner").post(cast.url(SANDBOX), {"service": "pager"}).status_code == 302
    return cast


def written(cast, **fields):
    """The add form posted with these fields; the campaign that it made, or None, and the answer."""
    answer = cast.client("member").post(
        cast.url("campaigns/campaign/add/"), {**FORM, "_review": "1", **fields}
    )
    with scope(cast.workspace):
        return Campaign.objects.order_by("-pk").first(), answer


def test_both_together_are_small():
    files = [ROOT / "tests" / "toy" / f"{name}.py" for name in ("channel", "provider")]
    assert sum(bool(line.strip()) for file in files for line in file.read_text().splitlines()) < 100


def in_use(cast) -> dict[str, str]:
    with scope(cast.workspace):
        return {one.service: one.provider for one in Connection.objects.filter(is_active=True)}


def test_its_providers_are_connected_and_switched_beside_those_of_another_service(
    cast, connected, network
):
    owner, push = cast.client("owner"), {"push": connected.provider}
    add = cast.url(f"{CONNECTIONS}add/")
    page = owner.get(add)
    assert "?provider=pager" in page.content.decode()
    assert [(one.key, used) for one, used in page.context["sandboxes"]] == [("pager_sandbox", None)]
    made = owner.post(cast.url(SANDBOX), {"service": "pager"})
    assert in_use(cast) == push | {"pager": "pager_sandbox"}
    head = owner.get(made["Location"]).context["head"]
    assert (head["problem"], head["settings"]) == ("", [("region", "nowhere")])

    page = owner.get(f"{add}?provider=pager")
    assert (page.context["in_use"].provider, page.context["sandboxes"]) == ("pager_sandbox", [])
    for region in ("", "54°"):
        refused = owner.post(
            f"{add}?provider=pager", {"name": "Pagers", "per_second": "9", "region": region}
        )
        assert list(refused.context["adminform"].form.errors) == ["region"]
    made = owner.post(
        f"{add}?provider=pager", {"name": "Pagers", "per_second": "9", "region": "north"}
    )
    assert in_use(cast) == push | {"pager": "pager"}
    assert owner.get(made["Location"]).context["head"]["settings"] == [("region", "north")]
    off = owner.post(made["Location"].replace("change/", "switch/"), {"off": "1"}, follow=True)
    assert "Pager cannot send until" in text(off)
    assert in_use(cast) == push


def test_a_service_without_a_sandbox_is_a_sentence(cast, network):
    answer = cast.client("owner").post(cast.url(SANDBOX), {"service": "pigeon"}, follow=True)
    assert "There is no sandbox for pigeon." in text(answer)
    assert in_use(cast) == {}


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
    counted = on_call.client("member").post(
        on_call.url("campaigns/campaign/audience/"), {**FORM, "audience": kind}
    )
    assert "error" in counted.json()


def test_lint_says_what_the_channel_finds(on_call):
    empty, _ = written(on_call, line="")
    review = on_call.client("member").get(on_call.url(f"campaigns/campaign/{empty.pk}/review/"))
    assert "write what the pager shows" in text(review)
    loud, _ = written(on_call, line="COME IN")
    assert "Capitals alone" in text(
        on_call.client("member").get(on_call.url(f"campaigns/campaign/{loud.pk}/review/"))
    )
    with scope(on_call.workspace):
        for line in ("{{ 1 | divided_by: 0 }}", "x" * 161):
            found = lint_message(loud, [Content(fields={"line": line})])
            assert {(one.field, one.severity) for one in found} == {("line", ERROR)}


def test_the_console_speaks_of_it_in_its_own_words(on_call):
    made, _ = written(on_call)
    assert "Send to 4 pagers" in text(
        on_call.client("member").get(on_call.url(f"campaigns/campaign/{made.pk}/review/"))
    )
    with scope(on_call.workspace):
        Connection.objects.update(is_active=False)
        (found,) = [one for one in lint(made, timezone.now()) if one.field == "channel"]
    assert "Pager" in found.text


def test_the_preview_draws_it_for_a_real_person(on_call):
    answer = on_call.client("member").post(on_call.url("preview/"), FORM).json()
    assert answer["message"] == {"line": "Come in, Asha"}
    assert (answer["bytes"], answer["limit"]) == (len("Come in, Asha"), 160)


def test_a_provider_that_checks_no_message_says_so(on_call):
    answer = on_call.client("member").post(on_call.url("preview/check/"), FORM)
    assert (answer.status_code, answer.json()["ok"]) == (200, False)


def test_a_template_of_it_is_written_in_a_form_of_its_fields(on_call):
    client, url = on_call.client("member"), on_call.url("campaigns/template/add/")
    page = client.get(f"{url}?channel=pager")
    assert set(page.context["adminform"].form.texts.fields) == {"line"}
    assert page.context["adminform"].form["channel"].value() == "pager"
    posted = {"name": "Night", "channel": "pager", "language": "en", "category": "reminder"}
    for line in ("", "x" * 81, "{{ oops"):
        assert list(
            client.post(url, {**posted, "line": line}).context["adminform"].form.errors
        ) == ["line"]
    assert client.post(url, {**posted, "line": "Come in"}).status_code == 302
    with scope(on_call.workspace):
        made = Template.objects.get()
        created = AuditEntry.objects.get(action="template created")
    assert (made.channel, made.fields, made.title) == ("pager", {"line": "Come in"}, "Come in")
    assert created.changes["line"] == [None, "Come in"]
    push = {**posted, "channel": "app_push", "title": "T", "body": "B"}
    assert client.post(url, push).status_code == 302, (
        "the same name on another channel is another template"
    )
    assert list(client.post(url, {**posted, "line": "Again"}).context["adminform"].form.errors) == [
        "name"
    ]
    assert "Come in" in text(client.get(on_call.url(f"campaigns/template/{made.pk}/change/")))


TWO_CHANNELS = """name,channel,language,category,title,body,page
Night,pager,en,reminder,,,Come in
Night,app_push,en,reminder,Night shift,Come in,
"""


def test_a_file_holds_templates_of_several_channels_and_comes_back_unchanged(on_call):
    with scope(on_call.workspace):
        report = commit(read_table(TWO_CHANNELS.encode()), on_call.workspace, by=None, source="f")
        assert [row.status for row in report.rows] == [RowStatus.NEW, RowStatus.NEW]
        kept = {template.channel: template.fields for template in Template.objects.all()}
        assert kept == {
            "pager": {"line": "Come in"},
            "app_push": {"title": "Night shift", "body": "Come in"},
        }
        resource = TemplateResource(workspace=on_call.workspace)
        data = resource.export(resource.get_queryset())
        assert data.headers[-1] == "line"
        again = preview(read_table(data.export("csv").encode()), on_call.workspace)
    assert [row.status for row in again.rows] == [RowStatus.UNCHANGED, RowStatus.UNCHANGED]


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("A,fax,en,reminder,,,Come in", "channel"),
        ("A,pager,en,reminder,,,", "line"),
        ("A,pager,en,reminder,Title,,Come in", "title"),
        ("A,app_push,en,reminder,T,B,Come in", "line"),
        ("A,,en,reminder,T,B,Come in", "line"),
        ("A,pager,en,reminder,,,{{ oops", "line"),
    ],
)
def test_a_cell_of_another_channel_or_an_unknown_channel_names_row_column_and_remedy(
    on_call, row, column
):
    with scope(on_call.workspace):
        report = preview(read_table(f"{TWO_CHANNELS}{row}\n".encode()), on_call.workspace)
    assert [one.status for one in report.rows] == [RowStatus.NEW, RowStatus.NEW, RowStatus.ERROR]
    (error,) = report.rows[2].errors
    assert (report.rows[2].number, error.column) == (4, column)
    assert error.text
    assert error.remedy


def test_a_file_without_a_channel_holds_templates_of_the_standard_one(on_call):
    with scope(on_call.workspace):
        report = preview(
            read_table(b"name,category,title,body,line\nA,offer,T,B,Come in\n"), on_call.workspace
        )
    assert [(row.status, row.values["channel"]) for row in report.rows] == [
        (RowStatus.NEW, "app_push")
    ]
    assert len(report.notes) == 1, "the column of the pager means nothing there"


def test_the_command_line_takes_the_same_file(on_call, tmp_path):
    file = tmp_path / "f.csv"
    file.write_text(TWO_CHANNELS)
    call_command("import_templates", str(file), "--workspace", on_call.workspace.slug, verbosity=0)
    with scope(on_call.workspace):
        assert set(Template.objects.values_list("name", "channel")) == {
            ("Night", "pager"),
            ("Night", "app_push"),
        }


def offered(on_call, channel: str) -> list[str]:
    answer = on_call.client("member").get(
        on_call.url(f"campaigns/campaign/templates/?channel={channel}")
    )
    return [template["name"] for template in answer.json()["templates"]]


def test_the_picker_offers_templates_that_the_channel_can_say(on_call):
    with scope(on_call.workspace):
        for channel, fields in {
            "pager": {"line": "L"},
            "app_push": {"title": "T"},
            "web_push": {"title": "W"},
        }.items():
            made = Template(
                workspace=on_call.workspace,
                name=channel,
                category="offer",
                channel=channel,
                fields=fields,
            )
            made.save()
        pager = Template.objects.get(channel="pager")
    assert offered(on_call, "pager") == ["pager"]
    assert offered(on_call, "app_push") == offered(on_call, "web_push") == ["app_push", "web_push"]
    assert offered(on_call, "fax") == offered(on_call, "app_push")
    add = on_call.url(f"campaigns/campaign/add/?template={pager.pk}")
    for query in ("", "&channel=app_push"):
        form = on_call.client("member").get(f"{add}{query}").context["adminform"].form
        assert (form["channel"].value(), form.message["line"].value()) == ("pager", "L")


@pytest.mark.parametrize("at", ["campaigns/campaign/add/", "campaigns/template/add/"])
def test_another_channel_shows_its_part_and_keeps_what_was_entered(on_call, at):
    typed = {**FORM, "channel": "app_push", "name": "Night", "audience": "topic", "topic": "news", "title": "T",
             "schedule_type": "specific_time", "scheduled_at": "2031-01-06T09:00", "category": "offer"}  # fmt: skip
    client, url = on_call.client("member"), on_call.url(at)
    page = client.post(url, {**typed, "channel": "pager", "_channel": "1", "_save": "1"})
    form = page.context["adminform"].form
    part = form.parts[0]
    assert set(part.fields) == {"line"}
    assert (dict(form.errors), form["name"].value(), part["line"].value()) == (
        {},
        "Night",
        FORM["line"],
    )
    assert ("title", "T") in form.carried
    if "campaign/" in at:
        assert ("topic", "news") in form.carried
        assert form.audience["audience"].value() == "everyone"
        assert form.schedule["scheduled_at"].value() == "2031-01-06T09:00"
    back = (
        client.post(url, {**typed, **dict(form.carried), "_channel": "1"}).context["adminform"].form
    )
    assert (back.parts[0]["title"].value(), ("line", FORM["line"]) in back.carried) == ("T", True)
    with scope(on_call.workspace):
        assert not Campaign.objects.exists()
        assert not Template.objects.exists()


def test_it_is_sent_recorded_and_reported(on_call, network, tmp_path):
    member = on_call.client("member")
    campaign, _ = written(on_call)
    with scope(on_call.workspace):
        content = Content.objects.get()
        assert (content.channel, content.fields, content.title) == (
            "pager",
            {"line": FORM["line"]},
            FORM["line"],
        )
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
    assert FORM["line"] in unescape(text(member.get(on_call.url("campaigns/run/"))))
    assert "The pager was given back." in text(
        member.get(on_call.url(f"campaigns/run/{run.pk}/errors/"))
    )
    assert (
        page.status_code
        == member.get(on_call.url(f"campaigns/campaign/{campaign.pk}/change/")).status_code
        == 200
    )
    assert "Pager" in text(member.get(on_call.url("")))
    devices, places = sandbox_devices.Command(), sandbox_devices.Places(tmp_path / "places")
    assert devices.round(places, Event())
    digest.digest()
    with scope(on_call.workspace):
        assert dict(Rollup.objects.values_list("type", "people")) == {"delivered": 3}
