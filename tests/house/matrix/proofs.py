"""What each page of the console shows or changes for who may use it: the positive control of
every route.

The list, the form, the page and the deletion of a row need no entry: they show the row's mark,
and what their own form posts changes the row's table. A page of its own gets one line in PROOFS;
without it the matrix fails and says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.db import models
from django.utils import timezone

from campaigns import plan
from campaigns.audience.reasons import Reason
from campaigns.channels.push.channel import Push
from campaigns.models import Campaign, Consent, Contact, Endpoint, Revision, Run, Template
from delivery.models import Drill, Message, Reach, Shard
from tenants.models import ApiKey, Connection, IdentitySecret, Invitation, Membership, Workspace
from tenants.scope import every_workspace
from tests.house.matrix.world import GLOBAL, OURS, World
from tests.house.routes import WITHOUT_KEY, Route
from tests.house.rows import Rows
from tests.pages import YES

Post = dict[str, Any]
MARK = OURS


@dataclass(frozen=True, slots=True)
class Proof:
    """`get` and `said` stand in the answers to GET and POST; `changes` is the model whose rows
    the POST changes, but not for the roles in `spares`, which get a sentence instead. `before`
    brings the row into the state it needs."""

    get: str = ""
    post: Post | Callable[[World, Rows], Post] | None = None
    said: str = ""
    changes: type[models.Model] | None = None
    spares: tuple[str, ...] = ()
    before: Callable[[Rows], None] | None = None


def shows(text: str) -> Proof:
    """A page that only shows, whatever the method."""
    return Proof(get=text, said=text)


def dialog(question: str, changes: type[models.Model], post: Any = YES, **more: Any) -> Proof:
    return Proof(get=question, post=post, changes=changes, **more)


def _in_state(state: str) -> Callable[[Rows], None]:
    def before(rows: Rows) -> None:
        with every_workspace():
            Run.objects.filter(pk=rows[Run].pk).update(state=state, finished_at=None)
            Campaign.objects.filter(pk=rows[Campaign].pk).update(
                schedule_type=Campaign.Schedule.NOW
            )

    return before


def _next_of_a_series(rows: Rows) -> None:
    _in_state(Run.State.PLANNED)(rows)
    weekly = {
        "schedule_type": "recurring",
        "recurrence_rule": "FREQ=WEEKLY;BYDAY=FR",
        "status": "scheduled",
    }
    with every_workspace():
        Campaign.objects.filter(pk=rows[Campaign].pk).update(
            wall_clock="2031-01-03T10:00:00", time_zone="UTC", **weekly
        )
        Run.objects.filter(pk=rows[Run].pk).update(
            intended_at=datetime(2031, 1, 3, 10, tzinfo=UTC), started_at=None
        )


def _on_its_way(rows: Rows) -> None:
    _in_state(Run.State.RUNNING)(rows)
    with every_workspace():
        Campaign.objects.filter(pk=rows[Campaign].pk).update(status=Campaign.Status.RUNNING)


def _another_text(world: World, rows: Rows) -> Post:
    with every_workspace():
        seen = plan.contents_of(Campaign.objects.get(pk=rows[Campaign].pk))[1]
    return {"title": "Another text", "body": "Until Sunday.", "seen": seen}


def _sent_now(rows: Rows) -> None:
    _in_state(Run.State.RUNNING)(rows)
    run, now = rows[Run], timezone.now()
    with every_workspace():
        held = {
            "state": Shard.State.LEASED,
            "owner": "web1:7:ab12",
            "lease_until": now + timedelta(minutes=1),
        }
        Shard.objects.create(
            workspace_id=rows[Workspace].pk, run_id=run.pk, first_id=10**9, last_id=10**9, **held
        )


def _held_for_a_platform(rows: Rows) -> None:
    _in_state(Run.State.RUNNING)(rows)
    run, message, now = rows[Run], rows[Message], timezone.now()
    with every_workspace():
        Message.objects.filter(pk=message.pk).update(reason=Reason.DEFERRED)
        place = {
            "first_id": message.pk,
            "last_id": message.pk,
            "state": Shard.State.HELD,
            "held": {"ios": 1},
        }
        Shard.objects.create(workspace_id=rows[Workspace].pk, run_id=run.pk, **place)
        place = {
            "workspace_id": rows[Workspace].pk,
            "connection_id": rows[Connection].pk,
            "platform": "ios",
        }
        Reach.objects.create(**place, held_since=now, probe_at=now)


def _retired_a_device(rows: Rows) -> None:
    _settled_as(Reason.ENDPOINT_GONE)(rows)
    code, now = "UNREGISTERED", timezone.now()
    with every_workspace():
        Run.objects.filter(pk=rows[Run].pk).update(retired=1, finished_at=now)
        Message.objects.filter(pk=rows[Message].pk).update(error_code=code, attempted_at=now)
        gone = {"is_active": False, "retired_at": now, "retired_reason": code, "last_seen_at": None}
        Endpoint.objects.filter(pk=rows[Endpoint].pk).update(**gone)


def _settled_as(reason: Reason) -> Callable[[Rows], None]:
    """The run's only message ended like this, in the account as in the ledger."""

    def before(rows: Rows) -> None:
        run, message = rows[Run], rows[Message]
        with every_workspace():
            tally = {reason.slug: 1}
            Run.objects.filter(pk=run.pk).update(state=Run.State.COMPLETED, tally=tally)
            Message.objects.filter(pk=message.pk).update(reason=reason)
            place = {
                "first_id": message.pk,
                "last_id": message.pk,
                "state": Shard.State.DONE,
                "tally": tally,
            }
            Shard.objects.create(workspace_id=run.workspace_id, run_id=run.pk, **place)  # type: ignore[attr-defined]

    return before


def _button(state: str) -> Proof:
    return Proof(post={}, changes=Run, before=_in_state(state))


def _silent_device(rows: Rows) -> None:
    with every_workspace():
        long_ago = timezone.now() - Push.stale_after - timedelta(days=1)
        Endpoint.objects.filter(contact=rows[Contact].pk).update(last_seen_at=long_ago)


def _without_runs(rows: Rows) -> None:
    with every_workspace():
        Run.objects.filter(campaign=rows[Campaign].pk).delete()


PROOFS: dict[str, Proof] = {
    "index": shows(MARK),
    "login": shows("/"),
    "logout": shows("/accounts/logout/"),
    "password_change": shows("/accounts/password/change/"),
    "search": shows("Campaigns"),
    "jsi18n": shows("gettext"),
    "app_list": shows("/admin/"),
    "preview": Proof(post=lambda world, rows: {"campaign": str(rows[Campaign].pk)}, said="20% off"),
    "check_message": Proof(
        post=lambda world, rows: {"campaign": str(rows[Campaign].pk)}, said='"lines"'
    ),
    "send_test": Proof(
        post=lambda world, rows: {"campaign": str(rows[Campaign].pk), "test_contact": "asha"},
        said='"lines"',
    ),
    "tenants_apikey_created": shows("tenants/apikey/"),
    "tenants_apikey_rotate": dialog("Rotate this key?", ApiKey, {**YES, "hours": "24"}),
    "tenants_apikey_revoke": dialog("Revoke this key?", ApiKey),
    "tenants_apikey_identity": Proof(
        get='data-secrets="1"', post={"hours": "0"}, changes=IdentitySecret
    ),
    "tenants_apikey_verify_identity": shows("tenants/apikey/identity/"),
    "tenants_membership_remove": dialog("Remove this person", Membership),
    "tenants_membership_invite": shows("tenants/invitation/add/"),
    "tenants_membership_leave": dialog("Leave this workspace?", Membership, spares=("owner",)),
    "tenants_membership_roles": shows("Delete the workspace"),
    "tenants_membership_changelist": shows("Viewer Rao"),
    "tenants_membership_change": Proof(
        get="Viewer Rao", post={"role": "member"}, changes=Membership
    ),
    "tenants_invitation_created": shows("tenants/invitation/"),
    "tenants_invitation_resend": dialog("Send a new link?", Invitation),
    "tenants_invitation_revoke": dialog("Withdraw this invitation?", Invitation),
    "tenants_workspace_changelist": shows("/change/"),
    "tenants_workspace_change": Proof(
        get="Biddano Tech", post={"name": "Renamed"}, changes=Workspace
    ),
    "tenants_workspace_logo": shows("PNG"),
    "tenants_workspace_time_zone": Proof(
        get="/change/", post={"to": "Europe/Berlin", "all": "keep"}, changes=Workspace
    ),
    "tenants_workspace_transfer": dialog(
        "New owner", Workspace, lambda world, rows: {**YES, "to": str(world.cast.viewer.pk)}
    ),
    "tenants_workspace_delete_workspace": dialog(
        "Type the workspace", Workspace, {**YES, "typed": "Biddano Tech"}
    ),
    # the sandbox is not there, and the page says so
    "connect_sandbox": Proof(post={}, said="sandbox"),
    "tenants_connection_test": Proof(post={}, changes=Connection),
    # the provider is not there, and the page says so
    "tenants_connection_send_test": Proof(post={"test_token": "t" * 40}, said="/change/"),
    "tenants_connection_switch": Proof(post={}, changes=Connection),
    "campaigns_campaign_audience": Proof(
        get='"error"', post={"audience": "everyone", "channel": "app_push"}, said='"people": 1'
    ),
    "campaigns_campaign_dates": Proof(
        get='"error"', post={"scheduled_at": "2031-01-01T10:00", "repeat": "daily"}, said='"dates"'
    ),
    "campaigns_campaign_drafts": Proof(
        get='"error"', post={"draft_prompt": "Write a festive message"}, said='"drafts"'
    ),
    "campaigns_campaign_templates": shows(MARK),
    "campaigns_campaign_review": Proof(get=MARK, post={}, changes=Run),
    "campaigns_campaign_schedule": Proof(
        get="data-next-send",
        post={"scheduled_at": "2031-01-04T11:00", "time_zone": "UTC", "repeat": "daily"},
        changes=Run,
        before=_next_of_a_series,
    ),
    "campaigns_campaign_duplicate": dialog("Duplicate this campaign?", Campaign),
    "campaigns_campaign_delete": Proof(
        get=MARK, post={"post": "yes"}, changes=Campaign, before=_without_runs
    ),
    "campaigns_contact_change": shows(f"Asha {MARK}"),
    "campaigns_contact_devices": shows("Last seen"),
    "campaigns_contact_consent": Proof(
        post={"channel": "all", "answer": "opted_out"}, changes=Consent
    ),
    "campaigns_contact_retire": Proof(post={}, changes=Endpoint, before=_silent_device),
    "campaigns_run_change": shows(f"Diwali offer {MARK}"),
    "campaigns_template_import": Proof(get="deep_link", post={}, said="Choose a CSV"),
    "campaigns_template_import_sample": shows("Diwali offer,app_push,en"),
    "campaigns_template_import_errors": shows("template/import/"),
    "campaigns_template_import_refused": shows("template/import/"),
    "campaigns_template_process_import": shows("template/import/"),
    "campaigns_template_export": shows("format"),
    "campaigns_template_copy_to_workspace": dialog("Copy this template", Template),
    "phone_wall": shows(f"Asha {MARK}"),
    "phone_wall_received": shows('"problem"'),  # the sandbox is not there, and the page says so
    "phone_wall_key": Proof(post={}, said='"key"'),
    "campaigns_run_progress": shows('"accepted": 3'),
    "campaigns_run_errors": shows("UNREGISTERED"),
    "campaigns_run_shards": shows("data-no-parts"),
    "campaigns_run_rewrite": Proof(
        get="rewrite_form", post=_another_text, changes=Revision, before=_on_its_way
    ),
    "campaigns_run_recipients": shows(f"Asha {MARK}"),
    "campaigns_run_message": shows(f"Asha {MARK}"),
    "campaigns_run_export": shows(f"asha{MARK}"),
    "campaigns_run_pause": _button(Run.State.RUNNING),
    "campaigns_run_resume": _button(Run.State.PAUSED),
    "campaigns_run_cancel": _button(Run.State.RUNNING),
    "campaigns_run_drill": Proof(post={}, changes=Drill, before=_sent_now),
    "campaigns_run_undo": _button(Run.State.PLANNED),
    "campaigns_run_send-now": _button(Run.State.PLANNED),
    "campaigns_run_skip": Proof(post={}, changes=Run, before=_next_of_a_series),
    "campaigns_run_move": Proof(
        post={"to": "2031-01-02T11:00"}, changes=Run, before=_next_of_a_series
    ),
    "campaigns_run_end-series": Proof(post={}, changes=Run, before=_next_of_a_series),
    "campaigns_run_retry-failed": Proof(
        post={}, changes=Message, before=_settled_as(Reason.REJECTED)
    ),
    "campaigns_run_resend-unknown": Proof(
        post={}, changes=Message, before=_settled_as(Reason.UNKNOWN)
    ),
    "campaigns_run_close-unknown": Proof(
        post={}, changes=Message, before=_settled_as(Reason.UNKNOWN)
    ),
    "campaigns_run_try-held": Proof(post={}, changes=Reach, before=_held_for_a_platform),
    "campaigns_run_close-held": Proof(post={}, changes=Message, before=_held_for_a_platform),
    "campaigns_run_revive": Proof(post={}, changes=Endpoint, before=_retired_a_device),
    "campaigns_run_send-missed": _button(Run.State.MISSED),
    "reports_campaign_funnel": shows("Opened"),
    "reports_run_funnel": shows("Opened"),
    "reports_run_figures": shows('"accepted": 3'),
    # --- outside of the console ---
    "home": Proof(get="/w/biddano-tech/admin/"),
    "healthz": shows("ok"),
    "words": shows("ngettext"),
    "account_profile": shows("Your name"),
    "deleted_workspaces": Proof(get="delete", post={}, said="/workspaces/deleted/"),
    "waiting_invitations": Proof(get="Invitations", post={}, said="no longer open"),
    "tenants_auditentry_export": shows("way,address"),
    "api:openapi-json": Proof(get="PushPilot"),
    # With nothing in it; with all that they need in tests/tenants/api.
    **{f"api:{door}": Proof(post={}, said='"status": 4') for door in WITHOUT_KEY},
    "api:openapi-view": Proof(get="PushPilot"),
    "api_reference": Proof(get="<redoc "),
}

# What a form needs beyond what it shows at first: {model: fields of the add form}, and what changes
# a row.
ADDED: dict[type[models.Model], Post] = {
    ApiKey: {"name": "New key", "kind": "write", "mode": "live"},
    Invitation: {"emails": "asha@freshcart.test", "role": "viewer"},
    Campaign: {
        "name": "New campaign",
        "audience": "everyone",
        "schedule_type": "send_now",
        "channel": "app_push",
    },
    Connection: {"name": "Firebase", "per_second": "100"},  # and a key file, see `added`
    Template: {
        "name": "New template",
        "category": "offer",
        "title": "T",
        "body": "B",
        "language": "en",
    },
}
CHANGED: dict[type[models.Model], Post] = {
    Campaign: {"name": "Renamed"},
    Template: {"name": "Renamed"},
    Connection: {"name": "Renamed"},
}


@cache
def _key_file() -> str:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return json.dumps(
        {
            "type": "service_account", "project_id": "biddano-app", "private_key_id": "0123456789abcdef",
            "private_key": pem, "client_email": "sdk@biddano-app.iam.gserviceaccount.com",
            "token_uri": "https://oauth2.googleapis.com/token",
        }
    )  # fmt: skip


def added(model: type[models.Model]) -> Post | None:
    post = ADDED.get(model)
    return {**post, "key_text": _key_file()} if post and model is Connection else post


def proof_of(route: Route) -> Proof | None:
    """The positive control of a console's route; None if nobody has said what it shows."""
    name = route.name.removeprefix("admin:")
    if name in PROOFS:
        return PROOFS[name]
    if route.model is None:
        return None
    if route.path.endswith("/<path:object_id>/"):
        return shows("/change/")  # Django's old address of the change page
    options = route.model._meta
    last = name.removeprefix(f"{options.app_label}_{options.model_name}_")
    return {
        "changelist": shows(MARK),
        "add": Proof(get="csrfmiddlewaretoken", post=added(route.model), changes=route.model),
        "change": Proof(get=MARK, post=CHANGED.get(route.model), changes=route.model),
        "delete": Proof(get=MARK, post={"post": "yes"}, changes=route.model),
        "history": Proof(),
    }.get(last)


# Pages about a row of another model than the one under which their address lies.
OTHER_ROW = {
    "admin:campaigns_run_message": Message,
    "admin:reports_run_funnel": Run,
    "admin:reports_run_figures": Run,
    "admin:reports_campaign_funnel": Campaign,
}


def row_of(world: World, route: Route, whose: str) -> models.Model | None:
    """The row that the route's address names."""
    if route.name.endswith("_copy_to_workspace") and whose == "ours":
        assert world.shared.name == GLOBAL
        return world.shared
    model = OTHER_ROW.get(route.name, route.model)
    rows = world.ours if whose == "ours" else world.theirs
    return rows.get(model) if model is not None else None
