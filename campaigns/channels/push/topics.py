"""Topics and conditions: FCM fans one message out by itself, to devices that we do not know."""

from __future__ import annotations

import re

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from campaigns.channels.base import Broadcast

LIMIT_BYTES = 2048
"""Of a message to a topic or condition; half of what one device takes."""
CONDITION_LIMIT_TOPICS = 5
TOPIC_LIMIT = 200
_CHARACTERS = "[a-zA-Z0-9-_.~%]+"
_TOPIC = re.compile(_CHARACTERS)
_IN_TOPICS = re.compile("'([^']+)' in topics")
_TOKEN = re.compile(rf"\s*(?:'(?P<topic>{_CHARACTERS})'\s+in\s+topics\b|(?P<sign>&&|\|\||[()]))")


def check_topic(text: str) -> str:
    name = text.strip()
    if not name:
        raise ValueError(_("Write the name of the topic, for example news."))
    if name.startswith("/topics/"):
        raise ValueError(
            _("Leave /topics/ out. Write %(name)s.")
            % {"name": name.removeprefix("/topics/") or "news"}
        )
    if not _TOPIC.fullmatch(name) or len(name) > TOPIC_LIMIT:
        raise ValueError(
            _("The name of a topic has only letters, digits and %(signs)s, without spaces.")
            % {"signs": "- _ . ~ %"}
        )
    return name


def check_condition(text: str) -> str:
    """ "'a' in topics && ('b' in topics || 'c' in topics)", at most five topics; brackets as in
    FCM's own grammar."""
    tokens = _condition_tokens(text)
    topics = [token for token in tokens if token.startswith("'")]
    if not topics:
        raise ValueError(_("Write a condition, for example 'news' in topics && 'sport' in topics."))
    if len(topics) > CONDITION_LIMIT_TOPICS:
        raise ValueError(
            _("A condition names at most %(limit)s topics. This condition names %(count)s.")
            % {"limit": CONDITION_LIMIT_TOPICS, "count": len(topics)}
        )
    if _after_term(tokens, 0) != len(tokens):
        raise ValueError(
            _(
                "The condition cannot be read. Check the brackets, and write && or || between "
                "two topics."
            )
        )
    return " ".join(tokens).replace("( ", "(").replace(" )", ")")


def _condition_tokens(text: str) -> list[str]:
    tokens, at, text = [], 0, text.strip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            rest = text[at:].strip()[:30]
            raise ValueError(
                _("“%(rest)s” cannot be read. Write 'name' in topics, joined by && or ||.")
                % {"rest": rest}
            )
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


def _subscribers_of_topic(name: str) -> str:
    if not name:
        return _("No topic yet")
    return _("Everyone subscribed to topic “%(name)s”") % {"name": name}


def _subscribers_of_condition(condition: str) -> str:
    if not condition:
        return _("No condition yet")
    words = _IN_TOPICS.sub(r"“\1”", condition)
    words = words.replace("&&", pgettext("between two topics", "and"))
    words = words.replace("||", pgettext("between two topics", "or"))
    return _("Everyone subscribed to %(topics)s") % {"topics": words}


_REACH = gettext_lazy(
    "FCM sends the message on to every subscribed device, on phones and in browsers."
)
BROADCASTS = (
    Broadcast(
        "topic",
        gettext_lazy("A topic"),
        check_topic,
        _subscribers_of_topic,
        LIMIT_BYTES,
        gettext_lazy("Topic"),
        TOPIC_LIMIT,
        "news",
        gettext_lazy("The name that your app subscribes its devices to."),
        _REACH,
    ),
    Broadcast(
        "condition",
        gettext_lazy("Several topics"),
        check_condition,
        _subscribers_of_condition,
        LIMIT_BYTES,
        gettext_lazy("Condition"),
        500,
        "'news' in topics && ('pune' in topics || 'mumbai' in topics)",
        gettext_lazy("Up to five topics, joined by && (and), || (or) and brackets."),
        _REACH,
    ),
)
