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
    page.route("**/words/*.js*", with_another_word)
    # The admin's own scripts of a form bring a catalogue, too.
    page.goto(f"{product.console}campaigns/campaign/add/")
    assert page.evaluate(USED)[0] == "Got it"


def with_another_word(route):
    script = (
        route.fetch().text() + "\npushpilot.gettext = (words) => words.replace('Copied', 'Got it');"
    )
    route.fulfill(body=script, content_type="text/javascript")


def test_without_a_catalogue_the_words_are_those_of_the_script(product, sign_in):
    page = sign_in("priya@biddano.test")
    page.route(
        "**/words/*.js*", lambda route: route.fulfill(body="", content_type="text/javascript")
    )
    page.reload()
    assert not page.evaluate("'pushpilot' in window")
    assert page.evaluate(USED) == SAID
