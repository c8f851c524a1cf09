"""The identity of a request, as a value: who it is, or why not, and what the response delivers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import AnonymousUser

from authx.core.claims import AccessClaims
from authx.errors import AuthxError, RefreshConflict, RefreshReused, SessionEnded, StoreUnavailable
from authx.models import DeviceSession, EndReason
from authx.sessions import Credentials


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the response does to the browser."""

    #: The tokens that become its cookies, unless their session has ended or moved on by then.
    credentials: Credentials | None = None
    #: Whether its Django session is bound to their session, should that still exist then.
    binds_django_session: bool = False
    #: Whether its cookies are deleted; nothing is set then.
    clears_cookies: bool = False


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a request is; as it stands, an anonymous visitor who presented nothing."""

    user: Any = field(default_factory=AnonymousUser)
    #: The live device session; None without one.
    session: DeviceSession | None = None
    #: The claims of the access token that named the session, presented or just made; None without one.
    claims: AccessClaims | None = None
    #: Why what was presented identifies nobody; None if it does, or if nothing was.
    refusal: AuthxError | None = None
    delivery: Delivery = Delivery()

    @property
    def ended_reason(self) -> str:
        """Return the ``EndReason`` for which the presented session has ended; ``""`` if it has not."""
        if isinstance(self.refusal, RefreshReused):
            return EndReason.REUSED.value
        return str(self.refusal.reason) if isinstance(self.refusal, SessionEnded) else ""

    @property
    def replaced_by(self) -> str:
        """Return the device type of the login in its place; ``""`` unless the reason is ``replaced``."""
        return self.refusal.replaced_by if isinstance(self.refusal, SessionEnded) else ""

    @property
    def conflict(self) -> bool:
        """Return whether the refresh token was spent, and its successor is in use elsewhere."""
        return isinstance(self.refusal, RefreshConflict)

    @property
    def outage(self) -> StoreUnavailable | None:
        """Return the error because of which nobody can say who it is; None if somebody can."""
        return self.refusal if isinstance(self.refusal, StoreUnavailable) else None
