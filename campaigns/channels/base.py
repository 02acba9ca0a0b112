"""What a channel is: one language in which a company can speak to a person.

A channel knows what can be said (its fields and their limits), what is wrong with it, what some
of the receiving programs leave out, and how one content becomes a message that waits for a
recipient's values. It knows no database, and no provider: several providers may carry the same
channel.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy

from campaigns.channels import render
from campaigns.channels.payload import slot
from pushpilot.lib.display import Words, format_number
from pushpilot.lib.spelling import control_character

if TYPE_CHECKING:
    from campaigns.channels.editor import ContentForm

Message = Mapping[str, Any]
"""A content as one flat mapping: its fields, `language` and `variant` (Content.snapshot)."""
Remark = tuple[str, str]
"""What is to be said about a message: (the form field that cures it, a sentence)."""

REFERENCE = "message_ref"
"""The slot of the signed reference that every message carries: events about the message name it."""


def overwritten(message: Message, texts: Mapping[str, str]) -> dict[str, Any]:
    """The message with these texts. An empty one leaves no trace, unless the field has been
    filled before."""
    return {**message, **{name: text for name, text in texts.items() if text or name in message}}


class Fault(str):
    """A sentence on a value: what is wrong with it (`text`), and what to do about it (`remedy`).
    Empty: nothing is."""

    text: str
    remedy: str

    def __new__(cls, text: str = "", remedy: str = "") -> Fault:
        fault = super().__new__(cls, f"{text} {remedy}".strip())
        fault.text, fault.remedy = text, remedy
        return fault


def control_problem(label: str, text: str) -> Fault:
    """What is wrong with a text that holds a control character: no phone shows it, and no file
    carries it."""
    if control := control_character(text):
        return Fault(
            _("“%(label)s” contains the control character %(control)s.")
            % {"label": label, "control": control},
            _("Delete the character, or type the text again."),
        )
    return Fault()


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a channel's content. `is_personal`: Liquid in it is filled in for each
    recipient. `is_required`: no template is without it, while a campaign may leave it out.
    `has_lines`: it may have several lines.

    In a file of templates it is a column of this name, or of one of the `aliases`; `explained`
    is read beside it.
    """

    name: str
    label: Words
    limit_characters: int
    is_personal: bool = False
    is_required: bool = False
    has_lines: bool = False
    aliases: tuple[str, ...] = ()
    explained: Words = ""


@dataclass(frozen=True, slots=True)
class Option:
    """What a message may carry beside its fields: `takes` is str, int, bool, dict (of texts) or
    list (of objects with texts, named in `parts`). A text has at most `limit_characters`."""

    name: str
    label: Words
    takes: type
    limit_characters: int = 0
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Broadcast:
    """A send to subscribers, for example those of a topic: the provider knows them, we do not.

    `check` returns the address tidied, or raises ValueError with a sentence. `describe` names
    its subscribers. The editor asks for the address in an input that is named like the
    broadcast; `reach` tells there who gets the message.
    """

    key: str
    label: Words
    check: Callable[[str], str]
    describe: Callable[[str], str]
    limit_bytes: int
    input_label: Words
    limit_characters: int
    example: str
    help_text: Words
    reach: Words


class Compiled:
    """One content, compiled once a run; preview, test and real send personalise through it.

    `static`: the fields with one value for every recipient. `personal`: the names of the other
    fields; `values` fills them. `zone` is the workspace's. Raises RenderError with its `field`.
    """

    def __init__(self, message: Message, personal: Iterable[str], zone: tzinfo) -> None:
        self.static = dict(message)
        self._renderers: dict[str, render.Renderer] = {}
        for field in personal:
            source = str(message.get(field) or "")
            if not render.is_dynamic(source):
                continue
            try:
                self._renderers[field] = render.compile_text(source, zone)
            except render.RenderError as error:
                error.field = field
                raise
            del self.static[field]

    @property
    def personal(self) -> tuple[str, ...]:
        return tuple(self._renderers)

    @property
    def with_slots(self) -> dict[str, Any]:
        """The message with slots in place of what differs by recipient, its reference among it."""
        return {**self.static, **{name: slot(name) for name in (*self._renderers, REFERENCE)}}

    def values(self, variables: Mapping[str, Any]) -> dict[str, str]:
        """The personal fields for one recipient (render.contact_variables). Raises RenderError
        with its `field`."""
        rendered = {}
        for field, renderer in self._renderers.items():
            try:
                rendered[field] = renderer(variables)
            except render.RenderError as error:
                error.field = field
                raise
        return rendered


class ReasonWords:
    """What people read about a reason of the ledger, in their language. `counted` is a plural of
    gettext over "number": a reason that a gate gives at the launch needs one."""

    __slots__ = ("_counted", "_explanation", "_label")

    def __init__(self, label: Words, explanation: Words, counted: Words = "") -> None:
        self._label, self._explanation, self._counted = label, explanation, counted

    @property
    def label(self) -> str:
        return str(self._label)

    @property
    def explanation(self) -> str:
        return str(self._explanation)

    def counted(self, number: int) -> str:
        """The reason of so many recipients of a coming send, "1 has no address"; "" for a reason
        that no gate gives."""
        words = {"number": number, "count": format_number(number)}
        if self._counted:
            return str(self._counted % words)
        return ""


class Channel:
    """The base of every channel; an instance per key stands in campaigns.channels.registry."""

    key: ClassVar[str]
    """Stored in campaigns, contents, endpoints and consents; at most 16 characters."""
    label: ClassVar[Words]
    icon: ClassVar[str]
    """A name of Material Symbols."""
    service: ClassVar[str]
    """The kind of connection that carries it (tenants.Connection.service)."""
    fields: ClassVar[tuple[Field, ...]]
    options: ClassVar[tuple[Option, ...]] = ()
    other_names: ClassVar[Mapping[str, str]] = {}
    """{name that programs may use too: field}."""
    title_field: ClassVar[str] = "title"
    """The name of the field that lists show."""
    broadcasts: ClassVar[tuple[Broadcast, ...]] = ()
    counted_addresses: ClassVar[Words] = ngettext_lazy(
        "%(count)s address", "%(count)s addresses", "number"
    )
    """A plural of gettext over "number": what people call addresses, such as devices."""
    address_kinds: ClassVar[Mapping[str, Words]] = {}
    """{key: label} of what an address may be, where the provider must be told; the first is the
    default."""
    platforms: ClassVar[Mapping[str, Words]] = {}
    """{key: label} of the kinds of programs that show a message, where the channel tells them
    apart."""
    limit_bytes: ClassVar[int]
    """How large a message to one address may be, as `size` counts."""
    stale_after: ClassVar[timedelta | None] = None
    """An address that was not seen for so long counts as silent for good; None: silence says
    nothing about it."""
    retired_words: ClassVar[Mapping[str, Words]] = {}
    """Why an address is retired, in words: {the provider's code, or ours: words}."""
    reason_words: ClassVar[Mapping[str, ReasonWords]] = {}
    """{slug of a campaigns.audience.reasons.Reason: words}, where the words for every channel
    say too little."""
    address_limit: ClassVar[int] = 512
    """Characters; the column takes no more."""

    content_form: ClassVar[type[ContentForm] | None] = None
    """Its part of the editor; None: one input for each field
    (campaigns.channels.editor.form_of)."""

    empty_words: ClassVar[Words] = gettext_lazy("The message is empty. Write a text.")
    """The finding of an empty message (`is_empty`), at `title_field`."""

    template_examples: ClassVar[tuple[Mapping[str, str], ...]] = ()
    """Rows of the sample file: {column: cell}, those of the fields and name, language, category
    and tone."""

    preview_template: ClassVar[str] = "preview.html"
    """Below templates/channels/; scripts and styles below static/channels/."""
    preview_scripts: ClassVar[tuple[str, ...]] = ()
    preview_styles: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        """Raises TypeError if no field has the name `title_field`: titles in lists would be
        empty."""
        fields = getattr(cls, "fields", None)
        if fields is not None and cls.title_field not in {field.name for field in fields}:
            raise TypeError(
                f"{cls.__name__} has no field “{cls.title_field}”: set title_field to the one that "
                "lists show."
            )

    @cached_property
    def personal(self) -> tuple[str, ...]:
        """The names of the fields that Liquid fills in."""
        return tuple(field.name for field in self.fields if field.is_personal)

    @cached_property
    def names(self) -> frozenset[str]:
        """What a message may hold: fields and options."""
        fields = {field.name for field in self.fields}
        return frozenset(fields | {option.name for option in self.options})

    def field(self, name: str) -> Field:
        return next(field for field in self.fields if field.name == name)

    def broadcast(self, key: str) -> Broadcast | None:
        """None: the channel has no such broadcast."""
        return next((one for one in self.broadcasts if one.key == key), None)

    def limit_of(self, kind: str) -> int:
        """How large a message to this kind of address or broadcast may be, in bytes."""
        broadcast = self.broadcast(kind)
        if broadcast:
            return broadcast.limit_bytes
        return self.limit_bytes

    def check_address(self, value: str) -> str:
        """The address as it is stored and compared; whatever takes addresses for the channel
        asks it. Raises ValueError with what is wrong and what to do."""
        if not value or len(value) > self.address_limit:
            raise ValueError(
                _("The address must have 1 to %(limit)s characters.")
                % {"limit": format_number(self.address_limit)}
            )
        if not value.isprintable() or " " in value:
            raise ValueError(
                _(
                    "The address contains a blank or an invisible character. Send it as you "
                    "received it."
                )
            )
        return value

    def problems(self, message: Message) -> Iterator[Remark]:
        """What stops a message, through whichever door it came, by the input that cures it;
        buttons and the like are numbered as the message lists them. Not that it is empty, which
        a draft may be; lint judges personalisation."""
        limited: list[Field | Option] = [*self.fields]
        limited += [option for option in self.options if option.takes is str]
        for field in limited:
            if len(str(message.get(field.name) or "")) > field.limit_characters:
                yield (
                    field.name,
                    (
                        _("“%(label)s” has at most %(limit)s characters. Shorten the text.")
                        % {"label": field.label, "limit": format_number(field.limit_characters)}
                    ),
                )

    def warnings(self, message: Message) -> Iterator[Remark]:
        """What is probably not meant."""
        return iter(())

    def ignored(self, message: Message, among: Collection[str] | None = None) -> list[Remark]:
        """What the programs of these platforms leave out of the message; None: of all platforms."""
        return []

    def hidden_fields(self, *, is_broadcast: bool) -> frozenset[str]:
        """Fields that this channel's editor does not show; they keep what another channel stored
        in them."""
        return frozenset()

    def path_of(self, name: str) -> str:
        """Where in the message the field of a remark is, such as buttons.0.text."""
        return name

    def is_empty(self, message: Message) -> bool:
        """True if a recipient would see nothing and the message does not mean that."""
        return not any(str(message.get(field.name) or "").strip() for field in self.fields)

    def in_words(self, message: Message, hidden: Collection[str] = ()) -> list[tuple[str, str]]:
        """(label, words) of what a message carries beside the fields that every page shows."""
        return []

    def preview(self, message: Message) -> dict[str, Any]:
        """What the preview draws of a filled message."""
        return {field.name: message.get(field.name) or "" for field in self.fields}

    def compile(self, message: Message, zone: tzinfo) -> Compiled:
        """The message, ready to be filled in. Raises RenderError with its `field`."""
        return Compiled(message, self.personal, zone)

    def as_test(self, message: Message) -> Message:
        """The message with the mark of a test for the program that receives it, where the channel
        has a place for one that people do not see."""
        return message

    def size(self, message: Message) -> int:
        """The bytes of a filled message that count towards the limit."""
        return sum(
            len(str(message.get(field.name) or "").encode("utf-8", "replace"))
            for field in self.fields
        )
