"""What one row of the ledger tells a person or a program: its state, its attempts, its text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_lazy

from campaigns.audience.reasons import FAILED, UNSURE, Reason, words_of
from campaigns.models import Revision, Run
from delivery.codes import meaning
from delivery.ledger import in_flight
from delivery.models import DirectSend, Message, Shard
from delivery.providers.base import Verdict
from pushpilot.lib import languages
from pushpilot.lib.display import Words

STATES: Mapping[str, frozenset[Reason]] = {
    "pending": frozenset({Reason.PENDING}),
    "scheduled": frozenset({Reason.RETRY_SCHEDULED, Reason.DEFERRED}),
    "sending": frozenset({Reason.PENDING}),
    "sent": frozenset({Reason.ACCEPTED}),
    "failed": FAILED,
    "skipped": frozenset(one for one in Reason if not (one.is_waiting or one.is_attempted)),
    "unknown": UNSURE,
}
"""The API's states, each a group of reasons. A pending row is `sending` from the moment that a
worker hands it to the provider until the answer is written."""

_VERDICTS: dict[str, Words] = {
    Verdict.WRONG_SENDER.value: gettext_lazy("Refused: address of another sender"),
    Verdict.PLATFORM_BROKEN.value: gettext_lazy("Refused: platform not reachable"),
    Verdict.REFUSED.value: gettext_lazy("Refused"),
    Verdict.PAYLOAD_WRONG.value: gettext_lazy("Refused: message not valid"),
    Verdict.BROKEN.value: gettext_lazy("Connection not working"),
    Verdict.ROW_LATER.value: gettext_lazy("Asked to try later"),
    Verdict.LATER.value: gettext_lazy("Asked to try later"),
    Verdict.MAYBE_LATER.value: gettext_lazy("Error at the provider"),
    Verdict.AMBIGUOUS.value: gettext_lazy("No answer"),
}
_TONES = {
    Verdict.ACCEPTED.value: "success",
    Verdict.AMBIGUOUS.value: "warning",
    Verdict.ROW_LATER.value: "info",
    Verdict.LATER.value: "info",
    Verdict.MAYBE_LATER.value: "warning",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to hand the message to the provider. `verdict` is a value of Verdict; empty: a row
    that is older than the answers. `meaning` is what the code means, in words."""

    at: datetime | None
    verdict: str
    revision: int | None
    code: str
    sentence: str
    meaning: str
    words: str
    provider_id: str = ""

    @property
    def tone(self) -> str:
        return _TONES.get(self.verdict, "danger")


def state_of(message: Message, flying: frozenset[int]) -> str:
    """A key of STATES; `flying` as flying_among tells."""
    if message.pk in flying:
        return "sending"
    reason = Reason(message.reason)
    return next(state for state, reasons in STATES.items() if reason in reasons)


def flying_among(messages: Iterable[Message]) -> frozenset[int]:
    """The ids of messages that were handed to the provider and have no answer yet."""
    waiting = {row.pk: row.run_id for row in messages if row.reason == Reason.PENDING}
    if not waiting:
        return frozenset()
    leased = Shard.objects.filter(run__in=set(waiting.values()), window_from__isnull=False)
    windows = in_flight(leased)
    if windows is None:
        return frozenset()
    rows = Message.objects.filter(windows, pk__in=waiting, reason=Reason.PENDING)
    return frozenset(rows.values_list("pk", flat=True))


def attempts_of(message: Message) -> list[Attempt]:
    """The attempts, the oldest first. Only the last ones that the provider did not accept are
    kept. `message` with its run and the run's connection."""
    return list(_attempts(message))


def _attempts(message: Message) -> Iterator[Attempt]:
    run, reason = message.run, Reason(message.reason)
    kept: list[dict[str, Any]] = message.answers or []
    for place, one in enumerate(kept, 1):
        is_last = place == len(kept) and reason.is_attempted and reason != Reason.ACCEPTED
        after = reason if is_last else Reason.RETRY_SCHEDULED
        code = str(one.get("code") or "")
        yield Attempt(
            datetime.fromisoformat(one["at"]),
            str(one["verdict"]),
            one.get("revision"),
            code,
            str(one.get("sentence") or ""),
            meaning(run, after, code) if code else "",
            _words(str(one["verdict"]), run),
        )
    if reason == Reason.ACCEPTED:
        said = explained(reason, run.channel)
        yield Attempt(
            message.attempted_at,
            Verdict.ACCEPTED.value,
            message.revision,
            "",
            "",
            said,
            str(words_of(reason, run.channel).label),
            message.provider_id,
        )
    elif not kept and message.attempted_at is not None:
        code = message.error_code
        yield Attempt(
            message.attempted_at,
            "",
            message.revision,
            code,
            "",
            meaning(run, reason, code) if code else "",
            str(words_of(reason, run.channel).label),
        )


def _words(verdict: str, run: Run) -> str:
    if verdict == Verdict.GONE.value:
        return str(words_of(Reason.ENDPOINT_GONE, run.channel).label)
    return str(_VERDICTS.get(verdict, verdict))


def explanation(message: Message) -> str:
    """Why the message was or was not sent: the code's meaning, or the reason's."""
    reason = Reason(message.reason)
    if message.error_code and message.reason != Reason.ACCEPTED:
        return meaning(message.run, reason, message.error_code)
    return explained(reason, message.run.channel)


def explained(reason: Reason, channel: str) -> str:
    """What the reason means in a message of the channel."""
    return str(words_of(reason, channel).explanation)


def in_words(reason: Reason, channel: str) -> dict[str, str]:
    """The reason, for a program and for a person."""
    return {"reason": reason.slug, "reason_in_words": str(words_of(reason, channel).label)}


def content_of(message: Message, run: Run) -> tuple[dict[str, Any], int]:
    """(what the message says, as it was written, in the language that its contact reads now; the
    number of the revision). Of a message that was not handed over yet: what would go out. Of a
    direct message nothing is left after a day."""
    if run.direct:
        send = DirectSend.objects.filter(pk=message.request).first()
        return _content_for(message, run, send.contents if send is not None else []), 0
    revision = run.revision
    if message.revision is not None and message.revision != revision.number:
        sent = Revision.objects.filter(campaign=run.campaign_id, number=message.revision)
        revision = sent.first() or revision
    return _content_for(message, run, revision.contents), revision.number


def _content_for(message: Message, run: Run, contents: list[dict[str, Any]]) -> dict[str, Any]:
    """As the engine chooses (delivery.engine.compose); {} without any."""
    listed = sorted(contents, key=lambda one: str(one.get("variant") or "A"))
    wanted = languages.fallbacks(run.workspace.default_language)
    if message.contact is not None:
        wanted = (*languages.fallbacks(message.contact.language), *wanted)
    for language in wanted:
        for content in listed:
            if languages.tidy(content["language"]) == language:
                return content
    return listed[0] if listed else {}
