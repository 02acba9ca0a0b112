"""The channels of this installation: one line each."""

from __future__ import annotations

from campaigns.channels.base import Channel
from campaigns.channels.push.channel import AppPush, WebPush
from pushpilot.lib.display import Words, format_number

CHANNELS: dict[str, Channel] = {
    channel.key: channel
    for channel in (
        AppPush(),
        WebPush(),
    )
}
DEFAULT = AppPush.key


def channel_of(key: str) -> Channel:
    """Raises KeyError for a key that is no channel of this installation."""
    return CHANNELS[key]


def alike(key: str) -> list[str]:
    """The channels whose messages have the same fields as this one's: a template of one serves
    them all."""
    fields = channel_of(key).fields
    return [channel.key for channel in CHANNELS.values() if channel.fields == fields]


def choices() -> list[tuple[str, Words]]:
    """(key, label) of each channel, for forms and model fields."""
    return [(channel.key, channel.label) for channel in CHANNELS.values()]


def address_kinds() -> list[tuple[str, Words]]:
    """(key, label) of the kinds of addresses of all channels."""
    return list(
        {
            kind: label for one in CHANNELS.values() for kind, label in one.address_kinds.items()
        }.items()
    )


def platforms() -> list[tuple[str, Words]]:
    """(key, label) of the platforms of all channels."""
    return list(
        {key: label for one in CHANNELS.values() for key, label in one.platforms.items()}.items()
    )


def broadcasts() -> list[tuple[str, Words]]:
    """(key, label) of the broadcasts of all channels."""
    return list(
        {one.key: one.label for channel in CHANNELS.values() for one in channel.broadcasts}.items()
    )


def label_of(key: str) -> str:
    """The channel's name; the key itself for a channel that is not installed any more."""
    channel = CHANNELS.get(key)
    if channel:
        return str(channel.label)
    return key


def counted_addresses(key: str, number: int) -> str:
    """ "1 device", "3,120 devices", in the words of the channel."""
    words = CHANNELS.get(key, Channel).counted_addresses
    return str(words % {"number": number, "count": format_number(number)})


def icon_of(key: str) -> str:
    """A name of Material Symbols."""
    channel = CHANNELS.get(key)
    if channel:
        return channel.icon
    return "send"
