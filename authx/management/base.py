"""The base class of our commands."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError

from authx.errors import StoreUnavailable
from authx.store.database import store_errors


class DatabaseCommand(BaseCommand):
    """A command that reports an unreachable database in one line, not in a traceback."""

    #: What the user is asked to do then.
    after_outage: ClassVar[str] = "Run it again when it can."

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            with store_errors():
                return super().execute(*args, **options)
        except StoreUnavailable as error:
            text = str(error)
            raise CommandError(f"{text[:1].upper()}{text[1:]}. {self.after_outage}") from error
