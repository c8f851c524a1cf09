"""authx.core.sentences: English that can be said in another language."""

from authx.core.sentences import Problem, sentence


def german(text):
    return {
        "key %(number)d cannot be used: %(why)s": "%(why)s (Schlüssel %(number)d)",
        "too weak": "zu schwach",
    }[text]


def test_a_sentence_is_its_english_text():
    assert sentence("100% of %(n)d".replace("%", "%%", 1), n=7) == "100% of 7"
    assert sentence("plain 100%") == "plain 100%"
    assert not sentence("")


def test_a_sentence_within_another_is_said_in_the_same_language():
    said = sentence("key %(number)d cannot be used: %(why)s", number=2, why=sentence("too weak"))
    assert said == "key 2 cannot be used: too weak"
    assert said.translated(german) == "zu schwach (Schlüssel 2)"


def test_nothing_is_said_of_nothing():
    """gettext has the header of the catalog for it."""
    assert sentence("").translated(lambda text: "Project-Id-Version") == ""


def test_a_problem_begins_with_its_field():
    problem = Problem.of("jwks", sentence("too weak"))
    assert (problem, problem.field, problem.text) == ("jwks: too weak.", "jwks", "too weak")
