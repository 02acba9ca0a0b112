"""pushpilot/words.js: what the page's scripts say, with and without a catalogue."""

from __future__ import annotations

USED = """async () => {
    const words = await import("/static/pushpilot/words.js");
    return [
        words.gettext("Copied"),
        words.ngettext("%(count)s phone", "%(count)s phones", 1),
        words.format(words.ngettext("%(count)s phone", "%(count)s phones", 1200), { count: words.number(1200) }),
        words.format("%(left)s of %(all)s", { left: 1 }),
        words.locale,
    ];
}"""
SAID = ["Copied", "%(count)s phone", "1,200 phones", "1 of %(all)s", "en-US"]


def test_a_script_finds_the_words_of_its_catalogue(product, sign_in):
    page = sign_in("priya@biddano.test")
    assert page.evaluate(USED) == SAID
    page.evaluate("django.catalog = { Copied: 'Got it' }")
    assert page.evaluate(USED)[0] == "Got it"


def test_a_catalogue_outlives_the_scripts_of_django_s_forms(product, sign_in):
    page = sign_in("priya@biddano.test")
    page.evaluate("django.catalog = { Copied: 'Got it' }; window.django = { jQuery: null }")
    evaluated_late = USED.replace("words.js", "words.js?late")
    assert page.evaluate(evaluated_late)[0] == "Got it"


def test_without_a_catalogue_the_words_are_those_of_the_script(product, sign_in):
    page = sign_in("priya@biddano.test")
    page.route(
        "**/words/*.js*", lambda route: route.fulfill(body="", content_type="text/javascript")
    )
    page.reload()
    assert not page.evaluate("'django' in window")
    assert page.evaluate(USED) == SAID
