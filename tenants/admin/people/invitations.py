"""Inviting people: by e-mail address, several at once; and what became of it."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminRadioSelectWidget, UnfoldAdminTextareaWidget

from pushpilot.lib.display import format_number
from tenants import invitations, limits, mailing, roles
from tenants.admin import one_time_secret
from tenants.admin.base import WorkspaceAdmin, after_dialog, answer, moment, require, workspace_of
from tenants.admin.people.members import ROLE_COLOURS, ROLE_WORDS
from tenants.models import Invitation, Membership, User
from tenants.scope import current_workspace
from tenants.validators import validate_address
from tenants.workspaces import role_of, why_not_give

MOST_AT_ONCE = 20
_SLOT = "new_invitations"
STATE_WORDS = {
    "Pending": gettext_lazy("Pending"),
    "Accepted": gettext_lazy("Accepted"),
    "Revoked": gettext_lazy("Withdrawn"),
    "Expired": gettext_lazy("Expired"),
}
STATE_COLOURS = {
    "Pending": "warning",
    "Accepted": "success",
    "Revoked": "default",
    "Expired": "danger",
}


class InviteForm(forms.ModelForm):
    """`cleaned_data["emails"]` is the list of addresses, in lower case, each once."""

    by: User  # who asks, and their role: InvitationAdmin.get_form
    by_role: str

    emails = forms.CharField(
        label=gettext_lazy("E-mail addresses"),
        max_length=5_000,
        widget=UnfoldAdminTextareaWidget(
            {"rows": 3, "placeholder": "asha@freshcart.com, ravi@freshcart.com", "autofocus": True}
        ),
        help_text=gettext_lazy(
            "One or several, separated by commas, spaces or new lines. Each person gets a link by "
            "e-mail."
        ),
    )

    class Meta:
        model = Invitation
        fields = ("role",)
        labels = {"role": gettext_lazy("Role")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not mailing.leaves() and "emails" in self.fields:
            self.fields["emails"].help_text = _(
                "One or several, separated by commas, spaces or new lines. This server has no mail "
                "server: the next page shows a link for each person. Send it yourself."
            )
        if "role" in self.fields:
            allowed = [
                pair
                for pair in ROLE_WORDS.items()
                if not why_not_give(pair[0], by_role=self.by_role)
            ]
            self.fields["role"].widget = UnfoldAdminRadioSelectWidget(
                radio_style=2, choices=allowed
            )

    def clean_role(self) -> str:
        role: str = self.cleaned_data["role"]
        refusal = why_not_give(role, by_role=self.by_role)
        if refusal:
            raise ValidationError(refusal)
        return role

    def clean_emails(self) -> list[str]:
        given = list(filter(None, re.split(r"[\s,;]+", self.cleaned_data["emails"])))
        emails = list(dict.fromkeys(email.lower() for email in given))
        if not emails:
            raise ValidationError(_("Enter at least one e-mail address."))
        if len(emails) > MOST_AT_ONCE:
            raise ValidationError(
                ngettext(
                    "You entered %(count)s address. Invite at most %(most)s at once.",
                    "You entered %(count)s addresses. Invite at most %(most)s at once.",
                    len(emails),
                )
                % {"count": format_number(len(emails)), "most": MOST_AT_ONCE}
            )
        for email in given:
            shown = email if len(email) <= 40 else f"{email[:40]}…"
            try:
                validate_address(email)
            except ValidationError as error:
                raise ValidationError(
                    _("“%(address)s”: %(problem)s")
                    % {"address": shown, "problem": error.messages[0]}
                ) from error
        here = Membership.objects.filter(user__email__in=emails).values_list(
            "user__email", flat=True
        )
        if here:
            raise ValidationError(
                _("Already in this workspace: %(names)s. Remove them from the list.")
                % {"names": ", ".join(sorted(here))}
            )
        limits.check_invitations(current_workspace(), emails, by=self.by, now=timezone.now())  # type: ignore[arg-type]
        return emails


class InvitationAdmin(WorkspaceAdmin):
    form = InviteForm
    fields = ("emails", "role")
    list_display = ("email", "role_label", "state_label", "inviter", "invited", "expires")
    list_select_related = ("invited_by",)
    search_fields = ("email",)
    search_help_text = gettext_lazy("Search e-mail addresses")
    ordering = ("-invited_at",)
    actions = None
    actions_row = ("resend", "revoke")
    actions_detail = ("resend", "revoke")
    empty_title = gettext_lazy("Nobody is invited")
    empty_text = gettext_lazy(
        "Invite the people who write, send and watch your campaigns. Each gets a link."
    )
    empty_icon = "mail"

    # --- rights -----------------------------------------------------------------------------------
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A revoked invitation stays as part of the history."""
        return False

    def has_invite_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return self.allows(request, "add")

    # --- the list ---------------------------------------------------------------------------------
    @display(description=gettext_lazy("Role"), label=ROLE_COLOURS, ordering="role")
    def role_label(self, invitation: Invitation) -> tuple[str, str]:
        return invitation.role, invitation.get_role_display()

    @display(description=gettext_lazy("State"), label=STATE_COLOURS)
    def state_label(self, invitation: Invitation) -> tuple[str, str]:
        state = invitation.state(timezone.now())
        return state, str(STATE_WORDS[state])

    @display(description=gettext_lazy("Invited by"))
    def inviter(self, invitation: Invitation) -> str:
        return str(invitation.invited_by or "–")

    @display(description=gettext_lazy("Invited"), ordering="invited_at")
    def invited(self, invitation: Invitation) -> str:
        return moment(invitation.invited_at, current_workspace())

    @display(description=gettext_lazy("Expires"), ordering="expires_at")
    def expires(self, invitation: Invitation) -> str:
        return moment(invitation.expires_at, current_workspace())

    @display(description=gettext_lazy("Mailed"))
    def mailed(self, invitation: Invitation) -> str:
        return moment(invitation.sent_at, current_workspace())

    @display(description=gettext_lazy("Accepted"))
    def accepted(self, invitation: Invitation) -> str:
        return moment(invitation.accepted_at, current_workspace())

    # --- inviting ---------------------------------------------------------------------------------
    def get_urls(self) -> list[Any]:
        created = path(
            "created/",
            self.admin_site.admin_view(self.created_view),
            name="tenants_invitation_created",
        )
        return [created, *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Invitation]:
        queryset: QuerySet[Invitation] = super().get_queryset(request).select_related("workspace")
        return queryset

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return self.fields
        return (
            "email",
            "role_label",
            "state_label",
            "inviter",
            "invited",
            "mailed",
            "expires",
            "accepted",
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ()
        return self.get_fields(request, obj)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        user: Any = request.user
        return type(form)(
            form.__name__, (form,), {"by": user, "by_role": role_of(user, workspace_of(request))}
        )

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> Any:
        """Mails when the transaction of Django's view is over: all addresses are invited, or
        none."""
        extra = {
            "title": _("Invitation") if object_id else _("Invite people"),
            "save_words": _("Send invitations"),
        }
        drafts: list[invitations.Draft] = []
        request._drafts = drafts  # type: ignore[attr-defined]
        try:
            response = super().changeform_view(
                request, object_id, form_url, {**extra, **(extra_context or {})}
            )
        except ValidationError as error:  # The form said yes; roles or members changed in between.
            messages.error(
                request, _("Nobody was invited. %(problem)s") % {"problem": error.messages[0]}
            )
            return redirect("admin:tenants_invitation_changelist")
        if drafts:
            self._show(request, [invitations.mail(draft, timezone.now()) for draft in drafts])
        return response

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        user: Any = request.user
        request._drafts += [  # type: ignore[attr-defined]
            invitations.draft(workspace_of(request), email, obj.role, by=user, now=timezone.now())
            for email in form.cleaned_data["emails"]
        ]

    @staticmethod
    def _show(request: HttpRequest, sent: list[invitations.Sent]) -> None:
        one_time_secret.keep(
            request, _SLOT, [[one.invitation.email, one.link, one.mailed] for one in sent]
        )

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:
        """tenants.invitations has done it, for each address."""

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        return redirect("admin:tenants_invitation_created")

    def created_view(self, request: HttpRequest) -> HttpResponse:
        require(request, roles.MEMBERS)
        shown = one_time_secret.take(request, _SLOT)
        if shown is None:
            return redirect("admin:tenants_invitation_changelist")
        sent = [{"email": email, "link": link, "mailed": mailed} for email, link, mailed in shown]
        unsent = [one["email"] for one in sent if not one["mailed"]]
        return self.page(
            request,
            "tenants/invited.html",
            _("Invited"),
            sent=sent,
            unsent=unsent,
            has_mail_server=mailing.leaves(),
        )

    # --- afterwards -------------------------------------------------------------------------------
    @action(
        description=gettext_lazy("Send again"),
        icon="forward_to_inbox",
        permissions=["invite"],
        dialog={
            "title": gettext_lazy("Send a new link?"),
            "description": gettext_lazy(
                "The person gets a new link that works for a week. The old link stops working."
            ),
            "form_submit_text": gettext_lazy("Send again"),
        },
    )
    def resend(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        require(request, roles.MEMBERS)
        user: Any = request.user
        try:
            sent = invitations.resend(self.found(request, object_id), by=user, now=timezone.now())
        except ValidationError as error:
            messages.error(request, error.messages[0])
            return after_dialog(request, reverse("admin:tenants_invitation_changelist"))
        self._show(request, [sent])
        return after_dialog(request, reverse("admin:tenants_invitation_created"))

    @action(
        description=gettext_lazy("Withdraw"),
        icon="block",
        permissions=["invite"],
        dialog={
            "title": gettext_lazy("Withdraw this invitation?"),
            "description": gettext_lazy(
                "The link that was mailed stops working. You can invite the person again."
            ),
            "form_submit_text": gettext_lazy("Withdraw"),
        },
    )
    def revoke(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        require(request, roles.MEMBERS)
        invitation = self.found(request, object_id)
        return answer(
            request,
            lambda: invitations.revoke(invitation, by=request.user, now=timezone.now()),  # type: ignore[arg-type]
            _("The invitation of %(email)s is withdrawn.") % {"email": invitation.email},
            reverse("admin:tenants_invitation_changelist"),
        )
