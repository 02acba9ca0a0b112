"""The demo workspace: people, contacts and campaigns from fixtures/demo.json. Making it again
changes nothing."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone

from campaigns.channels.push import platforms
from campaigns.channels.push.keys import WEB_PUSH
from campaigns.models import Campaign, Consent, Contact, Content, Endpoint, Template
from tenants.models import Membership, User, Workspace
from tenants.roles import Role
from tenants.scope import every_workspace, scope
from tenants.workspaces import add_member, create_workspace

Story = dict[str, Any]


@dataclass
class Demo:
    workspace: Workspace
    owner: User
    story: Story


def read_story() -> Story:
    story: Story = json.loads(
        (settings.BASE_DIR / "fixtures" / "demo.json").read_text(encoding="utf-8")
    )
    return story


def load_library() -> int:
    """The global templates, through the admin's own import resource. Returns how many there are."""
    file = settings.BASE_DIR / "fixtures" / "templates.csv"
    call_command("import_templates", str(file), "--global", verbosity=0, stdout=StringIO())
    with every_workspace():
        return Template.objects.filter(workspace__isnull=True).count()


@transaction.atomic
def make_demo() -> Demo:
    story = read_story()
    people = {person["role"]: add_account(person, story["password"]) for person in story["people"]}
    add_account(story["operator"], story["password"], is_superuser=True)
    workspace = Workspace.objects.filter(slug=story["workspace"]["slug"]).first()
    if workspace is None:
        workspace = create_workspace(owner=people[Role.OWNER], **_without_slug(story["workspace"]))
    with scope(workspace):
        for role, user in people.items():
            if not Membership.objects.filter(user=user).exists():
                add_member(workspace, user, Role(role))
        if not Contact.objects.exists():
            _add_contacts(workspace, story["contacts"])
    return Demo(workspace, people[Role.OWNER], story)


@transaction.atomic
def write_campaigns(demo: Demo) -> Campaign:
    """The drafts, and the campaign that the demo sends."""
    with scope(demo.workspace):
        author = Membership.objects.filter(role=Role.MEMBER).earliest("pk").user
        for draft in demo.story["drafts"]:
            _campaign(demo.workspace, author, draft)
        return _campaign(demo.workspace, demo.owner, demo.story["campaign"])


def _without_slug(fields: Story) -> Story:
    return {name: value for name, value in fields.items() if name != "slug"}


def add_account(person: Story, password: str, **fields: Any) -> User:
    user = User.objects.filter(email=person["email"]).first()
    if user is None:
        user = User.objects.create_user(
            person["email"], password, full_name=person["name"], **fields
        )
        EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user


def _campaign(workspace: Workspace, author: User, fields: Story) -> Campaign:
    known = Campaign.objects.filter(name=fields["name"]).first()
    if known is not None:
        return known
    texts = {name: fields[name] for name in ("title", "body", "deep_link") if name in fields}
    campaign = Campaign.objects.create(
        workspace=workspace,
        name=fields["name"],
        tone=fields.get("tone", ""),
        audience_rule=fields.get("audience_rule", {}),
        created_by=author,
        updated_by=author,
    )
    Content.objects.create(
        workspace=workspace, campaign=campaign, fields=texts, tone=fields.get("tone", "")
    )
    return campaign


def _add_contacts(workspace: Workspace, story: Story) -> None:
    """A believable list: most have one phone, some two, some none; some left, some do not want
    pushes."""
    dice = random.Random(20261121)  # noqa: S311 - the same demo every time
    now = timezone.now()
    contacts = Contact.objects.bulk_create(
        Contact(
            workspace=workspace,
            external_id=f"cust-{number:05d}",
            language=dice.choice(story["languages"]),
            country="IN",
            time_zone="Asia/Kolkata",
            attributes={
                **(
                    {"first_name": dice.choice(story["first_names"])}
                    if dice.random() < 0.87
                    else {}
                ),
                "city": dice.choice(story["cities"]),
                "plan": dice.choice(story["plans"]),
                "orders": dice.randrange(0, 24),
            },
            created_at=now - timedelta(days=random.Random(number).uniform(80, 700)),  # noqa: S311
        )
        for number in range(1, story["count"] + 1)
    )
    phones, opted_out = [], []
    for contact in contacts:
        for device in range(dice.choices((0, 1, 2), (6, 84, 10))[0]):
            phones.append(_phone(contact, device, dice))
        if dice.random() < 0.015:
            opted_out.append(contact)
    browsers = [_browser(contact, dice) for contact in contacts if dice.random() < 0.2]
    for endpoint in (*phones, *browsers):
        endpoint.created_at = endpoint.contact.created_at
        endpoint.last_seen_at = _last_seen(endpoint.value, now)
    Endpoint.objects.bulk_create([*phones, *browsers])
    Consent.objects.bulk_create(
        Consent(
            workspace=workspace,
            contact=contact,
            channel="app_push",
            status="opted_out",
            source="demo",
            at=now - timedelta(days=random.Random(contact.external_id).uniform(30, 75)),  # noqa: S311
        )
        for contact in opted_out
    )


def _last_seen(token: str, now: datetime) -> datetime:
    """Before the demo's past; what a device reports there moves it. An app that was removed
    opened no more."""
    earliest, latest = (30, 75) if token.startswith("sbx_unregistered_") else (0.1, 45)
    return now - timedelta(days=random.Random(token).uniform(earliest, latest))  # noqa: S311


def _browser(contact: Contact, dice: random.Random) -> Endpoint:
    return Endpoint(
        workspace=contact.workspace,
        contact=contact,
        channel=WEB_PUSH,
        platform=platforms.WEB,
        value=f"sbx_ok_{contact.external_id}-web-{dice.getrandbits(64):016x}",
    )


def _phone(contact: Contact, device: int, dice: random.Random) -> Endpoint:
    fate = dice.choices(("ok", "unregistered", "mismatch"), (970, 25, 5))[0]
    return Endpoint(
        workspace=contact.workspace,
        contact=contact,
        value=f"sbx_{fate}_{contact.external_id}-{device}-{dice.getrandbits(64):016x}",
        platform=dice.choice((platforms.ANDROID, platforms.ANDROID, platforms.IOS)),
        opted_in=dice.random() > 0.03,
    )
