"""App push and web push: the same message, shown by apps or by browsers."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy

from campaigns.channels.base import Channel, Message, Remark
from campaigns.channels.push import platforms, schema, topics
from campaigns.channels.push.editor import PushForm, option_words
from campaigns.channels.push.keys import APP_PUSH, WEB_PUSH
from campaigns.channels.push.words import REASON_WORDS, TEMPLATE_EXAMPLES

_BUTTON_INPUT = re.compile(r"button_(\d+)_(\w+)")
_APP_ONLY = frozenset({"sound", "badge", "android_channel", "data_only"})
_WEB_ONLY = frozenset({"icon_url"})


class Push(Channel):
    """What app push and web push share."""

    service = "push"
    fields = schema.FIELDS
    options = schema.OPTIONS
    other_names = {"subtitle": "body"}
    broadcasts = topics.BROADCASTS
    counted_addresses = ngettext_lazy("%(count)s device", "%(count)s devices", "number")
    address_kinds = {
        "token": gettext_lazy("Registration token"),
        "fid": gettext_lazy("Firebase installation ID"),
    }
    limit_bytes = schema.PAYLOAD_LIMIT_BYTES
    # FCM itself forgets an Android token that was silent for so long
    stale_after = timedelta(days=270)
    # The first three are codes of FCM; older versions retired for the second one.
    retired_words = {
        "UNREGISTERED": gettext_lazy("App removed or token expired"),
        "SENDER_ID_MISMATCH": gettext_lazy("Belongs to another Firebase project"),
        "INVALID_ARGUMENT": gettext_lazy("Not a valid token"),
    }
    reason_words = REASON_WORDS
    content_form = PushForm
    empty_words = gettext_lazy("The message is empty. Write a title and a text.")
    preview_template = "push/preview.html"
    preview_scripts = ("push/phone.js",)
    preview_styles = ("push/phone.css",)
    is_web = False

    def problems(self, message: Message) -> Iterator[Remark]:
        yield from super().problems(message)
        link = schema.link_problem(str(message.get("deep_link") or ""), is_web=self.is_web)
        image = schema.image_problem(str(message.get("image_url") or ""))
        yield from (
            (field, problem)
            for field, problem in (("deep_link", link), ("image_url", image))
            if problem
        )
        yield from schema.option_problems(message, is_web=self.is_web)

    def path_of(self, name: str) -> str:
        """The editor has an input for each part of a button, and one for all data."""
        button = _BUTTON_INPUT.fullmatch(name)
        if button:
            return f"buttons.{int(button[1]) - 1}.{button[2]}"
        return "data" if name == "data_lines" else name

    def warnings(self, message: Message) -> Iterator[Remark]:
        if message.get("silent"):
            if not message.get("data") and not message.get("deep_link"):
                yield (
                    "data_lines",
                    _("A silent message without data tells the app nothing. Add data for the app."),
                )
        elif self.is_empty(message):
            return
        elif not str(message.get("body") or "").strip():
            yield "body", _("The text is empty. Devices show only the title.")
        elif not str(message.get("title") or "").strip():
            yield "title", _("The title is empty. Devices show only the text.")

    def is_empty(self, message: Message) -> bool:
        return not message.get("silent") and not any(
            str(message.get(field) or "").strip() for field in ("title", "body")
        )

    def ignored(self, message: Message, among: Collection[str] | None = None) -> list[Remark]:
        return platforms.ignored(message, tuple(platforms.PLATFORMS) if among is None else among)

    def in_words(self, message: Message, hidden: Collection[str] = ()) -> list[tuple[str, str]]:
        return option_words(message, hidden)

    def preview(self, message: Message) -> dict[str, Any]:
        link = str(message.get("deep_link") or "")
        return {
            **super().preview(message),
            "icon_url": message.get("icon_url") or "",
            "buttons": [str(button.get("text") or "") for button in message.get("buttons") or ()],
            "site": link if link.startswith("https://") else "",  # what a browser opens
            "is_silent": bool(message.get("silent")),
            "drawn_by": "app" if message.get("data_only") else "system",
        }

    def as_test(self, message: Message) -> Message:
        return {**message, "data": {**(message.get("data") or {}), **schema.TEST_MARK}}

    def size(self, message: Message) -> int:
        return schema.payload_bytes(message)


class AppPush(Push):
    key, label, icon = APP_PUSH, gettext_lazy("App push"), "phone_iphone"
    template_examples = TEMPLATE_EXAMPLES
    platforms = platforms.PLATFORMS

    def hidden_fields(self, *, is_broadcast: bool) -> frozenset[str]:
        if is_broadcast:
            return frozenset()
        return _WEB_ONLY


class WebPush(Push):
    key, label, icon = WEB_PUSH, gettext_lazy("Web push"), "language"
    platforms = {platforms.WEB: platforms.PLATFORMS[platforms.WEB]}
    is_web = True

    def hidden_fields(self, *, is_broadcast: bool) -> frozenset[str]:
        return _APP_ONLY
