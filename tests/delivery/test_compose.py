"""What a run sends to whom: people by token or fid, a topic or a condition at once."""

import time
from typing import Any

import pytest

from campaigns.audience.reasons import Reason
from delivery.engine.compose import NotComposable, Recipient
from tests.delivery.composing import SALE, composer, message

NOBODY = {"external_id": "", "language": "", "country": "", "time_zone": "", "attributes": {}}
ASHA = {**NOBODY, "external_id": "u1", "language": "hi-IN", "attributes": {"first_name": "Asha"}}


def to(kind: str, value: str, contact: dict[str, Any] = NOBODY) -> Recipient:
    return Recipient(7, None if kind in ("topic", "condition") else 9, kind, value, 0, contact)


@pytest.mark.parametrize("kind", ["token", "fid", "topic", "condition"])
def test_each_kind_of_target_is_named_as_fcm_names_it(kind: str) -> None:
    composed = message(composer().compose(to(kind, "'a' in topics")))
    assert composed[kind] == "'a' in topics"
    assert composed["notification"] == {"title": "Sale", "body": "Today"}
    assert composed["data"]["pp_ref"]


def test_a_topic_gets_the_content_in_the_default_language() -> None:
    hindi = {"language": "hi", "title": "सेल", "body": "आज"}
    both = composer(hindi, SALE)
    assert message(both.compose(to("topic", "news")))["notification"]["title"] == "Sale"
    assert message(both.compose(to("token", "t", ASHA)))["notification"]["title"] == "सेल"


def test_a_language_is_one_however_the_app_and_the_marketer_write_it() -> None:
    texts = composer(
        {**SALE, "language": "pt", "title": "pt"},
        {**SALE, "language": "pt_BR", "title": "pt-BR"},
        SALE,
    )
    for language, title in (
        ("pt_BR", "pt-BR"), ("pt-br", "pt-BR"), ("pt-BR", "pt-BR"), ("pt-PT", "pt"), ("pt_Latn_BR", "pt"),
        ("EN_us", "Sale"), ("fr", "Sale"), ("", "Sale"),
    ):  # fmt: skip
        body = message(texts.compose(to("token", "t", {**NOBODY, "language": language})))
        assert (language, body["notification"]["title"]) == (language, title)


@pytest.mark.parametrize("order", [1, -1])
def test_of_several_variants_the_first_is_sent_in_whatever_order_they_are_kept(order: int) -> None:
    texts = [
        {**SALE, "language": language, "variant": variant, "title": f"{language} {variant}"}
        for language in ("en", "pt-BR") for variant in "AB"
    ]  # fmt: skip
    both = composer(*texts[::order])
    for language, title in (("en", "en A"), ("pt", "en A"), ("pt_BR", "pt-BR A"), ("fr", "en A")):
        body = message(both.compose(to("token", "t", {**NOBODY, "language": language})))
        assert (language, body["notification"]["title"]) == (language, title)


def test_nothing_personal_goes_to_a_topic() -> None:
    personal = composer({**SALE, "title": "Hi {{ first_name }}"})
    assert message(personal.compose(to("token", "t", ASHA)))["notification"]["title"] == "Hi Asha"
    with pytest.raises(NotComposable) as stopped:
        personal.compose(to("topic", "news"))
    assert stopped.value.reason is Reason.RENDER_ERROR


def test_a_topic_takes_half_the_bytes() -> None:
    long = composer({**SALE, "data": {"k": "x" * 2100}})
    assert long.compose(to("token", "t"))
    for kind in ("topic", "condition"):
        with pytest.raises(NotComposable) as stopped:
            long.compose(to(kind, "news"))
        assert (stopped.value.reason, "bytes" in stopped.value.code) == (
            Reason.PAYLOAD_TOO_LARGE,
            True,
        )


def test_the_end_of_life_on_ios_counts_from_each_send_not_from_the_compilation(monkeypatch) -> None:
    long_run = composer({**SALE, "ttl_secs": 60})
    ends = []
    for now in (1_000.0, 5_000.0):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        ends.append(
            message(long_run.compose(to("token", "t")))["apns"]["headers"]["apns-expiration"]
        )
    assert ends == ["1060", "5060"]
