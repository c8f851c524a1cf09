"""Bring the catalogs up to date with the texts in the code: the ``.po`` and ``.mo`` of every language.

Run it after changing a text, translate what is new, and run it again. It needs gettext's programs.
Its argument, if any, is another copy of the repository than this one.
"""

from __future__ import annotations

import ast
import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.core.management.commands.makemessages import Command

ROOT: Final = Path(__file__).resolve().parents[1]
#: The packages with texts of their own.
PACKAGES: Final = ("authx", "demo_project")

#: The languages by the names that Django has for their folders, each with its plural forms.
PLURALS: Final = {
    "ar": (
        "nplurals=6; plural=n==0 ? 0 : n==1 ? 1 : n==2 ? 2 : n%100>=3 && n%100<=10 ? 3 : n%100>=11 ? 4 : 5;"
    ),
    "de": "nplurals=2; plural=(n != 1);",
    "es": "nplurals=2; plural=(n != 1);",
    "fr": "nplurals=2; plural=(n > 1);",
    "ja": "nplurals=1; plural=0;",
    "zh_Hans": "nplurals=1; plural=0;",
}

#: Nothing that changes by itself: no date, no place, no version.
HEADER: Final = r"""msgid ""
msgstr ""
"Project-Id-Version: drf-authx\n"
"Language: {language}\n"
"MIME-Version: 1.0\n"
"Content-Type: text/plain; charset=UTF-8\n"
"Content-Transfer-Encoding: 8bit\n"
"Plural-Forms: {plurals}\n"
"""


_FIELD: Final = re.compile(r'^(msg\w+)(?:\[\d+\])? ((?:"[^\n]*"\n?)+)', re.MULTILINE)


@dataclass(frozen=True)
class Entry:
    """A text, and what it is in another language: one form, or as many as that language's plurals have."""

    texts: tuple[str, ...]  # the text, and its plural if it has one
    forms: tuple[str, ...]
    is_fuzzy: bool

    @property
    def is_done(self) -> bool:
        return all(self.forms) and not self.is_fuzzy


class MakeMessages(Command):
    """Django's command, which does not guess at translations: what is new is empty."""

    msgmerge_options = [*Command.msgmerge_options, "--no-fuzzy-matching"]

    def copy_plural_forms(self, msgs: str, locale: str) -> str:
        return msgs  # the header is ours


def catalog(package: Path, language: str) -> Path:
    """Return where the texts of a language are."""
    return package / "locale" / language / "LC_MESSAGES" / "django.po"


def make(package: Path, languages: tuple[str, ...] = tuple(PLURALS)) -> None:
    """Write the catalogs of a copy of the package."""
    for language in languages:
        if not (path := catalog(package, language)).exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(with_header("", language))  # gettext reads there how many plural forms it has
    named = [f"--locale={language}" for language in languages]
    options = ["--add-location=file", "--no-wrap", "--no-obsolete", "--extension=py,html,txt"]
    with contextlib.chdir(package):  # the command has no other way to be told where
        command: Any = MakeMessages()
        command.run_from_argv(["django-admin", "makemessages", "--verbosity=0", *named, *options])
    for language in languages:
        path = catalog(package, language)
        path.write_text(with_header(path.read_text(), language))
        compile_catalog(path)


def entries(path: Path) -> Iterator[Entry]:
    """Read a ``.po``, but for its header."""
    for block in path.read_text().split("\n\n")[1:]:
        fields: dict[str, list[str]] = {}
        for name, quoted in _FIELD.findall(block):
            fields.setdefault(name, []).append(
                "".join(ast.literal_eval(line) for line in quoted.splitlines())
            )
        texts = (*fields["msgid"], *fields.get("msgid_plural", ()))
        yield Entry(
            texts, tuple(fields["msgstr"]), "fuzzy" in "".join(re.findall(r"^#,.*", block, re.MULTILINE))
        )


def with_header(text: str, language: str) -> str:
    """Put our header in the place of the one that gettext has made, up to the first empty line."""
    return HEADER.format(language=language, plurals=PLURALS[language]) + "\n" + text.partition("\n\n")[2]


def compile_catalog(path: Path, out: Path | None = None) -> Path:
    """Write the ``.mo`` of a ``.po``, whose placeholders must agree with those of the texts."""
    out = out or path.with_suffix(".mo")
    subprocess.run(["msgfmt", "--check-format", f"--output-file={out}", path], check=True)
    return out


def main() -> None:
    root = Path(sys.argv[1]).resolve() if sys.argv[1:] else ROOT
    for package in PACKAGES:
        make(root / package)
        for language in PLURALS:
            found = list(entries(catalog(root / package, language)))
            done = sum(entry.is_done for entry in found)
            print(f"{package}, {language}: {done} of {len(found)} texts are translated")


if __name__ == "__main__":
    main()
