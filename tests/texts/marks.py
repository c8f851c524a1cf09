"""A language in which every text of a catalog stands between marks, and who looks for other texts."""

from __future__ import annotations

import gettext
import re
from html.parser import HTMLParser
from pathlib import Path

import django
import rest_framework
from django.apps import apps
from django.utils.translation import trans_real

from tools.catalogs import ROOT, catalog, entries

#: Whose dates have no Latin letters.
LANGUAGE = "ru"
_MARKED = re.compile(r"⟦[^⟦⟧]*⟧")
_DRF = re.compile(r"""_\((['"])(.+?)\1\)""")
_LATIN = re.compile(r"[A-Za-z]{2,}")
#: Not read by people, or in no language.
_SILENT = frozenset({"code", "pre", "script", "style", "svg"})
_SPOKEN = frozenset({"alt", "aria-label", "placeholder", "title"})
_VOID = frozenset({"area", "br", "col", "hr", "img", "input", "link", "meta", "path", "source", "wbr"})


class Marks(gettext.NullTranslations):
    """Marks what stands in a catalog of ours, Django's or DRF's; whatever does not stays as it is."""

    def __init__(self, language: str = LANGUAGE) -> None:
        super().__init__()
        self._language = language
        folders = [
            Path(django.__file__).parent / "conf/locale/en",
            *(Path(app.path) / "locale/en" for app in apps.get_app_configs()),
        ]
        paths = [folder / "LC_MESSAGES/django.po" for folder in folders]
        paths = [path for path in paths if path.exists()] + [catalog(ROOT / "authx", "ar")]
        self._known = {text for path in paths for entry in entries(path) for text in entry.texts}
        # Its own catalogs lag behind.
        sources = Path(rest_framework.__file__).parent.glob("*.py")
        self._known |= {text for path in sources for _quote, text in _DRF.findall(path.read_text())}

    def gettext(self, message: str) -> str:
        text = message.rpartition("\x04")[2]  # before it stands the context
        if text not in self._known:
            return message
        return "⟦yes⟧,⟦no⟧,⟦maybe⟧" if text == "yes,no,maybe" else f"⟦{text}⟧"

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return self.gettext(msgid1 if n == 1 else msgid2)

    def to_language(self) -> str:
        return self._language


def speak_in_marks(settings, monkeypatch) -> None:
    """Make it the language of the site."""
    settings.LANGUAGE_CODE = LANGUAGE
    mark(LANGUAGE, monkeypatch)


def mark(language, monkeypatch) -> None:
    """Put marks in the place of what a language has."""
    monkeypatch.setitem(trans_real._translations, language, Marks(language))


class _Text(HTMLParser):
    """Everything that is read of a page, in its order."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.parts += [given[name] or "" for name in given.keys() & _SPOKEN]
        if tag == "input" and given.get("type") in {"submit", "button", "reset"}:
            self.parts.append(given.get("value") or "")
        if tag in _SILENT and tag not in _VOID:
            self._silent += 1

    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT:
            self._silent -= 1

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.parts.append(data)


def unmarked(page: str, *, but: tuple[str, ...] = ()) -> list[str]:
    """Return the words of a page that stand in no catalog, in their lines; ``but`` are names."""
    reader = _Text()
    reader.feed(page)
    return unmarked_of("\n".join(part.strip() for part in reader.parts if part.strip()), but=but)


def unmarked_of(text: str, *, but: tuple[str, ...] = ()) -> list[str]:
    while (less := _MARKED.sub("", text)) != text:
        text = less
    for name in sorted(but, key=len, reverse=True):
        text = text.replace(name, "")
    return [line.strip() for line in text.splitlines() if _LATIN.search(line)]
