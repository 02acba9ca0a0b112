"""What a push message may hold, to which topics it may go, and what each platform ignores of it. No database.

The form, the lint and (through them) every other door ask here. Findings name the form field that cures them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from campaigns.channels.render import is_dynamic
from campaigns.models import Channel, Endpoint, Target
from pushpilot.lib.signing import sign_reference
from pushpilot.lib.spelling import control_character

PAYLOAD_LIMIT_BYTES = 4096  # FCM's
TOPIC_LIMIT_BYTES = 2048
TTL_LIMIT_SECS = 28 * 24 * 3600
COLLAPSE_KEY_LIMIT_BYTES = 64  # of apns-collapse-id
BUTTON_LIMIT = 3
BUTTON_TEXT_LIMIT = 30
DATA_LIMIT = 50
BADGE_LIMIT = 9999
CONDITION_LIMIT_TOPICS = 5
TOPIC_LIMIT = 200
_SAMPLE_ID = 10**7  # references of a real send are about this long

_LINK = re.compile(r"https?://[^\s/?#]+\S*|(?!https?:)[a-z][a-z0-9+.-]*:\S+", re.IGNORECASE)
# They run code, or open what lies on a device or in a browser. Browsers skip blanks and controls in front and within.
_REFUSED = re.compile(r"(javascript|data|vbscript|file|filesystem|blob|view-source|about):", re.IGNORECASE)
_SKIPPED = re.compile(r"[\x00-\x20\x7f-\xa0\u200b\ufeff]+")
_HTTPS = re.compile(r"https://[^\s/?#]+\S*")
_DATA_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
# FCM refuses these; pp_ carries the reference, the link and the buttons of every message.
_RESERVED = ("google.", "gcm.", "pp_")
_RESERVED_WORDS = frozenset({"from", "message_type", "collapse_key", "notification", "google", "gcm"})
_TOPIC_CHARACTERS = "[a-zA-Z0-9-_.~%]+"
_TOPIC = re.compile(_TOPIC_CHARACTERS)
_WHERE_A_TAP_LEADS = "Write the whole link, for example https://shop.example/sale or yourapp://offers."
_TOKEN = re.compile(rf"\s*(?:'(?P<topic>{_TOPIC_CHARACTERS})'\s+in\s+topics\b|(?P<sign>&&|\|\||[()]))")

Problem = tuple[str, str]  # (form field, sentence)


class Fault(str):
    """A sentence on a value: what is wrong with it (`text`), and what to do about it (`remedy`). Empty: nothing is."""

    text: str
    remedy: str

    def __new__(cls, text: str = "", remedy: str = "") -> Fault:
        fault = super().__new__(cls, f"{text} {remedy}".strip())
        fault.text, fault.remedy = text, remedy
        return fault


# --- topics ---------------------------------------------------------------------------------------------
def check_target(kind: str, text: str) -> str:
    """The topic's name or the condition, tidied. Raises ValueError with a sentence."""
    return check_topic(text) if kind == Target.TOPIC else check_condition(text)


def check_topic(text: str) -> str:
    name = text.strip()
    if not name:
        raise ValueError("Write the name of the topic, for example news.")
    if name.startswith("/topics/"):
        raise ValueError(f"Leave /topics/ out; write {name.removeprefix('/topics/') or 'news'}.")
    if not _TOPIC.fullmatch(name) or len(name) > TOPIC_LIMIT:
        raise ValueError("A topic's name has letters, digits and - _ . ~ % only, without spaces.")
    return name


def check_condition(text: str) -> str:
    """ "'a' in topics && ('b' in topics || 'c' in topics)", at most five topics; brackets as in FCM's own grammar."""
    tokens = _condition_tokens(text)
    topics = [token for token in tokens if token.startswith("'")]
    if not topics:
        raise ValueError("Write a condition, for example 'news' in topics && 'sport' in topics.")
    if len(topics) > CONDITION_LIMIT_TOPICS:
        raise ValueError(f"A condition names at most {CONDITION_LIMIT_TOPICS} topics; this one has {len(topics)}.")
    if _after_term(tokens, 0) != len(tokens):
        raise ValueError("The condition does not read: look at the brackets, and at && or || between two topics.")
    return " ".join(tokens).replace("( ", "(").replace(" )", ")")


def _condition_tokens(text: str) -> list[str]:
    tokens, at, text = [], 0, text.strip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            rest = text[at:].strip()[:30]
            raise ValueError(f"Cannot read “{rest}”. Write 'name' in topics, joined by && or ||.")
        tokens.append(found["sign"] or f"'{found['topic']}' in topics")
        at = found.end()
    return tokens


def _after_term(tokens: list[str], at: int, depth: int = 0) -> int:
    """Where the expression that begins at `at` ends; -1 if it is none."""
    while True:
        if at < len(tokens) and tokens[at] == "(" and depth < CONDITION_LIMIT_TOPICS:
            at = _after_term(tokens, at + 1, depth + 1)
            at = at + 1 if 0 < at < len(tokens) and tokens[at] == ")" else -1
        else:
            at = at + 1 if at < len(tokens) and tokens[at].startswith("'") else -1
        if not 0 < at < len(tokens) or tokens[at] not in ("&&", "||"):
            return at
        at += 1


# --- errors ---------------------------------------------------------------------------------------------
def data_problem(data: Mapping[str, Any]) -> str:
    """What is wrong with the app's data, "" if nothing."""
    if len(data) > DATA_LIMIT:
        return f"At most {DATA_LIMIT} entries."
    for key, value in data.items():
        if not _DATA_KEY.fullmatch(key):
            return f"“{key}” is not a valid key. Use letters, digits, “_”, “-” and “.”, and no digit at the beginning."
        if key.lower().startswith(_RESERVED) or key.lower() in _RESERVED_WORDS:
            return f"“{key}” is reserved; choose another name."
        if not isinstance(value, str):
            return f"The value of “{key}” must be text."
        if control := control_problem(f"value of “{key}”", value):
            return control
        if is_dynamic(value):
            return f"“{key}” goes to everybody with the same value; leave personalisation out."
    return ""


def button_problem(number: int, button: Mapping[str, Any], channel: str) -> Problem | None:
    """What is wrong with a button {text, url}."""
    text, url = str(button.get("text") or ""), str(button.get("url") or "")
    if not text.strip():
        return f"button_{number}_text", "Write what stands on the button, or empty its link."
    if len(text) > BUTTON_TEXT_LIMIT:
        return f"button_{number}_text", f"At most {BUTTON_TEXT_LIMIT} characters; phones cut longer ones."
    if is_dynamic(text) or is_dynamic(url):
        field = "text" if is_dynamic(text) else "url"
        return f"button_{number}_{field}", "Buttons are the same for everybody; leave personalisation out."
    if control := control_problem("text of the button", text):
        return f"button_{number}_text", control
    if problem := link_problem(url, channel):
        return f"button_{number}_url", problem
    return None


def link_problem(link: str, channel: str = "") -> Fault:
    """What is wrong with a link that a tap opens. Its personalised parts are judged by lint over the texts."""
    if not link:
        return Fault()
    if found := _REFUSED.match(_SKIPPED.sub("", link)):
        scheme = found[1].lower()
        return Fault(f"A link that starts with {scheme}: opens no page of a website or an app.", _WHERE_A_TAP_LEADS)
    if channel == Channel.WEB_PUSH and not link.startswith("https://"):
        return Fault("Browsers open only links that start with https://.", "Write the address of a web page.")
    if is_dynamic(link) or _LINK.fullmatch(link):
        return Fault()
    return Fault("This link is not complete.", _WHERE_A_TAP_LEADS)


def image_problem(address: str) -> Fault:
    """What is wrong with the address of an image."""
    if not address or is_dynamic(address) or _HTTPS.fullmatch(address):
        return Fault()
    return Fault("This is no address of an image.", "Write the whole address; it starts with https://.")


def control_problem(label: str, text: str) -> Fault:
    """What is wrong with a text that holds a control character: no phone shows it, and no file carries it."""
    if control := control_character(text):
        return Fault(f"The {label} contains the control character {control}.", "Delete it, or type the text again.")
    return Fault()


def collapse_key_problem(key: str) -> str:
    if is_dynamic(key):  # a device holds four keys at a time; one per recipient would drop messages
        return "The collapse key is the same for everybody; leave personalisation out."
    if len(key.encode("utf-8", "replace")) > COLLAPSE_KEY_LIMIT_BYTES:
        return f"At most {COLLAPSE_KEY_LIMIT_BYTES} bytes: write a short word in plain letters."
    return ""


def problems(options: Mapping[str, Any], channel: str) -> Iterator[Problem]:
    """What stops a message with these options, from whichever door they came."""
    listed = options.get("buttons") or []
    if len(listed) > BUTTON_LIMIT:
        yield "button_1_text", f"At most {BUTTON_LIMIT} buttons."
    for number, button in enumerate(listed[:BUTTON_LIMIT], start=1):
        if problem := button_problem(number, button, channel):
            yield problem
    for field, problem_text in (
        ("data_lines", data_problem(options.get("data") or {})),
        ("collapse_key", collapse_key_problem(str(options.get("collapse_key") or ""))),
        ("icon_url", image_problem(str(options.get("icon_url") or ""))),
    ):
        if problem_text:
            yield field, problem_text
    for field, low, high in (("ttl_secs", 0, TTL_LIMIT_SECS), ("badge", 0, BADGE_LIMIT)):
        value = options.get(field)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high):
            label = "The lifetime in seconds" if field == "ttl_secs" else "The badge"
            yield field, f"{label} must be a whole number from {low} to {high:,}."
    if options.get("priority") not in (None, "", "high", "normal"):
        yield "priority", "The priority is high or normal."


# --- size -------------------------------------------------------------------------------------------------
def payload_bytes(message: Mapping[str, Any]) -> int:
    """What FCM counts of a message (Content.snapshot, filled in): what is shown, and the data with ours among it.

    The same number as delivery's count of the compiled message, for the layers that do not see it.
    """
    texts = {name: message.get(name) for name in ("title", "body")}
    image = {"image": message.get("image_url")}
    data: dict[str, Any] = {"pp_ref": message.get("message_ref"), "pp_link": message.get("deep_link")}
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
    return sum(len(f"{name}{value}".encode("utf-8", "replace")) for name, value in fields.items() if value)


def sample_reference(workspace_id: int) -> str:
    """A message's reference as long as that of a real send, for counting."""
    return sign_reference(workspace_id, _SAMPLE_ID, _SAMPLE_ID, _SAMPLE_ID)


# --- what platforms ignore --------------------------------------------------------------------------------
Message = Mapping[str, Any]
_ANDROID, _IOS, _WEB = Endpoint.Platform.ANDROID, Endpoint.Platform.IOS, Endpoint.Platform.WEB
PLATFORMS = (_ANDROID, _IOS, _WEB)


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
    _Ignored("badge", _WEB, "Browsers show no number.", _shows("badge")),
    _Ignored("badge", _ANDROID, "The app draws the message on Android, and sets the number itself.",
             _drawn_by_app("badge")),
    _Ignored("sound", _WEB, "Browsers choose the sound themselves.", _shows("sound")),
    _Ignored("sound", _ANDROID, "Since Android 8 the notification channel decides about the sound.",
             _drawn_by_system("sound")),
    _Ignored("sound", _ANDROID, "The app draws the message on Android, and plays its own sound.",
             _drawn_by_app("sound")),
    _Ignored("android_channel", _IOS, "iPhones have no notification channels.", _shows("android_channel")),
    _Ignored("android_channel", _WEB, "Browsers have no notification channels.", _shows("android_channel")),
    _Ignored("android_channel", _ANDROID, "The app draws the message on Android, and chooses the channel itself.",
             _drawn_by_app("android_channel")),
    _Ignored("button_1_text", _IOS, "iPhones show buttons only if your app registers the category pp_buttons.",
             _shows("buttons")),
    _Ignored("button_1_text", _ANDROID,
             "Android itself draws no buttons: switch on “The app draws it” if your app can.",
             _drawn_by_system("buttons")),
    _Ignored("button_1_text", _WEB, "Chrome and Edge show two buttons; Firefox and Safari show none.",
             _shows("buttons")),
    _Ignored("button_1_url", _WEB, "Browsers open only links that start with https://.",
             lambda message: not message.get("silent") and any(
                 button.get("url") and not str(button["url"]).startswith("https://")
                 for button in message.get("buttons") or ())),
    _Ignored("deep_link", _WEB, "Browsers open only links that start with https://.",
             lambda message: _shows("deep_link")(message) and not str(message["deep_link"]).startswith("https://")),
    _Ignored("image_url", _IOS, "iPhones show the picture only if your app has a notification service extension.",
             _shows("image_url")),
    _Ignored("image_url", _WEB, "Firefox and Safari show no picture.", _shows("image_url")),
    _Ignored("image_url", _ANDROID, "Android shows a moving GIF as a still picture, or not at all.",
             _picture(*_MOVING)),
    _Ignored("image_url", _ANDROID, "Not every Android phone shows WebP, HEIC or AVIF; JPEG and PNG are safe.",
             _picture(*_NEW)),
    _Ignored("image_url", _IOS, "Not every iPhone shows WebP, HEIC or AVIF; JPEG and PNG are safe.",
             _picture(*_NEW)),
    _Ignored("image_url", _WEB, "Not every browser shows WebP, HEIC or AVIF; JPEG and PNG are safe.",
             _picture(*_NEW)),
    _Ignored("image_url", _ANDROID, "Android plays no videos in notifications.", _picture(*_FILM)),
    _Ignored("image_url", _WEB, "Browsers play no videos in notifications.", _picture(*_FILM)),
    *(_Ignored("image_url", platform, "SVG pictures are shown nowhere; use JPEG or PNG.", _picture(".svg"))
      for platform in PLATFORMS),
    _Ignored("icon_url", _ANDROID, "Android shows the icon that is built into the app.", _shows("icon_url")),
    _Ignored("icon_url", _IOS, "iPhones show the icon that is built into the app.", _shows("icon_url")),
    _Ignored("data_only", _IOS, "iPhones show the message by themselves all the same.", _shows("data_only")),
    _Ignored("data_only", _WEB, "Browsers show the message by themselves all the same.", _shows("data_only")),
    _Ignored("silent", _IOS, "iPhones deliver a silent message when it suits them, a few an hour at most.",
             _has("silent")),
    _Ignored("silent", _WEB, "Browsers show a notice of their own when nothing is shown.", _has("silent")),
)  # fmt: skip


_APP_ONLY, _WEB_ONLY = frozenset({"sound", "badge", "android_channel", "data_only"}), frozenset({"icon_url"})


def hidden_options(channel: str, target_kind: str) -> frozenset[str]:
    """The options that the form does not show for this channel; they keep what was chosen for another one."""
    if channel == Channel.WEB_PUSH:
        return _APP_ONLY
    return _WEB_ONLY if target_kind == Target.PEOPLE else frozenset()


def ignored(message: Message, platforms: Collection[str] = PLATFORMS) -> list[Problem]:
    """(field, sentence) of what these platforms leave out of a message (Content.snapshot), each sentence once."""
    found = [(rule.field, rule.text) for rule in IGNORED if rule.platform in platforms and rule.when(message)]
    return list(dict.fromkeys(found))
