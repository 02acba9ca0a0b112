"""The offline engine of drafts: what it reads of a prompt, what it writes, and that it invents
nothing."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.channels import registry
from campaigns.channels.base import Channel
from campaigns.content.drafting import brief as briefs
from campaigns.content.drafting import checks, compose, phrases
from campaigns.content.drafting.brief import SLOTS, Brief
from campaigns.content.drafting.compose import Draft, Sample, template_drafts
from campaigns.models import Template, Tone
from tests.toy.channel import Pager

pytestmark = pytest.mark.once
CATEGORIES, TONES = list(phrases.TONES), list(phrases.GROUPS)
FULL = {
    "offer": "20% off",
    "code": "SWEET20",
    "deadline": "31 October",
    "product": "all sweets",
    "occasion": "Diwali",
    "link": "https://shop.example/sale",
}


def brief(prompt: str = "zzz", language: str = "en", channel: Channel | None = None, **given):
    own = phrases.of_language(language)
    slots = given.pop("slots", {})
    category = given.pop("category", "offer")
    return Brief(
        prompt,
        channel or registry.channel_of("app_push"),
        language,
        own,
        category,
        given.pop("tone", phrases.TONES[category]),
        slots,
        given.pop("variables", frozenset({"first_name"})),
        given.pop("seed", 0),
    )


def read(prompt: str, language: str = "en") -> dict[str, str]:
    return briefs.read_slots(prompt, phrases.of_language(language))


def first_word(draft: Draft) -> str:
    return draft.fields["title"].casefold().split()[0]


# --- the lists are complete -----------------------------------------------------------------------
def test_every_category_and_tone_has_its_lines_in_every_language():
    assert set(CATEGORIES) == set(Template.Category.values) == set(phrases.EMOJI)
    assert (
        set(TONES)
        == set(Tone.values)
        == set(phrases.EMOJI_BUDGETS)
        == set(phrases.CAPITALS_BUDGETS)
    )
    for language in phrases.LANGUAGES:
        said = phrases.of_language(language).said
        for part in ("titles", "openings"):
            assert set(said[part]) == {*CATEGORIES, *phrases.GROUPS.values()}, (language, part)
        for part in ("offer", "scope", "product", "code", "deadline", "action"):
            assert set(said[part]) == set(phrases.GROUPS.values()), (language, part)
        assert set(said["categories"]) == set(CATEGORIES)
        assert set(said["tones"]) == set(TONES)


@pytest.mark.parametrize("language", phrases.LANGUAGES)
def test_no_line_claims_anything_of_its_own(language):
    said = phrases.of_language(language).said
    for part in ("titles", "openings", "offer", "scope", "product", "code", "deadline", "action"):
        for key, lines in said[part].items():
            for category in [key] if key in CATEGORIES else CATEGORIES:
                asked = brief(
                    language=language, category=category, slots=dict.fromkeys(SLOTS, "zzz")
                )
                for line in lines:
                    text = checks.without_liquid(compose._filled(line, asked) or "")
                    assert not list(checks.inventions(text, asked)), line


@pytest.mark.parametrize("slots", [{}, FULL], ids=["bare", "full"])
@pytest.mark.parametrize("language", phrases.LANGUAGES)
def test_every_category_and_tone_gives_three_drafts_that_begin_differently(language, slots):
    for category in CATEGORIES:
        for tone in TONES:
            for variables in (frozenset(), frozenset({"first_name"})):
                asked = brief(
                    language=language,
                    category=category,
                    tone=tone,
                    slots=slots,
                    variables=variables,
                )
                drafts = template_drafts(asked, [])
                assert len({first_word(draft) for draft in drafts}) == 3, (category, tone)
                assert all(draft.fields["body"] for draft in drafts)


# --- a prompt is read -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("language", "prompt", "slots"),
    [
        ("en", "Write a festive message", {}),
        (
            "en",
            "20% off on all sweets until Sunday",
            {"offer": "20% off", "product": "all sweets", "deadline": "Sunday"},
        ),
        (
            "en",
            "Flat ₹200 off, ends tonight at 8 pm. Use code GET200!",
            {"offer": "₹200 off", "deadline": "tonight at 8 pm", "code": "GET200"},
        ),
        (
            "en",
            "free delivery by 31 October 2026",
            {"offer": "free delivery", "deadline": "31 October 2026"},
        ),
        (
            "en",
            "Buy one get one free for Diwali",
            {"offer": "Buy one get one free", "occasion": "Diwali"},
        ),
        (
            "en",
            "Launch of “PushPilot Mobile”, see https://a.example/x?y=1.",
            {"product": "PushPilot Mobile", "link": "https://a.example/x?y=1"},
        ),
        (
            "en",
            "Remind people of their refill until the end of the month",
            {"product": "your refill", "deadline": "the end of the month"},
        ),
        ("en", "code for developers, sale until sold out", {}),
        (
            "es",
            "20 % de descuento en zapatos hasta el domingo, código ABC20",
            {
                "offer": "20 % de descuento",
                "product": "zapatos",
                "deadline": "el domingo",
                "code": "ABC20",
            },
        ),
        (
            "pt",
            "20% de desconto em tênis até amanhã, cupom SALE20",
            {
                "offer": "20% de desconto",
                "product": "tênis",
                "deadline": "amanhã",
                "code": "SALE20",
            },
        ),
        (
            "hi",
            "जूतों पर 20% की छूट रविवार तक, कोड DIWALI20",
            {"offer": "20% की छूट", "product": "जूतों", "deadline": "रविवार", "code": "DIWALI20"},
        ),
        ("es", "30% off until Sunday, code ABC10", {"offer": "30 % de descuento", "code": "ABC10"}),
    ],
)
def test_a_prompt_is_read_into_slots(language, prompt, slots):
    assert read(prompt, language) == slots


@pytest.mark.parametrize(
    ("prompt", "category", "tone"),
    [
        ("Write a festive message", "festive", "festive"),
        ("A formal note about our Diwali sale", "offer", "formal"),
        ("Something for Holi", "festive", ""),
        ("20% off", "offer", ""),
        ("Urgent: remind them of the refill", "pharma", "urgent"),
        ("Win back lapsed customers", "retention", ""),
        ("Say hello", "news", ""),
    ],
)
def test_a_prompt_names_its_category_and_tone(prompt, category, tone):
    own = phrases.of_language("en")
    assert briefs.read_category(prompt, own, briefs.read_slots(prompt, own)) == category
    assert briefs.read_tone(prompt, own) == tone


def test_capitals_are_calmed_beyond_what_the_tone_allows():
    assert briefs.calmed("FREE DELIVERY", 0) == "free delivery"
    assert briefs.calmed("FREE DELIVERY", 2) == "FREE DELIVERY"
    assert briefs.calmed("IKEA", 0) == "IKEA"


# --- drafts ---------------------------------------------------------------------------------------
def test_each_draft_says_the_offer_the_code_and_the_deadline_and_leads_to_the_link():
    for draft in template_drafts(brief(slots=FULL), []):
        said = f"{draft.fields['title']} {draft.fields['body']}".casefold()
        assert all(FULL[slot].casefold() in said for slot in ("offer", "code", "deadline"))
        assert draft.fields["deep_link"] == FULL["link"]


def test_the_same_brief_gives_the_same_drafts_and_another_seed_others():
    asked = brief("Diwali", slots=FULL, category="festive")
    once = [draft.fields for draft in template_drafts(asked, [])]
    assert once == [draft.fields for draft in template_drafts(asked, [])]
    others = {
        str(
            [
                draft.fields
                for draft in template_drafts(
                    brief("Diwali", slots=FULL, category="festive", seed=seed), []
                )
            ]
        )
        for seed in range(5)
    }
    assert len(others) == 5


def test_nobody_is_named_where_contacts_have_no_name():
    for seed in range(10):
        for draft in template_drafts(brief(seed=seed, variables=frozenset()), []):
            assert "{{" not in str(draft.fields)


def test_a_formal_draft_has_no_emoji_and_a_festive_one_at_most_two():
    for tone, most in (("formal", 0), ("festive", 2)):
        for draft in template_drafts(brief(category="festive", tone=tone), []):
            assert len(checks.EMOJI.findall(str(draft.fields.values()))) <= most


def test_a_long_value_makes_a_draft_shorter_and_never_too_long():
    long = {**FULL, "offer": "20% off " + "very " * 12 + "nice", "product": "sweets " * 28}
    drafts = template_drafts(brief(slots=long), [])
    assert drafts
    for draft in drafts:
        assert len(draft.fields["title"]) <= 120
        assert long["offer"] in f"{draft.fields['title']} {draft.fields['body']}"


def test_a_channel_with_one_line_says_all_in_it():
    pager = Pager()
    slots = {"offer": "20% off", "code": "SWEET20", "link": "https://a.example/b"}
    drafts = template_drafts(brief(channel=pager, slots=slots, variables=frozenset()), [])
    assert len(drafts) == 3
    for draft in drafts:
        assert list(draft.fields) == ["line"]
        assert len(draft.fields["line"]) <= 80
        assert all(
            value in draft.fields["line"].replace("20% Off", "20% off") for value in slots.values()
        )


# --- of templates ---------------------------------------------------------------------------------
def sample(pk: int, title: str, body: str, *, own: bool = True, tone: str = "cheerful") -> Sample:
    return Sample(pk, own, tone, {"title": title, "body": body})


def test_own_templates_come_first_with_their_slots_filled():
    samples = [
        sample(1, "Global: {{ offer }}", "Nice to see you.", own=False),
        sample(
            2,
            'Ours: {{ offer | default: "something" }}',
            'Hi {{ first_name | default: "you" }}. Use {{ code }}.',
        ),
    ]
    for seed in range(6):
        drafts = template_drafts(brief(slots=FULL, seed=seed), samples)
        assert [draft.template for draft in drafts] == [2, 1, None]
    assert drafts[0].fields["title"] == "Ours: 20% off"
    assert drafts[0].fields["body"].startswith('Hi {{ first_name | default: "you" }}. Use SWEET20.')
    assert "31 October" in drafts[0].fields["body"], "what the template leaves out is added"


@pytest.mark.parametrize(
    ("title", "body"),
    [
        ("30% off", "B"),
        ("Diwali is here", "B"),
        ("Free for you", "B"),
        ("Use LONGWEEKEND", "B"),
        ("See shop.example", "B"),
        ("It ends tonight", "B"),
        ("{{ points }} for you", "B"),
        ("{% if vip %}For you{% endif %}", "B"),
        ("Fine", "Only today."),
    ],
)
def test_a_template_that_says_more_than_the_brief_is_not_used(title, body):
    drafts = template_drafts(brief(), [sample(1, title, body)])
    assert [draft.template for draft in drafts] == [None] * 3


def test_a_template_is_used_up_to_the_sentence_that_says_more_and_without_its_emoji():
    long = sample(
        1,
        "Good to see you 🎉",
        "We are glad. A gift is waiting. We hope to see you.",
        tone="formal",
    )
    draft = template_drafts(brief(tone="formal"), [long])[0]
    assert draft.template == 1
    assert draft.fields == {"title": "Good to see you", "body": "We are glad."}


# --- what no engine may do ------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"title": "Save 30"}, "does not say 30"),
        ({"title": "Save २०"}, "does not say 20"),
        ({"title": "Code HAPPY"}, "does not say HAPPY"),
        ({"title": "A gift"}, "does not say gift"),
        ({"title": "At www.evil.example"}, "www.evil.example"),
        ({"title": "T", "deep_link": "https://evil.example"}, "no link"),
        ({"title": "T", "body": "{{ salary | default: 'x' }}"}, "nobody has salary"),
        ({"title": "{{ first_name }}"}, "no default"),
        ({"title": "{{ first_name"}, "cannot be personalised"),
        ({"title": "{% for a in b %}{% endfor %}"}, "more than plain variables"),
        ({"title": "T" * 121}, "at most 120"),
        ({"title": "", "body": " "}, "empty"),
        ({"subtitle": "T"}, "no field"),
        ({"title": "🎉🎉🎉"}, "3 emoji"),
    ],
)
def test_a_draft_is_refused_with_a_reason(fields, why):
    assert any(why in fault for fault in checks.faults(fields, brief(tone="cheerful")))


# --- for any brief --------------------------------------------------------------------------------
_TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=40)
_SLOT_TEXTS = st.one_of(
    _TEXTS,
    st.from_regex(r"[A-Z]{2,5}[0-9]{1,3}|[0-9]{1,4}[%€]? off|until [0-9]{1,2} May", fullmatch=True),
).filter(lambda text: "{" not in text and "}" not in text and text.strip())


@given(
    prompt=_TEXTS,
    language=st.sampled_from(phrases.LANGUAGES),
    category=st.sampled_from(CATEGORIES),
    tone=st.sampled_from(TONES),
    slots=st.dictionaries(st.sampled_from(SLOTS[:-1]), _SLOT_TEXTS, max_size=5),
    seed=st.integers(0, 2**31),
    is_pager=st.booleans(),
)
def test_whatever_is_asked_no_number_is_invented_and_no_limit_broken(
    prompt, language, category, tone, slots, seed, is_pager
):
    channel = Pager() if is_pager else registry.channel_of("web_push")
    asked = brief(prompt, language, channel, category=category, tone=tone, slots=slots, seed=seed)
    known = numbers(" ".join((prompt, *slots.values())))
    for draft in template_drafts(asked, []):
        for field in channel.fields:
            assert len(draft.fields.get(field.name, "")) <= field.limit_characters
        assert numbers(" ".join(draft.fields.values())) <= known
        assert "deep_link" not in draft.fields


def numbers(text: str) -> set[str]:
    plain = unicodedata.normalize("NFKC", text)
    return set(re.findall(r"\d+", "".join(str(unicodedata.digit(c, c)) for c in plain)))


@given(st.text(max_size=200))
def test_any_prompt_is_read_into_words_of_its_own(prompt):
    line = briefs.in_one_line(prompt)
    for slot, value in read(line).items():
        if slot != "product" or not value.startswith("your "):
            assert value in line
