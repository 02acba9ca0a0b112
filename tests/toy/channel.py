"""A pager: one line of text, for people who carry one."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import ngettext_lazy

from campaigns.channels.base import Channel, Field, Message, Remark


class Pager(Channel):
    key, label, icon, service = "pager", "Pager", "sms", "pager"
    fields = (Field("line", "Line", 80, is_personal=True, is_required=True, aliases=("page",)),)
    title_field = "line"
    limit_bytes = 160
    address_limit = 16
    counted_addresses = ngettext_lazy("%(count)s pager", "%(count)s pagers", "number")
    empty_words = "The line is empty: write what the pager shows."

    def warnings(self, message: Message) -> Iterator[Remark]:
        if str(message.get("line") or "").isupper():
            yield "line", "Capitals alone are hard to read."

    def check_address(self, value: str) -> str:
        if not value.isdecimal():
            raise ValueError("The address must be the digits of a pager.")
        return super().check_address(value)
