"""Devices of contacts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from msgspec import Meta, Raw, Struct
from ninja import Router

from campaigns.channels.push.keys import APP_PUSH, WEB_PUSH
from campaigns.channels.registry import channel_of
from campaigns.contacts import endpoints
from campaigns.contacts.consent import Word
from campaigns.contacts.endpoints import Registration
from pushpilot.lib.batches import Rejection, split
from pushpilot.lib.bounded import EARLIEST, OutOfBounds, check_id, check_text, check_zoned
from pushpilot.lib.display import format_number
from pushpilot.lib.openapi import refusal, schema_of
from pushpilot.lib.problems import Problem
from tenants import keys, roles
from tenants.api.security import Access, Caller, at_work, caller_of

DEVICES_LIMIT = 500
CLOCKS_APART = timedelta(minutes=5)
_MEMBER = "devices"
WANTED = gettext_lazy("Send an object with a list of devices in `devices`.")

P = TypeVar("P", bound=Struct)
T = TypeVar("T")

router = Router(tags=["Devices"])
_encoder = msgspec.json.Encoder()


class PostedConsent(Struct, forbid_unknown_fields=True):
    """What a person said about being written to."""

    opted_in: Annotated[bool, Meta(description="Yes or no.")]
    at: Annotated[
        datetime,
        Meta(description="When they said so, with time zone. A newer word, from anywhere, stays."),
    ]
    channel: Annotated[
        Literal["", "app_push", "web_push", "sms", "email", "whatsapp", "all"],
        Meta(
            description="`all` are all channels, those of later too. Default: the channel of the "
            "device."
        ),
    ] = ""


class PostedDevice(Struct, forbid_unknown_fields=True):
    """One device, as your app registered it with Firebase."""

    external_user_id: Annotated[
        str, Meta(description="The person's id in your system, 1 to 200 characters.")
    ]
    token: Annotated[
        str,
        Meta(description="FCM's registration token, or the Firebase installation id, of the app."),
    ]
    platform: Annotated[
        Literal["android", "ios", "web"],
        Meta(description="`web` is reached by web push, the others by app push."),
    ]
    kind: Annotated[
        Literal["token", "fid"], Meta(description="What `token` is: a token or an installation id.")
    ] = "token"
    opted_in: Annotated[
        bool | None,
        Meta(
            description="The device's own permission: does it show notifications? Left out: as "
            "before, at first yes."
        ),
    ] = None
    consent: Annotated[
        PostedConsent | None,
        Meta(description="What the person has said, if you know. Left out: as before."),
    ] = None
    last_seen_at: Annotated[
        datetime | None,
        Meta(
            description="When your app last registered it, with time zone. Default: now. A device "
            "that was seen or retired later is left as it is."
        ),
    ] = None


class PostedDevices(Struct):
    """Up to 500 devices, each judged by itself."""

    devices: Annotated[list[PostedDevice], Meta(min_length=1, max_length=DEVICES_LIMIT)]


class GoneDevice(Struct, forbid_unknown_fields=True):
    """A device that wants no more pushes."""

    token: str


class GoneDevices(Struct):
    devices: Annotated[list[GoneDevice], Meta(min_length=1, max_length=DEVICES_LIMIT)]


class Registered(Struct):
    """The answer: what became of the devices, and which were not taken and why."""

    accepted: int
    created: int
    refreshed: int
    moved: Annotated[int, Meta(description="It was another person's device.")]
    returned: Annotated[int, Meta(description="It was retired, and is reached again.")]
    outdated: Annotated[
        int, Meta(description="Seen or retired after your `last_seen_at`: left as it is.")
    ]
    rejected: list[Rejection]


class Unregistered(Struct):
    """The answer: how many were reached until now. The rest were unknown or retired already."""

    accepted: int
    retired: int
    rejected: list[Rejection]


_PROBLEMS = {
    400: "The body is not JSON.",
    401: "No access token or key, or it is unknown or revoked.",
    403: "The role or key may not do this.",
    413: "More than 500 devices; send them in parts.",
    415: "Not application/json.",
    422: "None of the devices could be taken; `rejected` says why.",
    429: "Too many requests; see Retry-After.",
    503: "Nothing was stored; send it again after Retry-After seconds.",
}


def _documented(body: type[Struct], answer: type[Struct]) -> dict[str, Any]:
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema_of(body)}},
        },
        "responses": {
            200: {
                "description": "Stored.",
                "content": {"application/json": {"schema": schema_of(answer)}},
            },
            **{status: refusal(status, words) for status, words in _PROBLEMS.items()},
        },
    }


@router.post(
    "/devices",
    auth=Access(keys.DEVICES_WRITE),
    summary="Register devices",
    openapi_extra=_documented(PostedDevices, Registered),
)
def register_devices(request: HttpRequest) -> HttpResponse:
    """Register up to 500 devices whenever your app hands you a token. A retired device comes
    back, a device of another person moves, and an unknown person is created. Sending the same
    request again changes nothing."""
    now = timezone.now()
    with at_work(request, roles.EDIT) as workspace:
        by = _name_of(caller_of(request))
        taken, rejected = _judge(
            request, PostedDevice, lambda device: _registration(device, by, now)
        )
        last = {said.address: index for index, said in taken.items()}
        for index, said in taken.items():
            if last[said.address] != index:
                detail = _(
                    "The device appears again at index %(index)s. Only the last one counts."
                ) % {"index": last[said.address]}
                rejected.append(Rejection(index, "repeated", detail))
        changes: Counter[str] = Counter()
        with _storing():
            changes = endpoints.register_all(
                workspace, [taken[index] for index in last.values()], now
            )
    names = ("created", "refreshed", "moved", "returned", "outdated")
    rejected.sort(key=lambda one: one.index)
    return _answer(
        Registered(changes.total(), **{name: changes[name] for name in names}, rejected=rejected)
    )


@router.post(
    "/devices/unregister",
    auth=Access(keys.DEVICES_WRITE),
    summary="Unregister devices",
    openapi_extra=_documented(GoneDevices, Unregistered),
)
def unregister_devices(request: HttpRequest) -> HttpResponse:
    """Somebody signed out of your app: these devices get no more pushes until they are
    registered again."""
    now = timezone.now()
    with at_work(request, roles.EDIT) as workspace:
        taken, rejected = _judge(request, GoneDevice, lambda device: _token(device.token))
        with _storing():
            retired = endpoints.unregister(workspace, (APP_PUSH, WEB_PUSH), taken.values(), now)
    return _answer(Unregistered(len(taken), retired, rejected))


def _name_of(caller: Caller) -> str:
    """Who says it, as the proof of a consent."""
    if caller.user is not None:
        return caller.user.email
    if caller.key is not None:
        return f"API key {caller.key.id}"
    return ""


@contextmanager
def _storing() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:  # busy, or a deadlock with a worker that retires one of them
        detail = _("Nothing was stored. Send the request again.")
        raise Problem(503, "not_stored", detail, headers={"Retry-After": "5"}) from error


def _answer(told: Struct) -> HttpResponse:
    return HttpResponse(_encoder.encode(told), content_type="application/json")


# --- hostile input --------------------------------------------------------------------------------
def _judge(
    request: HttpRequest, shape: type[P], read: Callable[[P], T]
) -> tuple[dict[int, T], list[Rejection]]:
    """{index: what was read}, and what is wrong with the others. Raises Problem if nothing can
    be taken."""
    decoder = msgspec.json.Decoder(shape)
    taken: dict[int, T] = {}
    rejected = []
    for index, item in enumerate(_open(request)):
        try:
            taken[index] = read(_decoded(decoder, item))
        except OutOfBounds as error:
            rejected.append(Rejection(index, error.code, error.detail))
    if not taken:
        detail = _(
            "None of the devices can be stored. `rejected` says why. The first: %(detail)s"
        ) % {"detail": rejected[0].detail}
        raise Problem(422, "no_device_acceptable", detail, rejected=msgspec.to_builtins(rejected))
    return taken, rejected


def _open(request: HttpRequest) -> list[Raw]:
    """The undecoded devices of the body. Raises Problem."""
    if request.content_type != "application/json":
        raise Problem(415, "unsupported_media_type", _("Send the devices as application/json."))
    try:
        members, items = split(request.body, _MEMBER)
    except msgspec.ValidationError as error:
        raise Problem(422, "invalid", str(WANTED)) from error
    except (ValueError, RecursionError) as error:
        raise Problem(
            400,
            "malformed_json",
            (_("The body is not valid JSON: %(error)s.") % {"error": error})[:300],
        ) from error
    if items is None:
        raise Problem(422, "invalid", str(WANTED))
    unknown = members.keys() - {_MEMBER}
    if unknown:
        named = sorted(unknown)[0][:50].encode("utf-8", "replace").decode()
        raise Problem(
            422, "invalid", _("There is no field “%(field)s”. Remove it.") % {"field": named}
        )
    if len(items) > DEVICES_LIMIT:
        raise Problem(
            413,
            "too_many_devices",
            _("A request has at most %(limit)s devices. This request has %(count)s.")
            % {"limit": DEVICES_LIMIT, "count": format_number(len(items))},
        )
    if not items:
        raise Problem(422, "invalid", _("`%(member)s` is empty.") % {"member": _MEMBER})
    return items


def _decoded(decoder: msgspec.json.Decoder[P], item: Raw) -> P:
    try:
        return decoder.decode(item)
    except msgspec.ValidationError as error:
        raise OutOfBounds("invalid", f"{error}."[:300]) from error
    except (ValueError, RecursionError) as error:
        raise OutOfBounds(
            "bad_text", (_("The device is not valid JSON: %(error)s.") % {"error": error})[:300]
        ) from error


def _registration(device: PostedDevice, by: str, now: datetime) -> Registration:
    contact = check_id(device.external_user_id, "external_user_id", 200, least=1)
    channel = APP_PUSH
    if device.platform == "web":
        channel = WEB_PUSH
    seen_at = now
    if device.last_seen_at:
        seen_at = _moment(device.last_seen_at, "last_seen_at", now)
    word = None
    if said := device.consent:
        at = _moment(said.at, "consent.at", now)
        word = Word(said.channel or channel, said.opted_in, "api", by, at, external_id=contact)
    return Registration(
        contact,
        channel,
        device.kind,
        _token(device.token),
        device.platform,
        seen_at,
        device.opted_in,
        word,
    )


def _moment(at: datetime, field: str, now: datetime) -> datetime:
    """The moment, not after now. Raises OutOfBounds."""
    check_zoned(at, field)
    if at < EARLIEST or at > now + CLOCKS_APART:
        raise OutOfBounds(
            "time_out_of_range",
            _("%(field)s lies before the year 2000 or in the future. Correct the time.")
            % {"field": field},
        )
    return min(at, now)


def _token(token: str) -> str:
    check_text(token, "token", 512, least=1)
    try:
        return channel_of(APP_PUSH).check_address(token)
    except ValueError as error:
        raise OutOfBounds("bad_text", f"token: {error}") from error
