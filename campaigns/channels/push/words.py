"""What a push calls the reasons of the ledger: its addresses are devices."""

from campaigns.channels.base import ReasonWords

REASON_WORDS = {
    "deferred": ReasonWords(
        "Deferred",
        "The push service of this platform refuses the provider. It waits until that is repaired.",
    ),
    "no_endpoint": ReasonWords(
        "No device",
        "The contact has no device for this channel.",
        "has no device",
        "have no device",
    ),
    "endpoint_inactive": ReasonWords(
        "Device retired",
        "This device was retired earlier: gone, signed out, or silent for too long.",
        "is on a retired device",
        "are on retired devices",
    ),
    "not_opted_in": ReasonWords(
        "Not opted in",
        "The device does not allow notifications.",
        "does not allow notifications",
        "do not allow notifications",
    ),
    "left_audience": ReasonWords(
        "Left the audience",
        "After the audience was fixed, the contact or the device was deleted, or the device moved "
        "to another contact.",
    ),
    "accepted": ReasonWords(
        "Accepted", "The provider took the message. Whether it arrived, only the device can say."
    ),
    "endpoint_gone": ReasonWords(
        "Device gone", "The app was removed or the token expired; the device is retired."
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
