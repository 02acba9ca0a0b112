"""What goes out: a run's contents compiled once, filled per recipient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from campaigns.models import Run
from campaigns.reasons import Reason
from campaigns.render import ContentTemplate, RenderError, compile_content, contact_variables
from delivery.channels import fcm
from delivery.channels.base import PayloadTemplate, slot
from pushpilot.lib.signing import sign_reference


class NotComposable(Exception):
    """This recipient cannot get the message: `reason` goes into the ledger, `code` beside it."""

    def __init__(self, reason: Reason, code: str) -> None:
        super().__init__(code)
        self.reason, self.code = reason, code


@dataclass(frozen=True, slots=True)
class Recipient:
    """One waiting row of the ledger with what composing needs."""

    message_id: int
    endpoint_id: int
    kind: str
    value: str
    attempts: int
    contact: Mapping[str, Any]  # external_id, language, country, time_zone, attributes


class _Compiled:
    """One content: its text renderers, and FCM's message with slots, one per kind of target."""

    def __init__(self, snapshot: dict[str, Any]) -> None:
        self.content: ContentTemplate = compile_content(snapshot)
        self.by_kind: dict[str, PayloadTemplate] = {}

    def payload(self, kind: str) -> PayloadTemplate:
        if kind not in self.by_kind:
            dynamic = {name: slot(name) for name in self.content.dynamic}
            push = {**self.content.static, **dynamic, "message_ref": slot("ref")}
            message = fcm.build_message(push, target=(kind, slot("target")))
            self.by_kind[kind] = PayloadTemplate.compile(fcm.envelope(message), [*dynamic, "ref", "target"])
        return self.by_kind[kind]


class Composer:
    """Composes request bodies for one run. Raises RenderError at once if a content does not compile."""

    def __init__(self, run: Run, default_language: str) -> None:
        self.run, self.default_language = run, default_language
        self.by_language = {content["language"]: _Compiled(content) for content in run.revision.contents}

    @cached_property
    def fallback(self) -> _Compiled:
        return self.by_language.get(self.default_language) or next(iter(self.by_language.values()))

    def compose(self, recipient: Recipient) -> bytes:
        """The body of the send request. Raises NotComposable."""
        compiled = self._content_for(str(recipient.contact["language"]))
        try:
            values = compiled.content.render(contact_variables(recipient.contact))
        except RenderError as error:
            raise NotComposable(Reason.RENDER_ERROR, str(error)[:64]) from error
        reference = sign_reference(self.run.workspace_id, self.run.campaign_id, self.run.pk, recipient.message_id)
        values = {**values, "ref": reference, "target": recipient.value}
        payload = compiled.payload(recipient.kind)
        body = payload.fill(values)
        # The body holds more than what FCM counts: only a long one needs counting.
        if len(body) > fcm.PAYLOAD_LIMIT_BYTES:
            counted = fcm.payload_bytes(payload.as_dict(values)["message"])
            if counted > fcm.PAYLOAD_LIMIT_BYTES:
                raise NotComposable(Reason.PAYLOAD_TOO_LARGE, f"{counted} bytes")
        return body

    def _content_for(self, language: str) -> _Compiled:
        """pt-BR → pt → the workspace's default language → the first content."""
        base = language.split("-")[0]
        return self.by_language.get(language) or self.by_language.get(base) or self.fallback
