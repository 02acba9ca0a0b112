"""The message in a form: the channel's own form inside the campaign's, and all of the form that
changes the text of a campaign on its way."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy

from campaigns.admin.parts import FormOfParts
from campaigns.channels import registry
from campaigns.channels.base import Message
from campaigns.channels.editor import ContentForm, form_of
from campaigns.channels.inputs import select_field
from campaigns.models import Campaign, Content, Tone
from tenants.models import Workspace


class WithMessage(FormOfParts):
    """A form that holds the form of a message.

    `content` is what is edited. `snapshot()` is the message as it stands, valid or not;
    `written()` once it is.
    """

    content: Content
    message: ContentForm

    tone = select_field(
        gettext_lazy("Tone"), [("", gettext_lazy("No particular tone")), *Tone.choices]
    )

    def hold_message(self, channel: str, stored: Message | None = None) -> None:
        """Part of __init__. `stored`: what the inputs begin with, if it is not the content."""
        known = registry.CHANNELS.get(channel) or registry.channel_of(registry.DEFAULT)
        fields = self.content.fields if stored is None else stored
        self.message = form_of(known, self.data if self.is_bound else None, stored=fields)
        self.hold(self.message)

    # --- results ----------------------------------------------------------------------------------
    def snapshot(self) -> dict[str, Any]:
        """The message with whatever of the bound form is valid, as Content.snapshot would give
        it."""
        content = self.content
        return Content(
            language=content.language, variant=content.variant, fields=self.message.message()
        ).snapshot()

    def written(self) -> Content:
        """The content as the valid form says it, not saved."""
        self.content.channel, self.content.tone = (
            self.message.channel.key,
            self.cleaned_data["tone"],
        )
        self.content.fields = self.message.message()
        return self.content


class MessageForm(WithMessage):
    """The message of a campaign on its way, and nothing else of it. `seen`: the digest of the
    contents that the page was opened with; `accepted`: of those whose warnings it has shown."""

    seen = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)
    accepted = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)

    def __init__(
        self, campaign: Campaign, workspace: Workspace, data: Any = None, *, seen: str = ""
    ) -> None:
        self.campaign, self.content = campaign, main_content(campaign, workspace)
        super().__init__(data, initial={"tone": self.content.tone, "seen": seen})
        self.hold_message(campaign.channel)


def labels_of(channel: str) -> dict[str, str]:
    """{field of the channel: the label of its input}."""
    known = registry.CHANNELS.get(channel)
    if known:
        return {name: str(field.label) for name, field in form_of(known, stored={}).fields.items()}
    return {}


def main_content(campaign: Campaign | None, workspace: Workspace) -> Content:
    """The content that a form edits: the one in the workspace's language, else the first, else a
    new one."""
    contents = []
    if campaign and campaign.pk:
        contents = list(campaign.contents.order_by("variant", "id"))
    in_default = [content for content in contents if content.language == workspace.default_language]
    return next(iter([*in_default, *contents]), None) or Content(
        language=workspace.default_language
    )
