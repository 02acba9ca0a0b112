"""The message in a form: its texts and options. Part of the campaign form, and all of the form that changes the text of
a campaign on its way."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from campaigns.admin.campaign.options import OPTIONS, MessageOptions, select_field, stored_options, text_field
from campaigns.channels.push import schema
from campaigns.channels.push.channel import WEB_PUSH
from campaigns.channels.render import RenderError, compile_text
from campaigns.models import BODY_LIMIT, TITLE_LIMIT, Campaign, Content, Tone
from pushpilot.lib.spelling import unix_lines
from tenants.models import Workspace

TEXTS = tuple(field.name for field in schema.FIELDS)


class _Counted(forms.CharField):
    """A text with a counter, which counts as this does: characters, and one for a new line. (A browser's maxlength
    counts an emoji twice and stops the typing; it posts a new line as two.)"""

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return {name: value for name, value in super().widget_attrs(widget).items() if name != "maxlength"}

    def to_python(self, value: Any) -> str:
        return unix_lines(str(super().to_python(value)))


class MessageFields(MessageOptions):
    """`content` is what is edited. `snapshot()` is the message as it stands, valid or not; `written()` once it is."""

    content: Content

    tone = select_field("Tone", [("", "No particular tone"), *Tone.choices])
    title = _Counted(
        label="Title",
        max_length=TITLE_LIMIT,
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "20% off this weekend"}),
    )
    body = _Counted(
        label="Text",
        max_length=BODY_LIMIT,
        required=False,
        widget=UnfoldAdminTextareaWidget(
            attrs={"rows": 4, "placeholder": "Hi {{ first_name | default: 'there' }}, free delivery until Sunday."}
        ),
    )
    image_url = text_field(
        "Image", 500, "https://…/picture.jpg", "Optional. A JPEG or PNG under 1 MB, at an https address."
    )
    deep_link = text_field("Link", 500, "https://… or yourapp://offers", "Optional. Where a tap leads.")

    def channel_chosen(self) -> str:
        """The channel that the message is for: here the form's own field, "" if there is none yet."""
        return str(self.cleaned_data.get("channel") or "")

    def put(self, name: str, value: str) -> None:
        """The bound form shows this value of a field instead of the one that was sent."""
        data: Any = self.data
        self.data = data = data.copy()
        data[name] = value

    # --- cleaning -------------------------------------------------------------------------------------------
    def check_texts(self) -> None:
        """Add the errors of texts with control characters; part of clean()."""
        for name, value in list(self.cleaned_data.items()):
            if isinstance(value, str) and (problem := schema.control_problem(str(self.fields[name].label), value)):
                self.add_error(name, problem)

    def _clean_liquid(self, field: str) -> str:
        source = str(self.cleaned_data[field])
        try:
            compile_text(source)
        except RenderError as error:
            raise ValidationError(f"The personalisation cannot be read: {error}.") from error
        return source

    def clean_title(self) -> str:
        return self._clean_liquid("title")

    def clean_body(self) -> str:
        return self._clean_liquid("body")

    def clean_image_url(self) -> str:
        url = self._clean_liquid("image_url")
        if problem := schema.image_problem(url):
            raise ValidationError(problem)
        return url

    def clean_deep_link(self) -> str:
        link = self._clean_liquid("deep_link")
        if problem := schema.link_problem(link, is_web=self.channel_chosen() == WEB_PUSH):
            raise ValidationError(problem)
        return link

    # --- results --------------------------------------------------------------------------------------------
    def options(self) -> dict[str, Any]:
        """What goes into Content.options."""
        kept = {name: value for name, value in self.content.options.items() if name not in OPTIONS}
        return {**kept, **self.message_options()}

    def snapshot(self) -> dict[str, Any]:
        """The message with whatever of the bound form is valid, as Content.snapshot would give it."""
        texts = {name: self.cleaned_data.get(name, self.data.get(name, "")) for name in TEXTS}
        return {**self.options(), **texts, "language": self.content.language, "variant": self.content.variant}

    def written(self) -> Content:
        """The content as the valid form says it, not saved."""
        for name in TEXTS:
            setattr(self.content, name, self.cleaned_data[name])
        self.content.tone, self.content.options = self.cleaned_data["tone"], self.options()
        return self.content


class MessageForm(MessageFields):
    """The message of a campaign on its way, and nothing else of it. `seen`: the digest of the contents that the page
    was opened with; `accepted`: of those whose warnings it has shown."""

    seen = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)
    accepted = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)

    def __init__(self, campaign: Campaign, workspace: Workspace, data: Any = None, *, seen: str = "") -> None:
        self.campaign, self.content = campaign, main_content(campaign, workspace)
        super().__init__(data, initial={**stored_message(self.content), "tone": self.content.tone, "seen": seen})
        self.fields["ttl_secs"].offer(self.initial.get("ttl_secs"))  # type: ignore[attr-defined]

    def channel_chosen(self) -> str:
        return self.campaign.channel

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        self.check_texts()
        self.check_buttons(self.channel_chosen())
        return cleaned


def stored_message(content: Content) -> dict[str, Any]:
    """A content's texts and options as the inputs show them."""
    return {**{name: getattr(content, name) for name in TEXTS}, **stored_options(content.options)}


def main_content(campaign: Campaign | None, workspace: Workspace) -> Content:
    """The content that a form edits: the one in the workspace's language, else the first, else a new one."""
    contents = list(campaign.contents.order_by("variant", "id")) if campaign and campaign.pk else []
    in_default = [content for content in contents if content.language == workspace.default_language]
    return next(iter([*in_default, *contents]), None) or Content(language=workspace.default_language)
