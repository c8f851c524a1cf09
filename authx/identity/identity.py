"""The identity of a request, as a value: who it is, or why not, and what the response delivers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import AnonymousUser

from authx.core.claims import AccessClaims
from authx.core.ended import Ended
from authx.core.reasons import EndReason
from authx.errors import AuthxError, RefreshReused, SessionEnded
from authx.models import DeviceSession
from authx.sessions import Credentials
from authx.sessions.authentication import Caller


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the response does to the browser."""

    #: The tokens that become its cookies, unless their session has ended or moved on by then.
    credentials: Credentials | None = None
    #: Whether its Django session is bound to their session, should that still exist then.
    binds_django_session: bool = False
    #: Whether its cookies are deleted; nothing is set then.
    clears_cookies: bool = False
    #: Whether those too that are not ours, but another site's on this host: a login makes way for itself.
    clears_others: bool = False
    #: The session that was ended in a transaction: its cookies stay if that has been rolled back.
    ended: DeviceSession | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a request is; as it stands, an anonymous visitor who presented nothing."""

    user: Any = field(default_factory=AnonymousUser)
    #: The live device session; None without one, and while its row has not been read.
    session: DeviceSession | None = None
    #: The claims of the access token, presented or just made, that names the session; None without one.
    claims: AccessClaims | None = None
    #: Why what was presented identifies nobody: its session has ended, its refresh token is spent, the store
    #: cannot be asked. None if it does identify somebody, or if nothing was presented.
    refusal: AuthxError | None = None
    #: What the site's own code, such as AUTHX_CLAIMS, has raised instead of an answer; None if nothing.
    failure: Exception | None = None
    delivery: Delivery = Delivery()
    #: Whom AUTHX_REVOCATION_STORE has let in, until the row has been read; ``user`` reads it when it is used.
    unread: Caller | None = None

    @property
    def ended_reason(self) -> str:
        """Return the ``EndReason`` for which the presented session has ended; ``""`` if it has not."""
        if isinstance(self.refusal, RefreshReused):
            return EndReason.REUSED.value
        return str(self.refusal.reason) if isinstance(self.refusal, SessionEnded) else ""

    @property
    def ended(self) -> Ended | None:
        """Return how the presented session ended; None if it has not, or for no reason that we know."""
        error, reason = self.refusal, self.ended_reason
        if not isinstance(error, SessionEnded | RefreshReused) or reason not in set(EndReason):
            return None
        replaced_by = error.replaced_by if isinstance(error, SessionEnded) else ""
        return Ended(reason, error.ended_at, replaced_by, error.answers_lost)
