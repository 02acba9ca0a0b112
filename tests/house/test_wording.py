"""What a person reads can be translated."""

import pytest

from tests.house.sources import ROOT, committed_files
from tests.house.wording import bare_words, bare_words_of

pytestmark = pytest.mark.once

# How many texts of a layer are not marked yet; a figure only ever falls, until its entry goes.
LEFT = {"campaigns": 92, "delivery": 119}


def templates():
    files = [
        file
        for file in committed_files()
        if "templates" in file.parts and file.suffix in {".html", ".txt"}
    ]
    return [file for file in files if file.relative_to(ROOT).parts[0] != "tests"]


def test_templates_hold_no_words_outside_of_a_translation():
    found = bare_words_of(templates())
    by_layer: dict[str, int] = {}
    for file, words in found.items():
        layer = file.relative_to(ROOT).parts[0]
        by_layer[layer] = by_layer.get(layer, 0) + len(words)
    listed = [
        f"{file.relative_to(ROOT)}:{line} {words}"
        for file, lines in found.items()
        for line, words in lines
    ]
    more = {layer for layer, count in by_layer.items() if count > LEFT.get(layer, 0)}
    assert not more, "\n".join(listed)


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
