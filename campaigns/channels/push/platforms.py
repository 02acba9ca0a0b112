"""What each platform leaves out of a push message."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from django.utils.translation import gettext_lazy

from campaigns.channels.base import Message, Remark
from campaigns.channels.render import is_dynamic
from pushpilot.lib.display import Words

ANDROID, IOS, WEB = "android", "ios", "web"
PLATFORMS: Mapping[str, Words] = {ANDROID: "Android", IOS: "iOS", WEB: gettext_lazy("Web")}


@dataclass(frozen=True, slots=True)
class _Ignored:
    """A platform that does not do what `field` asks for, if `when` is true of the message."""

    field: str
    platform: str
    text: Words
    when: Callable[[Message], bool]


def _has(name: str) -> Callable[[Message], bool]:
    return lambda message: message.get(name) not in (None, "", [], {})


def _shows(name: str) -> Callable[[Message], bool]:
    """The message has the field and shows something at all."""
    return lambda message: _has(name)(message) and not message.get("silent")


def _picture(*endings: str) -> Callable[[Message], bool]:
    return lambda message: not message.get("silent") and _ending(message).endswith(endings)


def _ending(message: Message) -> str:
    address = str(message.get("image_url") or "")
    return "" if is_dynamic(address) else re.split("[?#]", address)[0].lower()


def _drawn_by_system(name: str) -> Callable[[Message], bool]:
    return lambda message: _shows(name)(message) and not message.get("data_only")


def _drawn_by_app(name: str) -> Callable[[Message], bool]:
    return lambda message: _shows(name)(message) and bool(message.get("data_only"))


_MOVING, _NEW, _FILM = (".gif",), (".webp", ".heic", ".heif", ".avif"), (".mp4", ".mov", ".webm")
IGNORED = (
    _Ignored("badge", WEB, gettext_lazy("Browsers show no number."), _shows("badge")),
    _Ignored(
        "badge",
        ANDROID,
        gettext_lazy(
            "Android passes a data-only message to the app. The app sets the number itself."
        ),
        _drawn_by_app("badge"),
    ),
    _Ignored("sound", WEB, gettext_lazy("Browsers choose the sound themselves."), _shows("sound")),
    _Ignored(
        "sound",
        ANDROID,
        gettext_lazy("Since Android 8 the notification channel sets the sound."),
        _drawn_by_system("sound"),
    ),
    _Ignored(
        "sound",
        ANDROID,
        gettext_lazy("Android passes a data-only message to the app. The app plays its own sound."),
        _drawn_by_app("sound"),
    ),
    _Ignored(
        "android_channel",
        IOS,
        gettext_lazy("iPhones have no notification channels."),
        _shows("android_channel"),
    ),
    _Ignored(
        "android_channel",
        WEB,
        gettext_lazy("Browsers have no notification channels."),
        _shows("android_channel"),
    ),
    _Ignored(
        "android_channel",
        ANDROID,
        gettext_lazy(
            "Android passes a data-only message to the app. The app chooses the channel itself."
        ),
        _drawn_by_app("android_channel"),
    ),
    _Ignored(
        "button_1_text",
        IOS,
        gettext_lazy("iPhones show buttons only if your app registers the category pp_buttons."),
        _shows("buttons"),
    ),
    _Ignored(
        "button_1_text",
        ANDROID,
        gettext_lazy(
            "Android itself shows no buttons. If your app can show them, switch on “Data-only "
            "message”."
        ),
        _drawn_by_system("buttons"),
    ),
    _Ignored(
        "button_1_text",
        WEB,
        gettext_lazy("Chrome and Edge show two buttons. Firefox and Safari show none."),
        _shows("buttons"),
    ),
    _Ignored(
        "button_1_url",
        WEB,
        gettext_lazy("Browsers open only links that start with https://."),
        lambda message: (
            not message.get("silent")
            and any(
                button.get("url") and not str(button["url"]).startswith("https://")
                for button in message.get("buttons") or ()
            )
        ),
    ),
    _Ignored(
        "deep_link",
        WEB,
        gettext_lazy("Browsers open only links that start with https://."),
        lambda message: (
            _shows("deep_link")(message) and not str(message["deep_link"]).startswith("https://")
        ),
    ),
    _Ignored(
        "image_url",
        IOS,
        gettext_lazy(
            "iPhones show the image only if your app has a notification service extension."
        ),
        _shows("image_url"),
    ),
    _Ignored(
        "image_url", WEB, gettext_lazy("Firefox and Safari show no image."), _shows("image_url")
    ),
    _Ignored(
        "image_url",
        ANDROID,
        gettext_lazy("Android shows an animated GIF as a still image, or not at all."),
        _picture(*_MOVING),
    ),
    _Ignored(
        "image_url",
        ANDROID,
        gettext_lazy("Not every Android phone shows WebP, HEIC or AVIF. JPEG and PNG are safe."),
        _picture(*_NEW),
    ),
    _Ignored(
        "image_url",
        IOS,
        gettext_lazy("Not every iPhone shows WebP, HEIC or AVIF. JPEG and PNG are safe."),
        _picture(*_NEW),
    ),
    _Ignored(
        "image_url",
        WEB,
        gettext_lazy("Not every browser shows WebP, HEIC or AVIF. JPEG and PNG are safe."),
        _picture(*_NEW),
    ),
    _Ignored(
        "image_url",
        ANDROID,
        gettext_lazy("Android plays no videos in notifications."),
        _picture(*_FILM),
    ),
    _Ignored(
        "image_url",
        WEB,
        gettext_lazy("Browsers play no videos in notifications."),
        _picture(*_FILM),
    ),
    *(
        _Ignored(
            "image_url",
            platform,
            gettext_lazy("No platform shows SVG images. Use JPEG or PNG."),
            _picture(".svg"),
        )
        for platform in PLATFORMS
    ),
    _Ignored(
        "icon_url",
        ANDROID,
        gettext_lazy("Android shows the icon that is built into the app."),
        _shows("icon_url"),
    ),
    _Ignored(
        "icon_url",
        IOS,
        gettext_lazy("iPhones show the icon that is built into the app."),
        _shows("icon_url"),
    ),
    _Ignored(
        "data_only",
        IOS,
        gettext_lazy("iPhones show a data-only message by themselves."),
        _shows("data_only"),
    ),
    _Ignored(
        "data_only",
        WEB,
        gettext_lazy("Browsers show a data-only message by themselves."),
        _shows("data_only"),
    ),
    _Ignored(
        "silent",
        IOS,
        gettext_lazy("iPhones may deliver silent messages late, and at most a few an hour."),
        _has("silent"),
    ),
    _Ignored(
        "silent",
        WEB,
        gettext_lazy("Browsers show a notice of their own in place of a silent message."),
        _has("silent"),
    ),
)


def ignored(message: Message, platforms: Collection[str] = tuple(PLATFORMS)) -> list[Remark]:
    """(field, sentence) of what these platforms leave out of a message (Content.snapshot), each
    sentence once."""
    found = [
        (rule.field, str(rule.text))
        for rule in IGNORED
        if rule.platform in platforms and rule.when(message)
    ]
    return list(dict.fromkeys(found))
