"""``manage.py authx_export``: all that is kept about one user, as JSON."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from django.core.management.base import CommandError, CommandParser

from authx.management.base import DatabaseCommand
from authx.management.people import add_user_arguments, find_person
from authx.sessions.exporting import export


class Command(DatabaseCommand):
    help = "Print all that is kept about a user, as JSON: sessions, their events, acts on others' sessions."

    def add_arguments(self, parser: CommandParser) -> None:
        add_user_arguments(parser, required=True)
        parser.add_argument("--output", metavar="FILE", help="A new file, readable by its owner alone.")

    def handle(self, *args: Any, output: str | None = None, **options: Any) -> None:
        pieces = export(find_person(options))
        if output is None:
            for piece in pieces:
                self.stdout.write(piece, ending="")
            return
        try:
            _write(output, pieces)
        except OSError as error:
            raise CommandError(f"{output!r} cannot be written: {error.strerror}.") from error


def _write(path: str, pieces: Iterator[str]) -> None:
    """Write all of it, or leave no file."""
    with open(path, "x", encoding="utf-8", opener=_for_its_owner) as file:
        try:
            file.writelines(pieces)
        except BaseException:
            with suppress(OSError):
                os.unlink(path)
            raise


def _for_its_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
