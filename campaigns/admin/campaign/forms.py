"""The one form of a campaign: message, audience and schedule. Drafts may be unfinished; lint
says what is missing."""

from __future__ import annotations

import secrets
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from campaigns.admin.campaign.audience import AudiencePart
from campaigns.admin.campaign.message import WithMessage, main_content
from campaigns.admin.campaign.schedule import SchedulePart
from campaigns.admin.campaign.sending import SendingPart
from campaigns.channels import registry
from campaigns.draft_fields import DESCRIPTION_LIMIT, NAME_LIMIT
from campaigns.models import Campaign, Template
from tenants.models import Workspace


class CampaignForm(WithMessage, forms.ModelForm):
    """Name, channel and tone; `message`, `audience`, `schedule` and `sending` are its parts.

    `seen`: when the campaign that the page was opened with had been saved; `meanwhile`: the
    sentence that the form is shown again with, because somebody saved it after that. `form_key`:
    of one opened add page, so that it makes one draft however often it is posted.
    """

    seen = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)
    form_key = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=NAME_LIMIT,
        widget=UnfoldAdminTextInputWidget(
            attrs={"placeholder": gettext_lazy("Weekend sale"), "autofocus": True}
        ),
        help_text=gettext_lazy("Only your team sees the name."),
    )
    description = forms.CharField(
        label=gettext_lazy("Description"),
        max_length=DESCRIPTION_LIMIT,
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text=gettext_lazy("Optional. What the campaign is for. Only your team sees it."),
    )
    channel = forms.ChoiceField(
        label=gettext_lazy("Channel"), choices=registry.choices, widget=forms.RadioSelect
    )
    template_used = forms.IntegerField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = Campaign
        fields = ("name", "description", "channel", "tone")

    def __init__(
        self,
        data: Any = None,
        files: Any = None,
        *,
        workspace: Workspace,
        instance: Campaign | None = None,
        initial: dict[str, Any] | None = None,
        meanwhile: str = "",
    ) -> None:
        """`initial` may hold a `message`: what the inputs of the message begin with."""
        self.meanwhile = meanwhile
        self.content = main_content(instance, workspace)
        stored = instance or Campaign(workspace=workspace)
        given = {**(initial or {})}
        message = given.pop("message", None)
        super().__init__(data, instance=stored, initial={**self._shown(stored), **given})
        self.hold_message(
            str((self.data if self.is_bound else self.initial).get("channel") or ""), message
        )
        self.audience = AudiencePart(workspace, self.message.channel, stored, data)
        self.schedule = SchedulePart(workspace, stored, data)
        self.sending = SendingPart(stored, data)
        self.hold(self.audience, self.schedule, self.sending)

    def _shown(self, stored: Campaign) -> dict[str, Any]:
        """What the stored campaign says, in the words of the form's own fields."""
        said = {"tone": self.content.tone, "template_used": stored.template_id}
        if stored.pk:
            return {**said, "form_key": "", "seen": stored.updated_at.isoformat()}
        return {**said, "form_key": secrets.token_urlsafe(12), "seen": ""}

    # --- cleaning ---------------------------------------------------------------------------------
    def clean_template_used(self) -> int | None:
        """Only a hint where the text came from: one that is gone or foreign is dropped."""
        pk: int | None = self.cleaned_data["template_used"]
        if pk and Template.objects.filter(pk=pk).exists():
            return pk
        return None

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if self.meanwhile:
            self.put("seen", self.initial["seen"])
            self.add_error(None, self.meanwhile)
        return cleaned

    def would_undo(self, stored: Campaign) -> bool:
        """Whether saving would put an older state over `stored`. Not if the form says what is
        stored already: a second click on “Save”. A form without `seen` is not asked."""
        now, seen = stored.updated_at.isoformat(), self.cleaned_data["seen"]
        says_the_same = self.initial["seen"] == now and set(self.changed_data) <= {
            "seen",
            "form_key",
        }
        return seen not in ("", now) and not says_the_same

    # --- results ----------------------------------------------------------------------------------
    def save(self, commit: bool = True) -> Campaign:
        self.instance.template_id = self.cleaned_data["template_used"]
        for part in (self.audience, self.schedule, self.sending):
            part.put_into(self.instance)
        saved: Campaign = super().save(commit)
        return saved
