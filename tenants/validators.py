"""What the texts of this layer must be, each fault with its sentence."""

from __future__ import annotations

import re
import unicodedata
import zoneinfo

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from pushpilot.lib.display import format_number

LONGEST_ADDRESS_CHARS = 254  # RFC 5321, 4.5.3.1.3, without the brackets
_LINKING = re.compile(r"([.:/@\u3002\uff0e\uff61])(?=\S)")  # in names of hosts, paths and mailboxes
# They turn what they enclose around, so that a name reads as another one. Joiners and marks stay:
# Hindi and Arabic are written with them.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def validate_time_zone(value: str) -> None:
    if value not in zoneinfo.available_timezones():
        raise ValidationError(
            _("“%(value)s” is not a time zone. Use a name such as Asia/Kolkata or Europe/Berlin.")
            % {"value": value}
        )


def validate_name(value: str) -> None:
    """One line, without what cannot be seen: a name stands in mails, in terminals and beside
    other names."""
    for char in value:
        if not _is_seen(char):
            raise ValidationError(
                _("A name cannot hold the invisible character %(code)s. Type the name again.")
                % {"code": _code(char)}
            )


def validate_address(value: str) -> None:
    """An e-mail address that reads as the mailbox that it names: visible ASCII, at most
    LONGEST_ADDRESS_CHARS.

    Django's own validator takes control characters in quotes, and drops invisible and folds
    full-width characters of a domain before it looks. An international domain has an ASCII form,
    which no other domain resembles.
    """
    if len(value) > LONGEST_ADDRESS_CHARS:
        raise ValidationError(
            ngettext(
                "This address has %(count)s character. An e-mail address has at most %(most)s.",
                "This address has %(count)s characters. An e-mail address has at most %(most)s.",
                len(value),
            )
            % {"count": format_number(len(value)), "most": LONGEST_ADDRESS_CHARS}
        )
    for char in value:
        if "!" <= char <= "~":
            continue
        if char.isprintable() and not char.isspace():
            raise ValidationError(
                _(
                    "An e-mail address cannot hold “%(char)s” (%(code)s). Type the address again, "
                    "and an international domain in its form with xn--."
                )
                % {"char": char, "code": _code(char)}
            )
        raise ValidationError(
            _(
                "An e-mail address cannot hold the invisible character %(code)s. Type the address "
                "again."
            )
            % {"code": _code(char)}
        )
    validate_email(value)


def unlinked(name: str) -> str:
    """A name as a mail to a stranger holds it: with a blank where a mail program would see a web
    address. Whoever signs up chooses such a name and its readers, and the mail is from us."""
    return _LINKING.sub(r"\1 ", name)


def visible(name: str) -> str:
    """A name that nobody here typed, e.g. a provider's, without what `validate_name` refuses."""
    return "".join(filter(_is_seen, name)).strip()


def _code(char: str) -> str:
    return f"U+{ord(char):04X}"


def _is_seen(char: str) -> bool:
    return char not in _TURNING and unicodedata.category(char) not in ("Cc", "Zl", "Zp", "Cs")
