"""What our commands have in common."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError

from authx.errors import StoreUnavailable
from authx.store.database import store_errors


class DatabaseCommand(BaseCommand):
    """A command that tells in a line, not in a traceback, that the database cannot be asked."""

    #: What is to be done then.
    after_outage: ClassVar[str] = "Run it again when it can."

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            with store_errors():
                return super().execute(*args, **options)
        except StoreUnavailable as error:
            text = str(error)
            raise CommandError(f"{text[:1].upper()}{text[1:]}. {self.after_outage}") from error
