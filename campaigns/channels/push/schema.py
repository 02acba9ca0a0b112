"""What a push message may hold. The form, the lint and (through them) every other door ask here.

Findings name the form field that cures them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from campaigns.channels.base import REFERENCE, Fault, Field, Option, Remark, control_problem
from campaigns.channels.render import is_dynamic
from pushpilot.lib.display import format_number

PAYLOAD_LIMIT_BYTES = 4096
"""Of a message to one device. Source: FCM's ErrorCode, "Message too big"; APNs and web push take
as much."""
TTL_LIMIT_SECS = 28 * 24 * 3600
COLLAPSE_KEY_LIMIT_BYTES = 64  # of apns-collapse-id
BUTTON_LIMIT = 3
BUTTON_TEXT_LIMIT = 30
BUTTON_LINK_LIMIT = 500
BUTTON_PARTS = ("text", "url")
WORD_LIMIT = 64  # characters of a key, of the name of a sound or of an Android channel
DATA_LIMIT = 50
BADGE_LIMIT = 9999
FIELDS = (
    Field(
        "title",
        gettext_lazy("Title"),
        120,
        is_personal=True,
        is_required=True,
        aliases=("headline", "heading", "subject"),
        explained=gettext_lazy("The first line of the message."),
    ),
    Field(
        "body",
        gettext_lazy("Text"),
        1000,
        is_personal=True,
        is_required=True,
        has_lines=True,
        aliases=("subtitle", "message", "text", "content", "description"),
        explained=gettext_lazy("The text of the message."),
    ),
    Field(
        "image_url",
        gettext_lazy("Image"),
        500,
        is_personal=True,
        aliases=("image", "picture", "image link", "big picture"),
        explained=gettext_lazy("The address of an image. It starts with https://."),
    ),
    Field(
        "deep_link",
        gettext_lazy("Link"),
        500,
        is_personal=True,
        aliases=("link", "url", "launch url", "target url", "destination"),
        explained=gettext_lazy("The address that a tap opens, for example app://offers."),
    ),
)
# What the editor writes beside the texts.
OPTIONS = (
    Option("ttl_secs", gettext_lazy("Time to live"), int),
    Option("priority", gettext_lazy("Priority"), str, 8),
    Option("collapse_key", gettext_lazy("Collapse key"), str, WORD_LIMIT),
    Option("android_channel", gettext_lazy("Android channel"), str, WORD_LIMIT),
    Option("sound", gettext_lazy("Sound"), str, WORD_LIMIT),
    Option("badge", gettext_lazy("Badge"), int),
    Option("icon_url", gettext_lazy("Icon"), str, 500),
    Option("silent", gettext_lazy("Silent"), bool),
    Option("data_only", gettext_lazy("Data-only message"), bool),
    Option("data", gettext_lazy("Data for the app"), dict),
    Option("buttons", gettext_lazy("Buttons"), list, parts=BUTTON_PARTS),
)

_LINK = re.compile(r"https?://[^\s/?#]+\S*|(?!https?:)[a-z][a-z0-9+.-]*:\S+", re.IGNORECASE)
# They run code, or open what lies on a device or in a browser. Browsers skip blanks and controls in
# front and within.
_REFUSED = re.compile(
    r"(javascript|data|vbscript|file|filesystem|blob|view-source|about):", re.IGNORECASE
)
_SKIPPED = re.compile(r"[\x00-\x20\x7f-\xa0\u200b\ufeff]+")
_HTTPS = re.compile(r"https://[^\s/?#]+\S*")
_DATA_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
# FCM refuses these; pp_ carries the reference, the link and the buttons of every message.
_RESERVED = ("google.", "gcm.", "pp_")
TEST_MARK = {"pp_test": "1"}
_RESERVED_WORDS = frozenset(
    {"from", "message_type", "collapse_key", "notification", "google", "gcm"}
)
_WHERE_A_TAP_LEADS = gettext_lazy(
    "Write the whole link, for example https://shop.example/sale or yourapp://offers."
)


# --- errors ---------------------------------------------------------------------------------------
def data_problem(data: Mapping[str, Any]) -> str:
    """What is wrong with the app's data, "" if nothing."""
    if len(data) > DATA_LIMIT:
        return ngettext(
            "The data has at most %(count)s entry. Delete some.",
            "The data has at most %(count)s entries. Delete some.",
            DATA_LIMIT,
        ) % {"count": DATA_LIMIT}
    for key, value in data.items():
        if not _DATA_KEY.fullmatch(key):
            return _(
                "“%(key)s” is not a valid key. Use letters, digits, “_”, “-” and “.”, and no "
                "digit at the beginning."
            ) % {"key": key}
        if key.lower().startswith(_RESERVED) or key.lower() in _RESERVED_WORDS:
            return _("“%(key)s” is reserved. Choose another key.") % {"key": key}
        if not isinstance(value, str):
            return _("The value of “%(key)s” must be text.") % {"key": key}
        if control := control_problem(_("Value of “%(key)s”") % {"key": key}, value):
            return control
        if is_dynamic(value):
            return _(
                "The value of “%(key)s” is the same for everybody. Remove the personalisation "
                "from it."
            ) % {"key": key}
    return ""


def button_problem(
    number: int, button: Mapping[str, Any], *, is_web: bool = False
) -> Remark | None:
    """What is wrong with a button {text, url}."""
    text, url = str(button.get("text") or ""), str(button.get("url") or "")
    if not text.strip():
        return f"button_{number}_text", _("Write the text of the button, or delete its link.")
    if len(text) > BUTTON_TEXT_LIMIT:
        return f"button_{number}_text", (
            ngettext(
                "The text of a button has at most %(count)s character. Phones cut longer texts.",
                "The text of a button has at most %(count)s characters. Phones cut longer texts.",
                BUTTON_TEXT_LIMIT,
            )
            % {"count": BUTTON_TEXT_LIMIT}
        )
    if is_dynamic(text) or is_dynamic(url):
        field = "url"
        if is_dynamic(text):
            field = "text"
        return f"button_{number}_{field}", (
            _("Buttons are the same for everybody. Remove the personalisation from the button.")
        )
    if control := control_problem(_("Text of the button"), text):
        return f"button_{number}_text", control
    if len(url) > BUTTON_LINK_LIMIT:
        return f"button_{number}_url", (
            _("The link of a button has at most %(limit)s characters. Use a shorter link.")
            % {"limit": format_number(BUTTON_LINK_LIMIT)}
        )
    if problem := link_problem(url, is_web=is_web):
        return f"button_{number}_url", problem
    return None


def link_problem(link: str, *, is_web: bool = False) -> Fault:
    """What is wrong with a link that a tap opens. Its personalised parts are judged by lint over
    the texts."""
    if not link:
        return Fault()
    if found := _REFUSED.match(_SKIPPED.sub("", link)):
        scheme = found[1].lower()
        return Fault(
            _("A link that starts with “%(scheme)s” opens no page of a website or an app.")
            % {"scheme": f"{scheme}:"},
            str(_WHERE_A_TAP_LEADS),
        )
    if is_web and not link.startswith("https://"):
        return Fault(
            _("Browsers open only links that start with https://."),
            _("Write the address of a web page."),
        )
    if is_dynamic(link) or _LINK.fullmatch(link):
        return Fault()
    return Fault(_("This link is not complete."), str(_WHERE_A_TAP_LEADS))


def image_problem(address: str) -> Fault:
    """What is wrong with the address of an image."""
    if not address or is_dynamic(address) or _HTTPS.fullmatch(address):
        return Fault()
    return Fault(
        _("This is not the address of an image."),
        _("Write the whole address. It starts with https://."),
    )


def collapse_key_problem(key: str) -> str:
    if is_dynamic(key):  # a device holds four keys at a time; one per recipient would drop messages
        return _("The collapse key is the same for everybody. Remove the personalisation from it.")
    if len(key.encode("utf-8", "replace")) > COLLAPSE_KEY_LIMIT_BYTES:
        return ngettext(
            "The collapse key has at most %(count)s byte. Write a short word in plain letters.",
            "The collapse key has at most %(count)s bytes. Write a short word in plain letters.",
            COLLAPSE_KEY_LIMIT_BYTES,
        ) % {"count": COLLAPSE_KEY_LIMIT_BYTES}
    return ""


def option_problems(options: Mapping[str, Any], *, is_web: bool) -> Iterator[Remark]:
    """What stops a message with these options, through whichever door they came."""
    listed = options.get("buttons") or []
    if len(listed) > BUTTON_LIMIT:
        yield (
            "button_1_text",
            ngettext(
                "A message has at most %(count)s button. Delete one.",
                "A message has at most %(count)s buttons. Delete one.",
                BUTTON_LIMIT,
            )
            % {"count": BUTTON_LIMIT},
        )
    for number, button in enumerate(listed[:BUTTON_LIMIT], start=1):
        if problem := button_problem(number, button, is_web=is_web):
            yield problem
    for field, problem_text in (
        ("data_lines", data_problem(options.get("data") or {})),
        ("collapse_key", collapse_key_problem(str(options.get("collapse_key") or ""))),
        ("icon_url", image_problem(str(options.get("icon_url") or ""))),
    ):
        if problem_text:
            yield field, problem_text
    for field, label, low, high in (
        ("ttl_secs", _("Time to live, in seconds"), 0, TTL_LIMIT_SECS),
        ("badge", _("Badge"), 0, BADGE_LIMIT),
    ):
        value = options.get(field)
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high
        ):
            yield (
                field,
                _("“%(label)s” must be a whole number from %(low)s to %(high)s.")
                % {"label": label, "low": low, "high": format_number(high)},
            )
    if options.get("priority") not in (None, "", "high", "normal"):
        yield "priority", _("The priority must be high or normal.")


# --- size -----------------------------------------------------------------------------------------
def payload_bytes(message: Mapping[str, Any]) -> int:
    """The bytes of a filled message that count towards PAYLOAD_LIMIT_BYTES: what is shown, and
    the data with ours.

    FCM says "the total size of the payload data, keys and values" and does not publish the
    formula. We count keys and values in UTF-8 without JSON's quotes, as its legacy reference
    did; platform blocks add tens of bytes, so lint warns before the limit. The sandbox counts
    what arrives in the same way, on its own.
    """
    texts = {name: message.get(name) for name in ("title", "body")}
    image = {"image": message.get("image_url")}
    data: dict[str, Any] = {"pp_ref": message.get(REFERENCE), "pp_link": message.get("deep_link")}
    if message.get("silent"):
        shown: dict[str, Any] = {}
    elif message.get("data_only"):
        shown = texts
        data |= {f"pp_{name}": value for name, value in {**texts, **image}.items()}
    else:
        shown = texts | image
    for number, button in enumerate(message.get("buttons") or (), start=1):
        data |= {f"pp_button_{number}_{part}": button.get(part) for part in ("text", "url")}
    return _text_bytes(shown) + _text_bytes({**(message.get("data") or {}), **data})


def _text_bytes(fields: Mapping[str, Any]) -> int:
    return sum(
        len(f"{name}{value}".encode("utf-8", "replace")) for name, value in fields.items() if value
    )
