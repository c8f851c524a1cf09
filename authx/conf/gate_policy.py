"""What every request with a token asks of the settings, as one value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """What tokens are checked by, and who is asked about their sessions."""

    issuer: str
    audience: tuple[str, ...]
    max_lifetime: timedelta
    leeway: timedelta
    #: Where the issuer's keys are; None: the keys are our own.
    jwks_url: str | None
    store: str
    #: Seconds.
    lag: float
    #: Whether the database is asked about every token; or Redis, or a copy of the endings, with it behind.
    asks_database: bool
    asks_copy: bool

    @classmethod
    def of(cls, conf: Any) -> GatePolicy:
        """Read it from the settings."""
        store, lag = conf.REVOCATION_STORE, conf.REVOCATION_LAG
        return cls(
            conf.ISSUER,
            conf.AUDIENCE,
            conf.ACCESS_TOKEN_LIFETIME,
            conf.CLOCK_LEEWAY,
            conf.JWKS_URL,
            store,
            lag.total_seconds(),
            asks_database=store == "database" and not lag,
            asks_copy=store == "redis" or (store == "database" and bool(lag)),
        )
