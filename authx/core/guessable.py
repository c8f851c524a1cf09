"""Whether a secret can be guessed: too short, too uniform, published, or made of words and series."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

from authx.core.placeholders import PUBLISHED, ROWS, SHORT_WORDS, WORDS

#: Least number of characters in a secret.
MIN_LENGTH: Final = 32
#: Least number of different ones. Less than one in ten million random keys of 32 hex digits has fewer.
MIN_DIFFERENT_CHARACTERS: Final = 8
#: Least number of characters that do not follow from those before them; in a random key, nearly all.
MIN_FRESH_CHARACTERS: Final = 16

#: Characters examined: a text that has repeated itself for this long goes on repeating.
_MAX_LENGTH: Final = 4096
#: Least length of a series or a repetition.
_MIN_RUN_LENGTH: Final = 4
#: What ``startproject`` puts before a random key.
_PREFIX: Final = "django-insecure-"
_SERIES: Final = "\n".join([*ROWS, *(row[::-1] for row in ROWS)])
#: Digits and signs in the place of letters.
_LEET: Final = str.maketrans("0134@57$!", "oieaastsi")

_LONG: Final = "|".join(map(re.escape, sorted(WORDS | PUBLISHED, key=len, reverse=True)))
_SHORT: Final = "|".join(SHORT_WORDS)
_WORD: Final = re.compile(_LONG)
#: Short words, with a separator, the end or a longer word behind them.
_SHORT_WORD: Final = re.compile(rf"(?:{_SHORT})(?=(?:{_SHORT}){{0,3}}(?:{_LONG}|[\W_]|$))")


def complaint(secret: str | bytes) -> str | None:
    """Return what makes ``secret`` guessable, to be read after its name; None if nothing does.

    The text contains no part of the secret.
    """
    text = _as_text(secret).removeprefix(_PREFIX)
    if len(text) < MIN_LENGTH:
        return f"is shorter than {MIN_LENGTH} characters ({len(text)})"
    lowered = text[:_MAX_LENGTH].lower()
    if lowered in PUBLISHED:
        return "is a published one"
    if (different := len(set(text))) < MIN_DIFFERENT_CHARACTERS:
        return f"has fewer than {MIN_DIFFERENT_CHARACTERS} different characters ({different})"
    if _count_fresh(lowered) < MIN_FRESH_CHARACTERS:
        return "is made of words, series or repetitions"
    return None


def _as_text(secret: str | bytes) -> str:
    """Return a text without white space around it; for octets beyond ASCII, one character each."""
    if isinstance(secret, bytes) and not secret.isascii():
        return secret.decode("latin-1")
    return (secret.decode() if isinstance(secret, bytes) else secret).strip()


def _count_fresh(text: str) -> int:
    """Count the characters that do not follow from those before them, up to ``MIN_FRESH_CHARACTERS``.

    A word, a series or a sign between words counts as one, and when it is repeated as none.
    """
    steps = [ord(after) - ord(before) for before, after in pairwise(text)]
    leet, seen = text.translate(_LEET), set[str]()
    place = count = 0
    is_border = True
    while place < len(text) and count < MIN_FRESH_CHARACTERS:
        word = _word_at(text, place, is_border) or _word_at(leet, place, is_border)
        run = max(_series_at(text, place), _repetition_at(steps, place))
        token = text[place : place + max(len(word), run, 1)]
        is_border = bool(word) or not token.isalnum()
        count += token not in seen
        if len(token) > 1 or is_border:
            seen.add(token)
        place += len(token)
    return count


def _word_at(text: str, place: int, is_border: bool) -> str:
    """Return the word that begins at ``place``; empty if none does."""
    found = _WORD.match(text, place) or (_SHORT_WORD.match(text, place) if is_border else None)
    return found[0] if found else ""


def _series_at(text: str, place: int) -> int:
    """Return how many characters of a keyboard's row begin at ``place``."""
    length = _MIN_RUN_LENGTH
    while place + length <= len(text) and text[place : place + length] in _SERIES:
        length += 1
    return length - 1 if length > _MIN_RUN_LENGTH else 0


def _repetition_at(steps: list[int], place: int) -> int:
    """Return how many characters from ``place`` repeat earlier steps: copies, counting, doubling."""
    longest = 0
    for before in range(place - 1):
        length = 0
        while place - 1 + length < len(steps) and steps[before + length] == steps[place - 1 + length]:
            length += 1
        longest = max(longest, length)
    return longest if longest >= _MIN_RUN_LENGTH else 0
