"""What an authorization code does that comes to the token endpoint: the state machine of the code.

ISSUED, it opens one session; REDEEMED, it opens none, and coming back it may end the one that it opened. It
is dead by expiry, by the end of the login that consented, of the user or of the client.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final

from authx.core import pkce
from authx.errors import OAuthError

LIFETIME: Final = timedelta(seconds=60)


class CodeDecision(Enum):
    """What is to be done with a code."""

    #: Open its session, with the code's own row as the lock.
    REDEEM = auto()
    #: Refuse, and change nothing.
    REFUSE = auto()
    #: Refuse; the session that it has opened goes on, for its client has only asked twice.
    REPLAY_WITHIN_GRACE = auto()
    #: Refuse, and end the session that it has opened: somebody else holds code and verifier.
    REPLAY_ENDS = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeSnapshot:
    """What is known of an issued code, read at one moment; datetimes are aware."""

    client_id: str
    redirect_uri: str
    #: S256, 43 characters.
    challenge: str
    expires_at: datetime
    #: None until it has been redeemed.
    redeemed_at: datetime | None
    #: Whether the login whose browser consented goes on, itself or in the one that continues it.
    login_live: bool
    user_active: bool
    client_enabled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentedCode:
    """What came with a code; ``client_id`` is the client's that has been authenticated."""

    client_id: str
    #: None where the parameter was missing or empty.
    redirect_uri: str | None
    verifier: str | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeVerdict:
    """What to do with a code, by which rule of the table, and what to tell the client."""

    decision: CodeDecision
    #: ``C1`` to ``C8``.
    rule: str
    #: The word for the client (RFC 6749 §5.2); "" where the code is redeemed.
    error: str = ""
    description: str = ""

    @property
    def refusal(self) -> OAuthError:
        """Return the error to raise; the client is not told the rule, which would tell a spent code apart."""
        return OAuthError(self.error, self.description)


def judge_code(
    snapshot: CodeSnapshot | None, presented: PresentedCode, *, now: datetime, grace: timedelta
) -> CodeVerdict:
    """Decide on a code; ``snapshot`` is None where no such code is known.

    Where the write that redeems it finds that another was faster, it is judged again, by a new snapshot (C4).
    """
    if snapshot is None or snapshot.client_id != presented.client_id:
        return _refuse("C1", "the code is unknown, or was issued to another client")
    if problem := _mismatch(snapshot, presented):
        error, description = problem
        return _refuse("C2" if snapshot.redeemed_at is None else "C7", description, error=error)
    if snapshot.redeemed_at is not None:
        is_soon = now < snapshot.redeemed_at + grace
        decision = CodeDecision.REPLAY_WITHIN_GRACE if is_soon else CodeDecision.REPLAY_ENDS
        return _refuse("C5" if is_soon else "C6", "the code has been used", decision=decision)
    if now >= snapshot.expires_at:
        return _refuse("C8", "the code has expired")
    if not (snapshot.login_live and snapshot.user_active and snapshot.client_enabled):
        return _refuse("C8", "the login that the code came from has ended")
    return CodeVerdict(decision=CodeDecision.REDEEM, rule="C3")


def _mismatch(snapshot: CodeSnapshot, presented: PresentedCode) -> tuple[str, str] | None:
    """Return error and description where what came with the code does not fit it (RFC 6749 §4.1.3)."""
    if presented.redirect_uri is None:
        return "invalid_request", "redirect_uri is missing: send the one of the authorization request"
    if presented.verifier is None:
        return "invalid_request", "code_verifier is missing: the code was asked for with PKCE"
    if presented.redirect_uri != snapshot.redirect_uri:
        return "invalid_grant", "redirect_uri is not the one of the authorization request"
    if not pkce.is_verified(presented.verifier, snapshot.challenge):
        return "invalid_grant", "code_verifier is not the one of the authorization request"
    return None


def _refuse(
    rule: str,
    description: str,
    *,
    error: str = "invalid_grant",
    decision: CodeDecision = CodeDecision.REFUSE,
) -> CodeVerdict:
    return CodeVerdict(decision=decision, rule=rule, error=error, description=description)
