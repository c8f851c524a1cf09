"""What can go wrong, as one tree. Groups end in Error; members say what happened.

AuthxError
├── TokenError             the access token is unusable       → 401 invalid_token
│   ├── TokenMalformed     not one of ours, or not well made
│   ├── TokenExpired       past its ``exp``
│   ├── TokenNotForUs      another issuer or audience
│   ├── KeyUnknown         no key with that ``kid``
│   └── SessionEnded       its session has ended; ``reason`` says why
├── RefreshError           the refresh token is unusable      → 401, cookies left alone
│   ├── RefreshMalformed   never one of ours
│   ├── RefreshConflict    spent, once: its successor is in use → 409
│   ├── RefreshReused      spent, again: the session has been ended
│   └── SessionEnded       (the same)
├── DeviceInvalid          the login named a device we do not know → 400
├── SocketError            a WebSocket cannot be opened
│   ├── CredentialMissing  it carries none, and has to       → 401
│   ├── HandshakeInvalid   its request contradicts itself   → 400
│   ├── OriginNotAllowed   a page of another site asks       → 403
│   ├── ScopeMissing       a client's token lets it do less  → 403
│   └── TooManySockets     the session has as many as allowed → 429
├── LoginRefused           no session can be opened for this user  → 401
├── SessionLimitReached    the user has as many sessions as allowed → 409
├── LoginProofInvalid      a login proof lets nobody in, or not any more → 401
├── ChoiceInvalid          the login named a session that it cannot end → 400
├── OAuthError             the authorization server refuses; ``error`` is the RFC's word
│   ├── RedirectRefused    answered on a page, never with a redirect → 400
│   └── AuthorizationRefused  sent back to the client's redirect URI
├── KeyInvalid             a configured key is weak, unreadable or mismatched
└── StoreUnavailable       we cannot know                     → 503, never 401
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, ClassVar, Final
from uuid import UUID

#: What an ``error_description`` may not hold (RFC 6749 §5.2).
_NOT_DESCRIBABLE: Final = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")


class AuthxError(Exception):
    """Anything authx refuses or cannot do."""

    #: Stable machine word; bodies, logs and tests use it, never the text.
    code: ClassVar[str] = "authx_error"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy it as it is: Python would make it anew, its text as the first argument."""
        return _restored, (type(self), self.args), vars(self)


def _restored(kind: type[AuthxError], args: tuple[Any, ...]) -> AuthxError:
    return kind.__new__(kind, *args)


class TokenError(AuthxError):
    """The access token is unusable."""

    code = "token_malformed"


class TokenMalformed(TokenError):
    """It is not a well-formed token of ours (RFC 9068 §4)."""


class TokenExpired(TokenError):
    """Its ``exp`` has passed."""

    code = "token_expired"


class TokenNotForUs(TokenError):
    """Its ``iss`` or ``aud`` names another issuer or audience."""

    code = "token_not_for_us"


class KeyUnknown(TokenError):
    """No key of ours has its ``kid``."""

    code = "key_unknown"


class RefreshError(AuthxError):
    """The refresh token is unusable."""

    code = "refresh_malformed"

    def __init__(self, message: str = "", *, sid: UUID | None = None) -> None:
        super().__init__(message)
        #: The session it belonged to; None where that is not known.
        self.sid = sid


class RefreshMalformed(RefreshError):
    """It was never one of ours; nothing has changed."""


class RefreshConflict(RefreshError):
    """It was spent and its successor is in use; the session lives on, for now."""

    code = "refresh_conflict"


class RefreshReused(RefreshError):
    """It was spent before, a sign of theft, and the session has been ended (RFC 9700 §4.14.2)."""

    code = "refresh_reused"

    def __init__(
        self,
        message: str = "",
        *,
        sid: UUID | None = None,
        answers_lost: bool = False,
        ended_at: datetime | None = None,
    ) -> None:
        super().__init__(message, sid=sid)
        #: Whether it was ended because answers kept getting lost, and need not have been copied.
        self.answers_lost = answers_lost
        #: When that was; None where it is not known.
        self.ended_at = ended_at


class SessionEnded(TokenError, RefreshError):
    """The device session has ended; ``reason`` is the machine word for why."""

    code = "session_ended"

    def __init__(
        self,
        reason: str = "",
        *,
        sid: UUID | None = None,
        replaced_by: str = "",
        answers_lost: bool = False,
        ended_at: datetime | None = None,
    ) -> None:
        super().__init__(reason, sid=sid)
        self.reason = reason
        #: The device type of the login that took the session's place; ``""`` unless it was replaced.
        self.replaced_by = replaced_by
        #: Whether it was ended because answers kept getting lost, where the reason is ``reused``.
        self.answers_lost = answers_lost
        #: When it ended; None where that is not known, as to a copy of the recent endings.
        self.ended_at = ended_at


class SocketError(AuthxError):
    """A WebSocket cannot be opened, whoever asks."""

    code = "invalid_request"


class CredentialMissing(SocketError):
    """Its request carries no credential, where there must be one."""

    code = "not_authenticated"

    def __init__(self, *, in_query: bool = False) -> None:
        super().__init__("there is no credential")
        #: Whether there seems to be a token in the query string, which is never read.
        self.in_query = in_query


class HandshakeInvalid(SocketError):
    """Its request carries two credentials, or names no host of ours."""


class OriginNotAllowed(SocketError):
    """It came with a credential that is good for other pages than the one that asks."""

    code = "origin_not_allowed"


class ScopeMissing(SocketError):
    """It came with a client's token that lacks one of ``scopes``, all of which are needed (RFC 6750 §3.1)."""

    code = "insufficient_scope"

    def __init__(self, scopes: tuple[str, ...] = ()) -> None:
        super().__init__("the token lacks a scope")
        self.scopes = scopes


class TooManySockets(SocketError):
    """The session has as many sockets and streams in this process as AUTHX_SOCKETS_PER_SESSION allows."""

    code = "too_many_sockets"


class DeviceInvalid(AuthxError):
    """The device described at login cannot be accepted; the text says which part."""

    code = "device_invalid"


class LoginRefused(AuthxError):
    """This user cannot have a session: inactive, or unsaved."""

    code = "invalid_credentials"


class SessionLimitReached(AuthxError):
    """The user has as many sessions as AUTHX_SESSION_LIMITS allows, and the limit refuses more."""

    code = "session_limit"

    def __init__(self, message: str = "", *, choosable: tuple[UUID, ...] = (), must_end: int = 0) -> None:
        super().__init__(message)
        #: The sessions of which the user may choose ``must_end``, to end them; none where nothing makes room.
        self.choosable = choosable
        self.must_end = must_end


class LoginProofInvalid(AuthxError):
    """Not one of ours, spent, too old, another browser's, or of a user who has changed since."""

    code = "proof_invalid"


class ChoiceInvalid(AuthxError):
    """A session named to be ended is not one that the user can choose; nothing has changed."""

    code = "choice_invalid"


class OAuthError(AuthxError):
    """The authorization server refuses a request; ``error`` is the word that goes over the wire.

    Every character of ``description`` that RFC 6749 §5.2 does not allow becomes a question mark.
    """

    code = "oauth_refused"

    def __init__(self, error: str = "invalid_request", description: str = "", *, rule: str = "") -> None:
        self.description = _NOT_DESCRIBABLE.sub("?", description)
        super().__init__(self.description)
        self.error = error
        #: The rule that refuses, such as ``E6``, where one of a documented table does.
        self.rule = rule

    @property
    def error_description(self) -> str:
        """Return the description behind its rule: ``E6: this client may not call the target``."""
        return ": ".join(filter(None, (self.rule, self.description)))


class RedirectRefused(OAuthError):
    """It is not certain whom a redirect would reach: tell the user on a page (RFC 6749 §4.1.2.1)."""


class AuthorizationRefused(OAuthError):
    """The authorization request is refused, and its client is told at its redirect URI."""

    def __init__(
        self,
        error: str = "invalid_request",
        description: str = "",
        *,
        rule: str = "",
        redirect_uri: str = "",
        state: str | None = None,
    ) -> None:
        super().__init__(error, description, rule=rule)
        #: One of the client's own.
        self.redirect_uri = redirect_uri
        #: As the client sent it; None if it sent none, or none that can be sent back.
        self.state = state


class KeyInvalid(AuthxError):
    """A configured key is weak, unreadable, or does not fit its algorithm."""

    code = "key_invalid"


class StoreUnavailable(AuthxError):
    """The store cannot be read or written; nothing is known and nothing changed."""

    code = "store_unavailable"
