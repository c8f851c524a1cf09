"""Which sessions have ended: the question, and whom to ask."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Protocol

from django.utils.module_loading import import_string

from authx.conf import conf
from authx.core.claims import AccessClaims

#: Sources that are named by one word; found by name, for the gate imports no models.
_NAMED = {"database": "authx.sessions.standing.DatabaseSource"}


class RevocationSource(Protocol):
    """Answers for one verification; a class of this kind is what AUTHX_REVOCATION_STORE names."""

    def end_reason(self, claims: AccessClaims, now: datetime | None) -> str | None:
        """Why the session of ``claims`` is over, or None while it is live.

        Raises:
            StoreUnavailable: it cannot be known.
        """


def source() -> RevocationSource:
    """A fresh source of the configured kind."""
    return _source_class(_NAMED.get(conf.REVOCATION_STORE, conf.REVOCATION_STORE))()


@lru_cache(maxsize=8)
def _source_class(path: str) -> type[RevocationSource]:
    found: type[RevocationSource] = import_string(path)
    return found
