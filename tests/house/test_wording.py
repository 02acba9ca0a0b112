"""What a person reads can be translated."""

import pytest

from tests.house.script_words import bare_script_words, bare_script_words_of
from tests.house.sources import ROOT, committed_files
from tests.house.wording import bare_words, bare_words_of

pytestmark = pytest.mark.once


def templates():
    files = [
        (file, file.relative_to(ROOT).parts)
        for file in committed_files()
        if file.suffix in {".html", ".txt"}
    ]
    return [file for file, parts in files if "templates" in parts and parts[0] != "tests"]


def scripts():
    return [
        file
        for file in committed_files()
        if file.suffix == ".js" and file.relative_to(ROOT).parts[0] != "tests"
    ]


def test_templates_hold_no_words_outside_of_a_translation():
    assert_none(bare_words_of(templates()))


def test_scripts_hold_no_words_outside_of_a_translation():
    assert_none(bare_script_words_of(scripts()))


def test_no_field_lets_the_browser_cut_what_is_pasted():
    """The form or the route says what is too long; a maxlength cuts it without a word."""
    cutting = [
        file.relative_to(ROOT)
        for file in [*templates(), *scripts()]
        if "maxlength" in file.read_text(encoding="utf-8").lower()
    ]
    assert not cutting


def assert_none(found):
    listed = [
        f"{file.relative_to(ROOT)}:{line} {words}"
        for file, lines in found.items()
        for line, words in lines
    ]
    assert not listed, "\n".join(listed)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("<p>Hello</p>", ["Hello"]),
        ("<p>\n {{ name }}, hello\n</p>", [", hello"]),
        ('<a title="Open it"></a>', ["Open it"]),
        ("{% if a %}Yes{% endif %}", ["Yes"]),
        ('{% translate "Hello" %}', []),
        (
            "<p>{% blocktranslate %}Hello <b>you</b>{% endblocktranslate %}</p><p>Ok then</p>",
            ["Ok then"],
        ),
        ("{% comment %}Hello{% endcomment %}<script>let word = 1</script><code>GET</code>", []),
        ('<span class="material-symbols-outlined">open_in_new</span>', []),
        ("<title>{{ page }} · PushPilot</title>", []),
        ("<br>12 · 5 &nbsp; –", []),
        ('<input placeholder="{% translate "Name" %}">', []),
    ],
)
def test_bare_words_are_found(source, words):
    assert [found for _line, found in bare_words(source)] == words


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ('say("Try again.")', ["Try again."]),
        ("say('Starting…')", ["Starting…"]),
        ("say(`took ${time}`)", ["took ${time}"]),
        ("say(`${count} of ${all(`${x}`)} came`)", ["${count} of ${all(`${x}`)} came"]),
        ('say(gettext("Try again."))', []),
        ('say(gettext(\n  "Try again.",\n))', []),
        ('ngettext("%(count)s phone", "%(count)s phones is", count)', []),
        ('gettext("Try again."); say("And again.")', ["And again."]),
        ('// Say "Try again."\nfind("[data-note] [data-title]")', []),
        ('node.className = "pp-note pp-note-error"', []),
        ('text.replace(/["\'{}] a b/g, "").split(" ")', []),
        ('headers = { Authorization: `Bearer ${key}` }; node.closest("td")', []),
    ],
)
def test_bare_words_of_scripts_are_found(source, words):
    assert [found for _line, found in bare_script_words(source)] == words
