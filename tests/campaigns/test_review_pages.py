"""The phone preview, the review before a send, and the launch."""

import re
from datetime import UTC, datetime, timedelta

from django.contrib.messages import get_messages
from django.urls import reverse

from campaigns import plan
from campaigns.admin.words import whom_words
from campaigns.models import Campaign, Run
from tenants.models import AuditEntry
from tenants.scope import scope
from tests.campaigns.console import FORM, change, preview, review, written


def test_the_preview_is_the_provider_s_message_for_a_real_person(company):
    answer = preview(company, **{**FORM, "data_lines": "screen=offers"}).json()
    shown = {name: answer["message"][name] for name in ("title", "body", "deep_link")}
    assert shown == {"title": "Hi Name0", "body": "20% off", "deep_link": "biddano://offers"}
    assert answer["person"]["name"] == "Name0"
    assert 60 < answer["bytes"] < 300
    assert answer["limit"] == 4096
    following = preview(company, **FORM, after=answer["person"]["id"]).json()
    assert following["person"]["name"] == "Name1"
    rule = {
        "audience": "rule",
        "audience_field": "attributes.orders",
        "audience_op": "gt",
        "audience_value": "8",
    }
    assert preview(company, **{**FORM, **rule}).json()["person"]["name"] == "Name9"


def test_the_preview_says_which_text_cannot_be_personalised_and_still_shows_the_others(company):
    answer = preview(company, **{**FORM, "body": "{{ oops", "title": "{{ x | shout }}"}).json()
    assert set(answer["problems"]) == {"title", "body"} <= set(answer["labels"])
    assert (answer["message"]["title"], answer["message"]["body"]) == ("", "")
    assert preview(company, **{**FORM, "body": "{{ oops"}).json()["message"]["title"] == "Hi Name0"


def test_a_saved_campaign_is_previewed_by_its_id_also_for_a_viewer(company):
    campaign = written(company, content={"title": "Hello {{ first_name }}"})
    answer = preview(company, "viewer", campaign=campaign.pk).json()
    assert answer["message"]["title"] == "Hello Name0"
    for wrong in ("x", "99999", "9" * 30):
        assert preview(company, campaign=wrong).status_code == 404
    assert company.client("member").get(company.url("preview/")).status_code == 405


def test_the_preview_works_without_any_contact(cast):
    answer = preview(cast, **FORM).json()
    assert answer["person"] is None
    assert answer["message"]["title"] == "Hi there"


def test_the_review_gives_the_account_before_the_send(company):
    response = company.client("member").get(review(company, written(company)))
    page = response.content.decode()
    assert response.context["account_sentence"] == (
        "7 of 10 recipients will receive it; 2 have no device; 1 unsubscribed."
    )
    for words in (
        "Send to 7 devices",
        "Everyone",
        "Immediately",
        "Test account",
        "No real phones",
        'data-kind="fine"',
    ):
        assert words in page, words


def test_the_review_links_each_finding_to_its_field_and_offers_no_send(company):
    campaign = written(company, content={"title": "{{ frist_name }}", "body": "{{ oops"})
    response = company.client("member").get(review(company, campaign))
    page = response.content.decode()
    (finding,) = response.context["errors"]
    assert finding["field"] == "body"
    assert f"{finding['link']}</a>" in page
    assert "?edit=1#id_body" in page
    assert "?edit=1#id_title" in page
    bar = page.split('id="submit-row"')[1].split("</form>")[0]
    assert "Send to 7 devices" in bar
    assert 'type="submit"' not in bar


def test_a_confirmed_send_is_scheduled_once_and_leads_to_its_run(company):
    campaign = written(company)
    client = company.client("member")
    seen = client.get(review(company, campaign)).context["seen"]
    response = client.post(review(company, campaign), {"seen": seen})
    with scope(company.workspace):
        run = Run.objects.get()
        assert AuditEntry.objects.filter(
            action="campaign scheduled", actor=company.member, address="127.0.0.1"
        ).exists()
    assert response["Location"].endswith(f"/campaigns/run/{run.pk}/change/")
    (said,) = get_messages(response.wsgi_request)
    assert not re.search(r"\d", str(said)), "it stays on a page that counts the seconds"
    client.post(review(company, campaign), {"seen": seen})
    with scope(company.workspace):
        assert Run.objects.count() == 1


def test_a_send_of_something_else_than_was_reviewed_is_held_back(company):
    campaign = written(company)
    client = company.client("member")
    seen = client.get(review(company, campaign)).context["seen"]
    company.client("admin").post(change(company, campaign), {**FORM, "_save": "1"})
    response = client.post(review(company, campaign), {"seen": seen}, follow=True)
    assert "Somebody changed the campaign" in response.content.decode()
    with scope(company.workspace):
        assert not Run.objects.exists()


def test_a_launch_that_lint_refuses_says_why(company):
    campaign = written(company, content={"body": "{{ oops"})
    response = company.client("member").post(review(company, campaign), follow=True)
    assert "cannot be read" in response.content.decode()
    with scope(company.workspace):
        assert not Run.objects.exists()


def test_a_scheduled_send_names_its_time_on_the_button(company):
    at = datetime.now(UTC).replace(hour=12, minute=30, second=0, microsecond=0) + timedelta(days=2)
    page = company.client("member").get(
        review(company, written(company, schedule_type="scheduled", scheduled_at=at))
    ).content.decode()  # fmt: skip
    assert f"Schedule for {at:%a} {at.day} {at:%b}" in page
    assert "18:00 IST" in page


def test_the_run_page_is_where_the_console_expects_it(company):
    campaign = written(company)
    with scope(company.workspace):
        run = plan.schedule(campaign, by=company.member, now=datetime.now(UTC))
    assert (
        company.client("viewer").get(company.url(f"campaigns/run/{run.pk}/change/")).status_code
        == 200
    )
    assert reverse("admin:campaigns_run_change", args=[run.pk])


def test_the_review_of_a_topic_says_that_it_is_public_and_counts_nobody(company):
    response = company.client("member").get(
        review(company, written(company, target_kind="topic", target="news"))
    )
    page = response.content.decode()
    assert response.context["lines"] == []
    for words in (
        "Everyone subscribed to topic “news”",
        "Public",
        "only the provider knows",
        "Send to subscribers",
    ):
        assert words in page, words
    assert "recipients" not in page


def test_a_condition_is_read_out_in_words():
    condition = "'news' in topics && ('pune' in topics || 'mumbai' in topics)"
    words = whom_words(Campaign(target_kind="condition", target=condition))
    assert words == "Everyone subscribed to “news” and (“pune” or “mumbai”)"
    assert whom_words(Campaign(target_kind="topic", target="news")) == (
        "Everyone subscribed to topic “news”"
    )
    assert whom_words(Campaign(target_kind="topic")) == "No topic yet"


def test_the_review_names_what_some_devices_leave_out_without_calling_it_a_problem(company):
    options = {"android_channel": "offers", "buttons": [{"text": "Go"}]}
    response = company.client("member").get(
        review(company, written(company, content={"options": options}))
    )
    assert {note["title"] for note in response.context["notes"]} == {"Android channel", "Buttons"}
    page = response.content.decode()
    assert 'data-kind="note"' in page
    assert 'data-kind="fine"' in page


def test_the_review_repeats_the_sending_options(company):
    chosen = {
        "per_second": 1,
        "start_within_mins": 180,
        "expires_after_mins": 95,
        "ambiguity_policy": "resend",
    }
    page = (
        company.client("member").get(review(company, written(company, **chosen))).content.decode()
    )
    assert (
        "At most 1 message per second. Starts at most 3 hours late. Ends 1 hour 35 minutes after "
        "its start. Sends a message again if a crash leaves its result unknown."
    ) in page


CARRIED = {
    "ttl_secs": 3600, "priority": "high", "collapse_key": "sale", "badge": 0, "sound": "chime", "data_only": True,
    "android_channel": "offers", "data": {"screen": "offers", "id": "4"}, "icon_url": "https://x.test/i.png",
    "buttons": [{"text": "Shop", "url": "app://shop"}, {"text": "Later"}],
}  # fmt: skip


def test_the_review_names_whatever_the_message_carries(company):
    campaign = written(company, content={"image_url": "https://x.test/a.png", "options": CARRIED})
    response = company.client("member").get(review(company, campaign))
    assert response.context["options"] == [
        ("Image", "https://x.test/a.png"),
        ("Time to live", "1 hour"),
        ("Priority", "High: wakes a sleeping phone"),
        ("Collapse key", "sale"),
        ("Android channel", "offers"),
        ("Sound", "chime"),
        ("Badge", "0"),
        ("Data-only message", "Android passes the message to your app, and the app shows it."),
        ("Data for the app", "id=4, screen=offers"),
        ("Button 1", "Shop → app://shop"),
        ("Button 2", "Later → no link"),
    ]
    assert "Shop → app://shop" in response.content.decode()


def test_the_review_of_a_plain_message_has_no_options_and_of_a_silent_one_says_so(company):
    client = company.client("member")
    plain = client.get(review(company, written(company)))
    assert plain.context["options"] == []
    assert "Silent" not in plain.content.decode().split("<aside")[0]
    silent = {"silent": True, "sound": "chime", "data": {"a": "1"}}
    response = client.get(review(company, written(company, content={"options": silent})))
    assert response.context["options"] == [
        ("Silent", "Delivers data to the app and shows nothing."), ("Data for the app", "a=1")
    ]  # fmt: skip
    assert 'data-status="silent"' in response.content.decode()


def test_options_that_differ_by_language_are_named_for_each(company):
    campaign = written(company, content={"options": {"ttl_secs": 0}})
    with scope(company.workspace):
        campaign.contents.create(
            workspace=company.workspace, language="hi", fields={"title": "सेल", "sound": "x"}
        )
    options = company.client("member").get(review(company, campaign)).context["options"]
    assert options == [("Time to live (en)", "No waiting: now or never"), ("Sound (hi)", "x")]
