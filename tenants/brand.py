"""A workspace's own look: a palette from its one colour, and its logo."""

from __future__ import annotations

import hashlib
import math

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from tenants import audit
from tenants.models import Logo, User, Workspace

LOGO_LIMIT_BYTES = 256 * 1024
# By their first bytes, whatever name or type the browser sent. No SVG: it can carry scripts.
_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
# Weight → (lightness, share of the colour's chroma) in OKLCH. The lightness is fixed, so that white
# text on 600 and dark text on 50 stay readable for every brand.
_LADDER = {
    "50": (0.97, 0.07),
    "100": (0.932, 0.15),
    "200": (0.882, 0.28),
    "300": (0.809, 0.5),
    "400": (0.707, 0.8),
    "500": (0.605, 1.0),
    "600": (0.53, 1.0),
    "700": (0.475, 0.98),
    "800": (0.415, 0.85),
    "900": (0.37, 0.65),
    "950": (0.28, 0.4),
}


def palette(colour: str) -> dict[str, str]:
    """{weight: CSS colour} of the eleven weights of a theme colour, from "#155dfc"."""
    chroma, hue = _chroma_and_hue(colour)
    return {
        weight: f"oklch({lightness} {chroma * share:.4f} {hue:.1f})"
        for weight, (lightness, share) in _LADDER.items()
    }


def _chroma_and_hue(colour: str) -> tuple[float, float]:
    """Of "#rrggbb" in OKLCH; Björn Ottosson's matrices
    (https://bottosson.github.io/posts/oklab/)."""
    red, green, blue = (_linear(int(colour[at : at + 2], 16) / 255) for at in (1, 3, 5))
    long = math.cbrt(0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue)
    medium = math.cbrt(0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue)
    short = math.cbrt(0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue)
    a = 1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short
    b = 0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short
    return math.hypot(a, b), math.degrees(math.atan2(b, a)) % 360


def _linear(part: float) -> float:
    if part <= 0.04045:
        return part / 12.92
    return float(((part + 0.055) / 1.055) ** 2.4)


@transaction.atomic
def set_logo(workspace: Workspace, content: bytes, *, by: User) -> None:
    """Keep the picture as the workspace's logo. Raises ValidationError unless it is a small PNG,
    JPEG, GIF or WebP."""
    media_type = check_logo(content)
    Logo.objects.update_or_create(
        workspace=workspace, defaults={"content": content, "media_type": media_type}
    )
    _note(workspace, hashlib.sha256(content).hexdigest()[:16], by)


@transaction.atomic
def remove_logo(workspace: Workspace, *, by: User) -> None:
    Logo.objects.filter(workspace=workspace).delete()
    _note(workspace, "", by)


def _note(workspace: Workspace, version: str, by: User) -> None:
    """The trail tells the pictures apart by their version; "" stands for none. The same one
    again is no change."""
    before = workspace.logo_version
    if version == before:
        return
    workspace.logo_version = version
    Workspace.objects.filter(pk=workspace.pk).update(logo_version=version)
    action = "logo removed"
    if version:
        action = "logo changed"
    audit.record(workspace, action, workspace, by=by, changes={"logo": (before, version)})


def check_logo(content: bytes) -> str:
    """The picture's media type. Raises ValidationError with a sentence if it cannot be a logo."""
    if len(content) > LOGO_LIMIT_BYTES:
        raise ValidationError(_("This picture is larger than 256 kB. Upload a smaller one."))
    for signature, media_type in _SIGNATURES.items():
        if content.startswith(signature):
            return media_type
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    raise ValidationError(
        _("This is not a PNG, JPEG, GIF or WebP picture. Export your logo as PNG.")
    )
