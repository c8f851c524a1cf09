"""Fill the names of countries in the catalogs of authx from CLDR, as Babel has it.

    python -m tools.country_names de fr      # or none, for every catalog that is there

Run it after ``makemessages``, and ``compilemessages`` after it. Only names without a translation are
filled: a translator's own word stays. ``--again`` fills all of them. Nothing else in a catalog is touched.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path

from babel import Locale
from django.conf import settings
from django.utils.translation import override, to_locale

from authx.http.countries import COUNTRIES

LOCALES = Path(__file__).resolve().parent.parent / "authx" / "locale"
#: An entry as msgmerge writes it: names are short enough for a line each.
_ENTRY = re.compile(r'^msgctxt "country"\nmsgid "(?P<name>.*)"\nmsgstr "(?P<text>.*)"$', re.MULTILINE)


def names_in(language: str) -> dict[str, str]:
    """Return the names of all countries in a language, such as ``zh_Hans``, by what a catalog calls them."""
    territories: Mapping[str, str] = Locale.parse(to_locale(language)).territories
    with override(None):
        return {str(name): territories[code] for code, name in COUNTRIES.items() if code in territories}


def filled(catalog: str, names: Mapping[str, str], *, again: bool = False) -> str:
    """Return the text of a catalog with its names of countries filled."""

    def fill(entry: re.Match[str]) -> str:
        text = entry["text"]
        if again or not text:
            text = _quoted(names.get(_unquoted(entry["name"]), _unquoted(text)))
        return f'msgctxt "country"\nmsgid "{entry["name"]}"\nmsgstr "{text}"'

    return _ENTRY.sub(fill, catalog)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _unquoted(text: str) -> str:
    return text.replace('\\"', '"').replace("\\\\", "\\")


def main() -> None:
    """Fill the catalogs named in the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("locales", nargs="*", help="such as zh_Hans; all that are there, if none is named")
    parser.add_argument("--again", action="store_true", help="fill names that are translated already, too")
    options = parser.parse_args()
    settings.configure(USE_I18N=False)  # the names in English are what a catalog is asked for
    for locale in options.locales or sorted(path.name for path in LOCALES.glob("*") if path.is_dir()):
        catalog = LOCALES / locale / "LC_MESSAGES" / "django.po"
        text = catalog.read_text(encoding="utf-8")
        catalog.write_text(filled(text, names_in(locale), again=options.again), encoding="utf-8")


if __name__ == "__main__":
    main()
