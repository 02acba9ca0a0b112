"""What the dialogs of a run page ask, with the numbers of this moment."""

from __future__ import annotations

from django.utils.translation import ngettext

from campaigns.audience.reasons import Reason
from pushpilot.lib.display import format_number


def questions(counts: dict[str, int]) -> dict[str, str]:
    """{name: sentence}. `counts`: recipients by the slug of their reason, those that still wait
    ("waiting"), and the devices that the run retired ("retired")."""
    return {
        **_cancelling(counts["waiting"]),
        **_rejected(counts[Reason.REJECTED.slug]),
        **_unknown(counts[Reason.UNKNOWN.slug]),
        **_held(counts[Reason.DEFERRED.slug]),
        **_retired(counts["retired"]),
    }


def _cancelling(count: int) -> dict[str, str]:
    words = ngettext(
        "Messages already sent stay sent. The remaining %(count)s recipient is marked Cancelled.",
        "Messages already sent stay sent. The remaining %(count)s recipients are marked Cancelled.",
        count,
    )
    return {"cancel": words % {"count": format_number(count)}}


def _rejected(count: int) -> dict[str, str]:
    told = ngettext(
        "The provider refused %(count)s recipient. The codes above say whether another try can "
        "help.",
        "The provider refused %(count)s recipients. The codes above say whether another try can "
        "help.",
        count,
    )
    title = ngettext(
        "Send again to %(count)s rejected recipient?",
        "Send again to %(count)s rejected recipients?",
        count,
    )
    about = {"count": format_number(count)}
    return {"rejected": told % about, "retry_title": title % about}


def _unknown(count: int) -> dict[str, str]:
    told = ngettext(
        "%(count)s recipient may have received the message: no answer came from the provider.",
        "%(count)s recipients may have received the message: no answer came from the provider.",
        count,
    )
    resend = ngettext(
        "Send again to %(count)s unknown recipient?",
        "Send again to %(count)s unknown recipients?",
        count,
    )
    close = ngettext(
        "Close %(count)s unknown recipient?", "Close %(count)s unknown recipients?", count
    )
    about = {"count": format_number(count)}
    return {
        "unknown": told % about,
        "resend_title": resend % about,
        "close_title": close % about,
    }


def _held(count: int) -> dict[str, str]:
    told = ngettext(
        "%(count)s recipient waits for a platform that refuses the provider. Repair the cause "
        "above, then try again.",
        "%(count)s recipients wait for a platform that refuses the provider. Repair the cause "
        "above, then try again.",
        count,
    )
    title = ngettext(
        "End this send without %(count)s recipient?",
        "End this send without %(count)s recipients?",
        count,
    )
    about = {"count": format_number(count)}
    return {"held": told % about, "held_title": title % about}


def _retired(count: int) -> dict[str, str]:
    told = ngettext(
        "This send retired %(count)s device, because the provider said that the device is gone.",
        "This send retired %(count)s devices, because the provider said that the devices are gone.",
        count,
    )
    title = ngettext("Revive %(count)s device?", "Revive %(count)s devices?", count)
    about = {"count": format_number(count)}
    return {"retired": told % about, "revive_title": title % about}
