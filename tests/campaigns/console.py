"""What the tests of the console's campaign pages share."""

from datetime import UTC, datetime
from typing import Any

from campaigns.channels.push.channel import AppPush
from campaigns.models import Campaign, Content, Revision, Run, Template
from tenants.scope import every_workspace, scope
from tests.story import content_of

LIST, ADD = "campaigns/campaign/", "campaigns/campaign/add/"
FORM = {
    "name": "Diwali refill", "channel": "app_push", "title": "Hi {{ first_name | default: 'there' "
    "}}",
    "body": "20% off", "image_url": "", "deep_link": "biddano://offers", "audience": "everyone",
    "schedule_type": "send_now", "audience_op": "is",
}  # fmt: skip


def written(cast, **fields: Any) -> Campaign:
    content = content_of({"title": "Sale", "body": "Today"}, fields.pop("content", {}))
    with scope(cast.workspace):
        made = Campaign.objects.create(workspace=cast.workspace, **{"name": "Weekend", **fields})
        Content.objects.create(workspace=cast.workspace, campaign=made, **content)
    return made


def inputs_of(form) -> dict[str, Any]:
    """{name: value} of every input that the page of a campaign shows, its message's among them."""
    return {bound.name: bound.value() for part in (form, *form.parts) for bound in part}


def options_of(campaign: Campaign) -> dict[str, Any]:
    """What the campaign's one content carries beside its texts."""
    fields = campaign.contents.get().fields
    return {name: value for name, value in fields.items() if name not in AppPush().personal}


def change(cast, campaign: Campaign) -> str:
    return cast.url(f"campaigns/campaign/{campaign.pk}/change/")


def review(cast, campaign: Campaign) -> str:
    return cast.url(f"campaigns/campaign/{campaign.pk}/review/")


def saved(cast, who: str = "member", **fields: Any) -> Campaign:
    """Post the add form; the campaign it made."""
    response = cast.client(who).post(cast.url(ADD), {**FORM, **fields, "_save": "1"})
    assert response.status_code == 302, errors_of(response)
    with scope(cast.workspace):
        return Campaign.objects.latest("pk")


def errors_of(response) -> dict[str, list[str]]:
    return {
        name: list(errors) for name, errors in response.context["adminform"].form.errors.items()
    }


def give_run(cast, campaign: Campaign, state: str, **fields: Any) -> Run:
    with scope(cast.workspace):
        revision = Revision.objects.create(
            workspace=cast.workspace, campaign=campaign, number=1, contents=[]
        )
        now = datetime.now(UTC)
        times = {
            "intended_at": now,
            "not_after": now,
            "started_at": None if state == "planned" else now,
        }
        return Run.objects.create(
            workspace=cast.workspace,
            campaign=campaign,
            revision=revision,
            state=state,
            **{**times, **fields},
        )


def live(cast, answer: str, who: str = "member", **fields: Any) -> Any:
    return cast.client(who).post(cast.url(f"campaigns/campaign/{answer}/"), {**FORM, **fields})


def preview(cast, who: str = "member", **fields: Any) -> Any:
    return cast.client(who).post(cast.url("preview/"), fields)


def template_names(workspace) -> set[str]:
    with every_workspace():
        return set(Template.objects.filter(workspace=workspace).values_list("name", flat=True))


def refused(cast, **fields: Any) -> dict[str, list[str]]:
    response = cast.client("member").post(cast.url(ADD), {**FORM, **fields, "_save": "1"})
    assert response.status_code == 200
    with scope(cast.workspace):
        assert not Campaign.objects.exists()
    return errors_of(response)
