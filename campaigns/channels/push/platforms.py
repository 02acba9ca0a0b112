"""What each platform leaves out of a push message."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from campaigns.channels.base import Message, Remark
from campaigns.channels.render import is_dynamic

ANDROID, IOS, WEB = "android", "ios", "web"
PLATFORMS = {ANDROID: "Android", IOS: "iOS", WEB: "Web"}


@dataclass(frozen=True, slots=True)
class _Ignored:
    """A platform that does not do what `field` asks for, if `when` is true of the message."""

    field: str
    platform: str
    text: str
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
    _Ignored("badge", WEB, "Browsers show no number.", _shows("badge")),
    _Ignored(
        "badge",
        ANDROID,
        "The app draws the message on Android, and sets the number itself.",
        _drawn_by_app("badge"),
    ),
    _Ignored("sound", WEB, "Browsers choose the sound themselves.", _shows("sound")),
    _Ignored(
        "sound",
        ANDROID,
        "Since Android 8 the notification channel decides about the sound.",
        _drawn_by_system("sound"),
    ),
    _Ignored(
        "sound",
        ANDROID,
        "The app draws the message on Android, and plays its own sound.",
        _drawn_by_app("sound"),
    ),
    _Ignored(
        "android_channel", IOS, "iPhones have no notification channels.", _shows("android_channel")
    ),
    _Ignored(
        "android_channel", WEB, "Browsers have no notification channels.", _shows("android_channel")
    ),
    _Ignored(
        "android_channel",
        ANDROID,
        "The app draws the message on Android, and chooses the channel itself.",
        _drawn_by_app("android_channel"),
    ),
    _Ignored(
        "button_1_text",
        IOS,
        "iPhones show buttons only if your app registers the category pp_buttons.",
        _shows("buttons"),
    ),
    _Ignored(
        "button_1_text",
        ANDROID,
        "Android itself draws no buttons: switch on “The app draws it” if your app can.",
        _drawn_by_system("buttons"),
    ),
    _Ignored(
        "button_1_text",
        WEB,
        "Chrome and Edge show two buttons; Firefox and Safari show none.",
        _shows("buttons"),
    ),
    _Ignored(
        "button_1_url",
        WEB,
        "Browsers open only links that start with https://.",
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
        "Browsers open only links that start with https://.",
        lambda message: (
            _shows("deep_link")(message) and not str(message["deep_link"]).startswith("https://")
        ),
    ),
    _Ignored(
        "image_url",
        IOS,
        "iPhones show the picture only if your app has a notification service extension.",
        _shows("image_url"),
    ),
    _Ignored("image_url", WEB, "Firefox and Safari show no picture.", _shows("image_url")),
    _Ignored(
        "image_url",
        ANDROID,
        "Android shows a moving GIF as a still picture, or not at all.",
        _picture(*_MOVING),
    ),
    _Ignored(
        "image_url",
        ANDROID,
        "Not every Android phone shows WebP, HEIC or AVIF; JPEG and PNG are safe.",
        _picture(*_NEW),
    ),
    _Ignored(
        "image_url",
        IOS,
        "Not every iPhone shows WebP, HEIC or AVIF; JPEG and PNG are safe.",
        _picture(*_NEW),
    ),
    _Ignored(
        "image_url",
        WEB,
        "Not every browser shows WebP, HEIC or AVIF; JPEG and PNG are safe.",
        _picture(*_NEW),
    ),
    _Ignored("image_url", ANDROID, "Android plays no videos in notifications.", _picture(*_FILM)),
    _Ignored("image_url", WEB, "Browsers play no videos in notifications.", _picture(*_FILM)),
    *(
        _Ignored(
            "image_url",
            platform,
            "SVG pictures are shown nowhere; use JPEG or PNG.",
            _picture(".svg"),
        )
        for platform in PLATFORMS
    ),
    _Ignored(
        "icon_url",
        ANDROID,
        "Android shows the icon that is built into the app.",
        _shows("icon_url"),
    ),
    _Ignored(
        "icon_url", IOS, "iPhones show the icon that is built into the app.", _shows("icon_url")
    ),
    _Ignored(
        "data_only",
        IOS,
        "iPhones show the message by themselves all the same.",
        _shows("data_only"),
    ),
    _Ignored(
        "data_only",
        WEB,
        "Browsers show the message by themselves all the same.",
        _shows("data_only"),
    ),
    _Ignored(
        "silent",
        IOS,
        "iPhones deliver a silent message when it suits them, a few an hour at most.",
        _has("silent"),
    ),
    _Ignored(
        "silent", WEB, "Browsers show a notice of their own when nothing is shown.", _has("silent")
    ),
)


def ignored(message: Message, platforms: Collection[str] = tuple(PLATFORMS)) -> list[Remark]:
    """(field, sentence) of what these platforms leave out of a message (Content.snapshot), each
    sentence once."""
    found = [
        (rule.field, rule.text)
        for rule in IGNORED
        if rule.platform in platforms and rule.when(message)
    ]
    return list(dict.fromkeys(found))
