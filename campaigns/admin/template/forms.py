"""The form of a template: the texts that its channel has, judged as the import judges a row."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from campaigns.admin.parts import FormOfParts
from campaigns.channels import registry
from campaigns.channels.base import Channel, Message
from campaigns.channels.editor import ContentForm
from campaigns.channels.inputs import select_field
from campaigns.imports.cells import COMMON, cell_errors, tidy
from campaigns.models import Template, Tone
from pushpilot.lib.spelling import name_key
from tenants.models import Workspace
from tenants.scope import current_workspace


class TemplateTexts(ContentForm):
    """One input for each field of the channel. What else a template holds, such as buttons, is
    kept."""

    def __init__(self, channel: Channel, data: Any = None, *, stored: Message) -> None:
        super().__init__(channel, data, stored=stored)
        for field in channel.fields:
            self.fields[field.name].required = field.is_required
            self.fields[field.name].help_text = field.explained

    def clean(self) -> dict[str, Any]:
        values = {name: tidy(name, text) for name, text in self.cleaned_data.items()}
        self.cleaned_data = values
        for column, error in cell_errors(dict(values), self.channel.key).items():
            self.add_error(column, error)
        return values


class TemplateForm(FormOfParts, forms.ModelForm):
    """Asks what the import asks, in the same words. `texts` is its part with the fields of the
    channel."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=100,
        widget=UnfoldAdminTextInputWidget(),
        help_text=gettext_lazy("Your team finds the template by its name."),
    )
    channel = forms.ChoiceField(
        label=gettext_lazy("Channel"),
        choices=registry.choices,
        required=False,
        widget=forms.RadioSelect,
    )
    language = forms.CharField(
        label=gettext_lazy("Language"),
        max_length=35,
        widget=UnfoldAdminTextInputWidget(),
        help_text=gettext_lazy("A language code such as en, hi or pt-BR."),
    )
    category = forms.ChoiceField(
        label=gettext_lazy("Category"),
        choices=[("", gettext_lazy("Select category")), *Template.Category.choices],
        widget=UnfoldAdminSelectWidget(),
    )
    tone = select_field(
        gettext_lazy("Tone"), [("", gettext_lazy("No particular tone")), *Tone.choices]
    )

    class Meta:
        model = Template
        fields = COMMON

    def __init__(
        self,
        data: Any = None,
        files: Any = None,
        *,
        instance: Template | None = None,
        initial: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data, instance=instance or Template(), initial=initial)
        given = self.data if self.is_bound else self.initial
        chosen = given.get("channel") or self.instance.channel
        channel = registry.CHANNELS.get(str(chosen)) or registry.channel_of(registry.DEFAULT)
        self.texts = TemplateTexts(channel, data, stored=self.instance.fields)
        self.hold(self.texts)
        self.audited = tuple(self.texts.fields)  # the trail names what they change one by one

    def clean_channel(self) -> str:
        return str(self.cleaned_data["channel"] or self.instance.channel)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        values = {
            column: tidy(column, cleaned[column] or "") for column in COMMON if column in cleaned
        }
        cleaned.update(values)
        for column, error in cell_errors(values).items():
            self.add_error(column, error)
        key = [str(cleaned.get(column) or "") for column in ("name", "language", "channel")]
        if all(key) and named(current_workspace(), *key).exclude(pk=self.instance.pk).exists():
            text = _(
                "Your workspace has a template with this name, language and channel. Choose "
                "another name."
            )
            self.add_error("name", text)
        return cleaned

    def save(self, commit: bool = True) -> Template:
        self.instance.fields = self.texts.message()
        saved: Template = super().save(commit)
        return saved


def named(
    workspace: Workspace | None, name: str, language: str, channel: str
) -> models.QuerySet[Template]:
    """The workspace's template with this key, if there is one."""
    return Template.objects.filter(
        workspace=workspace, name_key=name_key(name), language=language, channel=channel
    )
