"""What a push calls the reasons of the ledger: its addresses are devices."""

from django.utils.translation import gettext_lazy, ngettext_lazy

from campaigns.channels.base import ReasonWords

REASON_WORDS = {
    "deferred": ReasonWords(
        gettext_lazy("Deferred"),
        gettext_lazy(
            "The push service of this platform refuses the provider. The message waits until "
            "that is repaired."
        ),
    ),
    "no_endpoint": ReasonWords(
        gettext_lazy("No device"),
        gettext_lazy("The contact has no device for this channel."),
        ngettext_lazy("%(count)s has no device", "%(count)s have no device", "number"),
    ),
    "endpoint_inactive": ReasonWords(
        gettext_lazy("Device retired"),
        gettext_lazy(
            "This device was retired earlier: it is gone, signed out or silent for too long."
        ),
        ngettext_lazy(
            "%(count)s is on a retired device", "%(count)s are on retired devices", "number"
        ),
    ),
    "not_opted_in": ReasonWords(
        gettext_lazy("Not opted in"),
        gettext_lazy("The device does not allow notifications."),
        ngettext_lazy(
            "%(count)s does not allow notifications",
            "%(count)s do not allow notifications",
            "number",
        ),
    ),
    "left_audience": ReasonWords(
        gettext_lazy("Left the audience"),
        gettext_lazy(
            "The contact or the device was deleted after the audience was fixed, or the device "
            "moved to another contact."
        ),
    ),
    "accepted": ReasonWords(
        gettext_lazy("Accepted"),
        gettext_lazy("The provider took the message. Only the device can say whether it arrived."),
    ),
    "endpoint_gone": ReasonWords(
        gettext_lazy("Device gone"),
        gettext_lazy("The app was removed or the token expired. The device is retired."),
    ),
}

TEMPLATE_EXAMPLES = (
    {
        "name": "Diwali offer",
        "language": "en",
        "category": "festive",
        "tone": "cheerful",
        "title": 'Happy Diwali, {{ first_name | default: "there" }}!',
        "body": "20% off all sweets until Sunday.",
        "deep_link": "app://offers/diwali",
    },
    {
        "name": "Cart is waiting",
        "language": "en",
        "category": "retention",
        "tone": "friendly",
        "title": "You left something behind",
        "body": "Your cart is saved. Finish your order in two taps.",
        "image_url": "https://www.example.com/cart.png",
        "deep_link": "app://cart",
    },
    {
        "name": "Cart is waiting",
        "language": "pt-BR",
        "category": "retention",
        "tone": "friendly",
        "title": "Você esqueceu algo",
        "body": "Seu carrinho está salvo. Finalize o pedido em dois toques.",
        "deep_link": "app://cart",
    },
)
