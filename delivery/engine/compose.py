"""What goes out: a run's contents compiled once, filled per recipient."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import tzinfo
from functools import cached_property
from typing import Any, Protocol

import msgspec

from campaigns.audience.reasons import Reason
from campaigns.channels import registry, render
from campaigns.channels.base import REFERENCE, Channel, Compiled, Message
from campaigns.channels.render import DataPath, RenderError, contact_variables, has_data
from campaigns.models import Run
from delivery.providers.base import ADDRESS, Provider, Request
from pushpilot.lib import languages
from pushpilot.lib.signing import sign_reference


class NotComposable(Exception):
    """This recipient cannot get the message: `reason` goes into the ledger, `code` beside it."""

    def __init__(self, reason: Reason, code: str) -> None:
        super().__init__(code)
        self.reason, self.code = reason, code


class Recipient(msgspec.Struct, frozen=True, gc=False):
    """One waiting row of the ledger with what composing needs."""

    message_id: int
    endpoint_id: int | None  # None: a broadcast
    kind: str  # of address or broadcast, a word of the channel
    value: str
    retries: int
    contact: Mapping[str, Any]  # external_id, language, country, time_zone, attributes
    duplicates: int = 0  # how often it may have got the message already
    platform: str = ""  # of Channel.platforms; "": the app did not say
    request: int = 0  # the direct send that it belongs to


class _Compiled:
    """One content: its text renderers, and the provider's request, one for each kind of address."""

    def __init__(self, content: Compiled, provider: Provider[Any], needed: list[DataPath]) -> None:
        self.content, self.provider, self.needed = content, provider, needed
        self.by_kind: dict[str, Request] = {}

    def request(self, kind: str) -> Request:
        if kind not in self.by_kind:
            self.by_kind[kind] = self.provider.request(self.content, kind)
        return self.by_kind[kind]


class Contents:
    """The contents of one message on a channel, compiled once. Raises RenderError at once if one
    does not compile."""

    def __init__(
        self,
        channel: Channel,
        contents: Iterable[Message],
        provider: Provider[Any],
        default_language: str,
        zone: tzinfo,
    ) -> None:
        self.channel, self.default_language = channel, default_language
        # {language: {variant: content}}, the first variant first. Of two that an old revision holds
        # in two spellings of one tag the first one counts.
        self.by_language: dict[str, dict[str, _Compiled]] = {}
        for content in sorted(contents, key=_variant):
            variants = self.by_language.setdefault(languages.tidy(content["language"]), {})
            needed = data_needed(self.channel, content)
            compiled = _Compiled(self.channel.compile(content, zone), provider, needed)
            variants.setdefault(_variant(content), compiled)

    @cached_property
    def fallback(self) -> _Compiled:
        return self._in(self.default_language) or _first(next(iter(self.by_language.values())))

    def body(
        self,
        contact: Mapping[str, Any],
        kind: str,
        address: str,
        reference: str,
        data: Mapping[str, Any] | None = None,
    ) -> bytes:
        """The body of the request that sends the contact's content, filled in, to the address.
        `data` came along with a direct message. Raises NotComposable."""
        compiled = self.content_for(str(contact["language"]))
        limit = self.channel.limit_of(kind)
        for path in compiled.needed if data is not None else ():
            if not has_data(data, path):
                named = ".".join(map(str, path))
                raise NotComposable(Reason.RENDER_ERROR, f"data.{named} is missing")
        try:
            values = compiled.content.values(contact_variables(contact, data))
        except RenderError as error:
            raise NotComposable(Reason.RENDER_ERROR, str(error)) from error
        values |= {REFERENCE: reference, ADDRESS: address}
        body = compiled.request(kind).fill(values)
        # The body holds more than what counts: only a long one needs counting.
        if len(body) > limit:
            counted = self.channel.size({**compiled.content.static, **values})
            if counted > limit:
                raise NotComposable(Reason.PAYLOAD_TOO_LARGE, f"{counted} bytes")
        return body

    def content_for(self, language: str) -> _Compiled:
        """pt-BR → pt → the workspace's default language → the first content."""
        return self._in(language) or self.fallback

    def _in(self, language: str) -> _Compiled | None:
        """The first variant, as the review and the preview show it: lint stops a campaign with
        more of them."""
        variants = languages.best(self.by_language, language)
        if variants is None:
            return None
        return _first(variants)


class Composes(Protocol):
    """What makes the bodies of a run's messages, all of one revision."""

    revision: int

    def compose(self, recipient: Recipient) -> bytes:
        """The body of the send request. Raises NotComposable."""


class Composer(Contents):
    """Composes request bodies for one run of a workspace with this language and time zone."""

    def __init__(
        self, run: Run, provider: Provider[Any], default_language: str, zone: tzinfo
    ) -> None:
        channel = registry.channel_of(run.channel)
        super().__init__(channel, run.revision.contents, provider, default_language, zone)
        self.run, self.revision = run, run.revision.number

    def compose(self, recipient: Recipient) -> bytes:
        """The body of the send request. Raises NotComposable."""
        if recipient.endpoint_id is None:
            compiled = self.content_for(str(recipient.contact["language"]))
            # Lint stops it before the launch; a broadcast must not go out with its slots empty.
            if compiled.content.personal:
                raise NotComposable(Reason.RENDER_ERROR, "personalised broadcast")
        reference = reference_of(self.run, recipient.message_id)
        return self.body(recipient.contact, recipient.kind, recipient.value, reference)


def reference_of(run: Run, message_id: int) -> str:
    """What the message carries, and events about it name."""
    return sign_reference(run.workspace_id, run.campaign_id, run.pk, message_id)


def data_needed(channel: Channel, content: Message) -> list[DataPath]:
    """What the texts show of the data of a direct message, without a default."""
    sources = (str(content.get(field) or "") for field in channel.personal)
    return [path for source in sources for path in render.data_needed(source)]


def _variant(content: Message) -> str:
    return str(content.get("variant") or "A")


def _first(variants: dict[str, _Compiled]) -> _Compiled:
    return next(iter(variants.values()))
