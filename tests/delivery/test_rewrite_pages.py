"""“Edit the message” of a campaign on its way: the page, what it refuses, and which text
everybody got."""

import csv
import io
from datetime import timedelta

import pytest
from django.contrib.messages import get_messages
from django.db import connection as database
from django.utils import timezone

from campaigns import plan
from campaigns.admin.campaign.message import MessageForm
from campaigns.audience.reasons import Reason
from campaigns.content.rewrite import ChangedMeanwhile, Ended, rewrite
from campaigns.models import Campaign, Content, Endpoint, Revision, Run
from delivery.engine import leases, record
from delivery.engine.record import Result
from delivery.engine.statements import stamp
from delivery.models import Message, Shard
from tenants.models import AuditEntry
from tenants.scope import scope
from tests.campaigns.console import inputs_of
from tests.story import add_people, run_to_the_end, write_campaign

State = Run.State
NEW = "A better title"


def url(cast, run, tail="rewrite/"):
    return cast.url(f"campaigns/run/{run.pk}/{tail}")


def opened(cast, run, who="member"):
    """What the page's form would send as it is, with a new title."""
    answer = cast.client(who).get(url(cast, run))
    assert answer.status_code == 200
    form = answer.context["form"]
    values = {name: value for name, value in inputs_of(form).items() if value is not False}
    return {name: "" if value is None else value for name, value in values.items()} | {"title": NEW}


def save(cast, run, fields, who="member"):
    return cast.client(who).post(url(cast, run), fields)


def said(answer):
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


def stored(run):
    with scope(run.workspace):
        return Content.objects.get(campaign=run.campaign_id)


def fresh(run):
    with scope(run.workspace):
        return Run.objects.select_related("campaign", "revision", "workspace").get(pk=run.pk)


def half_way(run, *, settled, flying=0):
    """`settled` are accepted, `flying` on their way with a worker that holds the shard."""
    with scope(run.workspace):
        lease = leases.claim(timezone.now())
        waiting = Message.objects.filter(run=run, reason=Reason.PENDING).order_by("pk")
        ids = list(waiting.values_list("pk", flat=True)[: settled + flying])
        accepted = [
            Result(pk, Reason.ACCEPTED, attempted=1, attempted_at=stamp(timezone.now()))
            for pk in ids[:settled]
        ]
        tally = record.results(accepted, 1)
        shard = Shard.objects.filter(pk=lease.shard.pk)
        if flying:
            shard.update(tally=tally, window_from=ids[settled], window_to=ids[-1])
        else:
            shard.update(tally=tally, state=Shard.State.OPEN, owner="", lease_until=None)


# --- saving ---------------------------------------------------------------------------------------
def test_the_page_says_before_saving_who_keeps_the_old_text_and_saving_says_it_again(
    cast, prepared
):
    run = prepared(30)
    half_way(run, settled=12, flying=5)
    page = cast.client("member").get(url(cast, run)).content.decode()
    account = (
        "12 of 30 recipients received the old text. 5 recipients are getting the old text now. "
        "13 recipients still wait and get the new text."
    )
    assert account in page
    assert "Sending continues while you write" in page
    before = fresh(run)
    answer = save(cast, run, opened(cast, run))
    assert answer.status_code == 302
    assert said(answer) == f"Text 2 is saved. {account}"
    after = fresh(run)
    assert (after.revision.number, after.epoch) == (2, before.epoch + 1)
    assert (after.revision.contents[0]["title"], stored(run).title) == (NEW, NEW)
    assert after.revision.created_by == after.campaign.updated_by == cast.member
    with scope(cast.workspace):
        assert (
            AuditEntry.objects.filter(action="campaign text changed", actor=cast.member).count()
            == 1
        )


def test_everybody_else_gets_the_new_text_and_the_pages_say_who_got_which(
    cast, connected, sandbox, prepared
):
    run = prepared(30)
    half_way(run, settled=12)
    save(cast, run, opened(cast, run))
    run = run_to_the_end(fresh(run))
    assert run.tally == {"accepted": 30}
    page = cast.client("viewer").get(url(cast, run, "change/")).content.decode()
    assert "Text 1: 12 recipients" in page
    assert "Text 2: 18 recipients" in page
    assert "edited after planning" in page
    listed = cast.client("viewer").get(url(cast, run, "recipients/")).content.decode()
    assert (listed.count("<td>Text 1</td>"), listed.count("<td>Text 2</td>")) == (12, 18)
    answer = cast.client("owner").get(url(cast, run, "recipients.csv"))
    rows = list(csv.DictReader(io.StringIO(answer.getvalue().decode("utf-8-sig"))))
    assert [row["revision"] for row in rows].count("1") == 12
    assert [row["revision"] for row in rows].count("2") == 18


def test_the_sentence_sums_to_the_audience(cast, prepared):
    add_people(cast.workspace, 5)
    with scope(cast.workspace):
        Endpoint.objects.all().delete()
    run = prepared(30)
    half_way(run, settled=12, flying=5)
    with scope(cast.workspace):
        flown = Message.objects.filter(run=run, reason=Reason.PENDING).order_by("pk").first()
        Message.objects.filter(pk=flown.pk).update(reason=Reason.UNKNOWN)
        shard = Shard.objects.filter(run=run, state=Shard.State.LEASED).get()
        Shard.objects.filter(pk=shard.pk).update(tally={**shard.tally, Reason.UNKNOWN.slug: 1})
    assert (
        "12 of 35 recipients received the old text. 4 recipients are getting the old text now. "
        "1 recipient may have received the old text. 13 recipients still wait and get the new "
        "text. 5 other recipients get no message."
    ) in cast.client("owner").get(url(cast, run)).content.decode()


def test_a_run_that_was_never_edited_says_nothing_about_texts(cast, connected, sandbox, prepared):
    run = run_to_the_end(prepared(3))
    assert (
        "Recipients of each text"
        not in cast.client("viewer").get(url(cast, run, "change/")).content.decode()
    )
    assert (
        "<td>Text 1</td>"
        not in cast.client("viewer").get(url(cast, run, "recipients/")).content.decode()
    )


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (State.PLANNED, "All recipients get the new text"),
        (State.PREPARING, "PushPilot is preparing the audience"),
        (State.RUNNING, "3 recipients still wait and get the new text"),
        (State.PAUSED, "3 recipients still wait and get the new text"),
    ],
)
def test_every_run_that_has_somebody_left_can_get_a_new_text(cast, prepared, state, words):
    run = prepared(3)
    with scope(cast.workspace):
        size = None if state in (State.PLANNED, State.PREPARING) else 3
        Run.objects.update(state=state, audience_size=size)
        Campaign.objects.update(status="scheduled" if state == State.PLANNED else "running")
    assert words in cast.client("owner").get(url(cast, run)).content.decode()
    assert "Text 2 is saved" in said(save(cast, run, opened(cast, run)))
    assert fresh(run).revision.number == 2


def test_the_next_date_of_a_series_gets_the_new_text_with_the_run_under_way(
    cast, connected, prepared
):
    start = timezone.now() - timedelta(days=1, minutes=-1)
    run = prepared(
        3,
        schedule_type=Campaign.Schedule.RECURRING,
        scheduled_at=start,
        recurrence_rule="FREQ=DAILY;INTERVAL=1",
    )
    page = cast.client("owner").get(url(cast, run)).content.decode()
    assert "3 recipients still wait and get the new text" in page
    assert "Later sends of this series use the new text too" in page
    answer = save(cast, run, opened(cast, run))
    assert said(answer).count("Text 2 is saved") == 2
    with scope(cast.workspace):
        assert set(Run.objects.values_list("revision__number", flat=True)) == {2}


def test_a_send_to_a_topic_says_that_everyone_subscribed_gets_the_new_text(
    cast, connected, launched
):
    run = launched(title="Hello", target_kind="topic", target="news", schedule_type="scheduled",
                   scheduled_at=timezone.now() + timedelta(hours=1))  # fmt: skip
    assert (
        "All subscribers get the new text"
        in cast.client("owner").get(url(cast, run)).content.decode()
    )
    refused = save(cast, run, opened(cast, run) | {"title": "Hi {{ first_name }}"})
    assert "Remove the personalisation" in refused.content.decode()
    assert fresh(run).revision.number == 1


def test_a_text_that_is_the_same_changes_nothing(cast, prepared):
    run = prepared(3)
    before = fresh(run)
    fields = opened(cast, run) | {"title": stored(run).title}
    assert "Nothing was changed" in said(save(cast, run, fields))
    assert (fresh(run).epoch, fresh(run).revision.number) == (before.epoch, 1)


def test_only_the_workspace_s_language_is_edited_and_what_the_form_does_not_know_is_kept(
    cast, prepared
):
    run = prepared(3, options={"ttl_secs": 77, "badge": 0, "from_elsewhere": "kept"})
    with scope(cast.workspace):
        Content.objects.create(
            workspace=cast.workspace,
            campaign=run.campaign,
            language="de",
            fields={"title": "Hallo", "body": "Heute 20 %."},
        )
    assert "Text 2 is saved" in said(save(cast, run, opened(cast, run)))
    with scope(cast.workspace):
        titles = dict(Content.objects.values_list("language", "title"))
        assert titles == {"en": NEW, "de": "Hallo"}
        kept = Content.objects.get(language="en").fields
    assert {name: kept[name] for name in kept if name not in ("title", "body")} == {
        "ttl_secs": 77,
        "badge": 0,
        "from_elsewhere": "kept",
    }


# --- what is refused ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("wrong", "field", "words"),
    [
        ({"title": "{{ oops"}, "title", "The personalisation cannot be read"),
        ({"image_url": "http://shop.example/a.jpg"}, "image_url", "https"),
        ({"button_1_url": "https://shop.example/"}, "button_1_text", "button"),
        ({"title": " ", "body": ""}, "title", "The message is empty"),
        ({"body": "x" * 1001}, "body", "at most 1000 characters"),
        (
            {"data_lines": "\n".join(f"key{n}={'x' * 190}" for n in range(20)), "body": "y" * 1000},
            "body",
            "Shorten ",
        ),
        ({"ttl_secs": "soon"}, "ttl_secs", "valid choice"),
    ],
)
def test_what_the_editor_or_lint_refuses_is_said_beside_its_field_and_not_saved(
    cast, prepared, wrong, field, words
):
    run = prepared(3)
    before = fresh(run)
    answer = save(cast, run, opened(cast, run) | wrong)
    assert answer.status_code == 200
    assert words.lower() in answer.content.decode().lower()
    assert list(answer.context["form"].errors) == [field]
    assert stored(run).title != NEW
    assert (fresh(run).epoch, fresh(run).revision.number) == (before.epoch, 1)


def test_a_warning_is_shown_once_and_then_left_to_the_person(cast, prepared):
    run = prepared(3)
    fields = opened(cast, run) | {"title": "Hello {{ nickname }}"}
    answer = save(cast, run, fields)
    page = answer.content.decode()
    assert "Not saved yet" in page
    assert "Nobody in this audience has a value for nickname" in page
    assert "Save anyway" in page
    assert fresh(run).revision.number == 1
    accepted = {"accepted": answer.context["form"]["accepted"].value()}
    other = save(cast, run, fields | accepted | {"title": "Hello {{ pet }}"})
    assert "Nobody in this audience has a value for pet" in other.content.decode(), (
        "what was accepted is that text and no other"
    )
    assert "Text 2 is saved" in said(save(cast, run, fields | accepted))


def test_nothing_is_saved_over_what_somebody_else_changed_meanwhile(cast, prepared):
    run = prepared(3)
    fields = opened(cast, run)
    with scope(cast.workspace):
        Content.objects.update(fields={"title": "Of a colleague"})
        assert plan.revise(run, by=cast.owner)
    answer = save(cast, run, fields)
    page = answer.content.decode()
    assert "Nothing was saved" in page
    assert "Of a colleague" in page
    assert NEW in page, "the text that was typed is still there"
    assert (stored(run).text("title"), fresh(run).revision.number) == ("Of a colleague", 2)
    again = {name: value or "" for name, value in inputs_of(answer.context["form"]).items()}
    assert "Text 3 is saved" in said(save(cast, run, again))
    assert stored(run).title == NEW


@pytest.mark.parametrize("seen", ["", "x", "0" * 64, "0" * 65])
def test_a_made_up_digest_saves_nothing(cast, prepared, seen):
    run = prepared(3)
    answer = save(cast, run, opened(cast, run) | {"seen": seen})
    assert answer.status_code == 200
    assert fresh(run).revision.number == 1
    assert stored(run).title != NEW


def test_a_run_that_ended_meanwhile_is_not_changed_and_the_page_says_so(cast, connected, prepared):
    run = prepared(3)
    fields = opened(cast, run)
    run = run_to_the_end(run)
    answer = save(cast, run, fields)
    assert said(answer) == (
        "Nothing was saved, because the state of this send is now “Completed”. Recipients keep the "
        "text that they received."
    )
    assert answer.headers["Location"] == url(cast, run, "change/")
    assert stored(run).title != NEW
    assert cast.client("owner").get(url(cast, run)).status_code == 302


def test_the_contents_of_a_draft_are_not_written_through_a_run(cast, prepared):
    run = prepared(3)
    fields = opened(cast, run)
    with scope(cast.workspace):
        Campaign.objects.update(status=Campaign.Status.DRAFT)
    assert "Nothing was saved" in said(save(cast, run, fields))
    assert stored(run).title != NEW


def test_a_run_that_ends_while_the_page_is_saved_is_not_changed(cast, prepared):
    run = prepared(3)
    with scope(cast.workspace):
        seen = plan.contents_of(run.campaign)[1]
        content = MessageForm(run.campaign, cast.workspace).content
        content.put({"title": NEW})
        Run.objects.update(state=State.FINISHING)
        with pytest.raises(Ended):
            rewrite(run.campaign, content, seen=seen, by=cast.owner)
    assert stored(run).title != NEW


def test_a_run_that_began_in_that_moment_is_not_overlooked(cast, prepared, monkeypatch):
    run = prepared(3)
    with scope(cast.workspace):
        seen = plan.contents_of(run.campaign)[1]
        content = MessageForm(run.campaign, cast.workspace).content
        content.put({"title": NEW})
        monkeypatch.setattr(
            "campaigns.content.rewrite.open_runs", lambda campaign: [run, Run(pk=run.pk + 1)]
        )
        with pytest.raises(ChangedMeanwhile):
            rewrite(run.campaign, content, seen=seen, by=cast.owner)
        assert Revision.objects.count() == 1
    assert stored(run).title != NEW


# --- who, and where the links are -----------------------------------------------------------------
@pytest.mark.parametrize(
    ("who", "status"), [("viewer", 403), ("outsider", 404), ("other_owner", 404)]
)
def test_who_may_not_send_or_edit_neither_sees_nor_saves(cast, prepared, who, status):
    run = prepared(3)
    fields = opened(cast, run)
    assert cast.client(who).get(url(cast, run)).status_code == status
    assert save(cast, run, fields, who).status_code == status
    assert stored(run).title != NEW
    assert "/rewrite/" not in cast.client("viewer").get(url(cast, run, "change/")).content.decode()


@pytest.mark.parametrize("lacking", ["edit_content", "send_campaigns"])
def test_both_rights_are_needed(cast, prepared, lacking, monkeypatch):
    from tenants import roles

    run = prepared(3)
    fields = opened(cast, run)
    monkeypatch.setitem(
        roles.ROLE_CAPABILITIES, "member", roles.ROLE_CAPABILITIES["member"] - {lacking}
    )
    roles.sync(cast.member, cast.workspace, "member")
    assert cast.client("member").get(url(cast, run)).status_code == 403
    assert save(cast, run, fields).status_code == 403
    for page in (
        url(cast, run, "change/"),
        cast.url(f"campaigns/campaign/{run.campaign_id}/change/"),
    ):
        assert f"run/{run.pk}/rewrite/" not in cast.client("member").get(page).content.decode()


def test_the_campaign_s_page_and_the_run_s_page_lead_to_it_while_it_is_on_its_way(
    cast, connected, prepared
):
    run = prepared(3)
    campaign = cast.url(f"campaigns/campaign/{run.campaign_id}/change/")
    member = cast.client("member")
    for page in (campaign, url(cast, run, "change/")):
        assert url(cast, run) in member.get(page).content.decode()
    assert "rewrite" in member.get(url(cast, run, "progress/")).json()["can"]
    run = run_to_the_end(run)
    assert url(cast, run) not in member.get(campaign).content.decode()
    assert "rewrite" not in member.get(url(cast, run, "progress/")).json()["can"]


def test_in_the_undo_time_the_editor_is_the_door(cast, connected, settings):
    settings.SEND_UNDO = timedelta(seconds=30)
    add_people(cast.workspace, 2)
    campaign = write_campaign(cast.workspace)
    with scope(cast.workspace):
        run = plan.schedule(campaign, by=cast.owner, now=timezone.now())
    assert cast.client("owner").get(url(cast, run, "progress/")).json()["can"] == [
        "undo",
        "send-now",
    ]


def test_the_phone_shows_the_text_that_is_being_typed(cast, prepared):
    run = prepared(3)
    fields = opened(cast, run) | {
        "campaign": run.campaign_id,
        "title": "Typed for {{ first_name }}",
    }
    answer = cast.client("member").post(cast.url("preview/"), fields).json()
    assert answer["message"]["title"] == "Typed for Asha"
    assert (answer["channel"], answer["person"]["name"]) == ("app_push", "Asha")
    broken = cast.client("member").post(cast.url("preview/"), fields | {"title": "{{ oops"}).json()
    assert set(broken["problems"]) == {"title"}


@pytest.mark.skipif(database.vendor != "postgresql", reason="SQLite has one writer at a time")
def test_the_rows_of_the_runs_are_locked_before_that_of_the_campaign(cast, prepared):
    from django.test.utils import CaptureQueriesContext

    run = prepared(3)
    with scope(cast.workspace):
        content = MessageForm(run.campaign, cast.workspace).content
        seen = plan.contents_of(run.campaign)[1]
        content.put({"title": NEW})
        with CaptureQueriesContext(database) as queries:
            rewrite(run.campaign, content, seen=seen, by=cast.owner)
    locking = [query["sql"] for query in queries if "FOR UPDATE" in query["sql"]]
    tables = [sql.split(' FROM "', 1)[1].split('"', 1)[0] for sql in locking]
    assert tables == ["campaigns_run", "campaigns_campaign", "campaigns_run"]
