"""The form of a template: the texts that its channel has, judged as the import judges a row."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from campaigns.admin.parts import FormOfParts
from campaigns.channels import registry
from campaigns.channels.base import Channel, Message
from campaigns.channels.editor import ContentForm
from campaigns.channels.inputs import select_field
from campaigns.content import library
from campaigns.imports.cells import COMMON, cell_errors, tidy
from campaigns.models import Template, Tone
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

    def clean_channel(self) -> str:
        return str(self.cleaned_data["channel"] or self.instance.channel)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        values = {name: tidy(name, cleaned[name] or "") for name in COMMON if name in cleaned}
        cleaned.update(values)
        found = library.faults(current_workspace(), values, stored=self.instance)
        for column, error in found.items():
            self.add_error(column, error)
        return cleaned

    @property
    def values(self) -> dict[str, str]:
        """{column or field of the channel: text} of the valid form."""
        return {name: str(self.cleaned_data[name]) for name in (*COMMON, *self.texts.fields)}
