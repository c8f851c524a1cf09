"""``manage.py authx_check``: are all workers configured alike?"""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from authx.errors import KeyInvalid
from authx.gate.fingerprint import agrees, fingerprint, parts
from authx.management.base import DatabaseCommand


class Command(DatabaseCommand):
    help = (
        "Prints the fingerprint of what workers must agree on: keys, lifetimes, grace, cookies, store. "
        "With --expect it fails where that is another one."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--expect", metavar="FINGERPRINT", help="as another worker has printed it")

    def handle(self, *args: Any, expect: str | None = None, **options: Any) -> None:
        try:
            found = fingerprint()
        except KeyInvalid as error:
            raise CommandError(f"AUTHX_SIGNING_KEYS: {error}.") from error
        if expect is not None and not agrees(expect):
            raise CommandError(f"This worker is configured as {found}, not as {expect}; compare with -v 2.")
        self.stdout.write(found)
        if options["verbosity"] > 1:
            for name, word in parts().items():
                self.stdout.write(f"{word}  {name}")
