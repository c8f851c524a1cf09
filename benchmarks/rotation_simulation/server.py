"""The server's side of one session.

Times are seconds since the login. ``Authx`` asks ``authx.core.rotation.judge`` itself, and carries its
changes out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from authx.core.rotation import RotationState, Transition, judge

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = 86400.0


class Token(NamedTuple):
    """A refresh token: its generation, and which answer it came from."""

    generation: int
    branch: int


class Answer(NamedTuple):
    """What a refresh hands out; ``sets_cookie`` is False where the refresh token stays as presented."""

    token: Token
    generation: int  # of the access token
    expires_at: float  # of the access token
    sets_cookie: bool = True


@dataclass(frozen=True, slots=True)
class Settings:
    """The site's settings, in seconds."""

    access_lifetime: float = 15 * 60.0
    grace: float = 30.0
    idle_lifetime: float = 7 * DAY
    session_lifetime: float = 30 * DAY


class Server:
    """One session, opened at second 0 with generation 1; ``end_reason`` is None while it lives."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.end_reason: str | None = None
        self.decided_by: Counter[str] = Counter()
        self.last = ""  # the transition that decided last
        self.generation = 1
        self._branch = 0

    def open(self) -> Answer:
        return self.answer(1, 0.0)

    def answer(self, generation: int, now: float) -> Answer:
        """Hand out ``generation`` on a new branch."""
        self._branch += 1
        expires_at = now + self.settings.access_lifetime
        return Answer(Token(generation, self._branch), generation, expires_at)

    def refresh(self, token: Token, now: float) -> Answer | None:
        """Judge ``token``; None refuses, and may have ended the session."""
        raise NotImplementedError

    def use(self, generation: int) -> None:
        """Take note of an access token that a client showed to the issuer (T2)."""

    def note(self, transition: str) -> None:
        self.last = transition
        self.decided_by[transition] += 1


class Authx(Server):
    """The policy of ``authx.core.rotation``, its changes carried out, and T2."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.grace = timedelta(seconds=settings.grace)
        self.idle = timedelta(seconds=settings.idle_lifetime)
        self.state = RotationState(
            generation=1,
            confirmed_generation=0,
            rotated_at=START,
            idle_expires_at=START + self.idle,
            expires_at=START + timedelta(seconds=settings.session_lifetime),
        )

    def refresh(self, token: Token, now: float) -> Answer | None:
        verdict = judge(
            self.state,
            token.generation,
            branch=token.branch,
            now=START + timedelta(seconds=now),
            grace=self.grace,
            idle=self.idle,
        )
        self.note(verdict.transition.value)
        if verdict.changes:
            self.state = replace(self.state, **verdict.changes)
            self.generation = self.state.generation
        if verdict.end:
            self.end_reason = verdict.end
            self.state = replace(self.state, end_reason=verdict.end)
        if verdict.issue is None:
            return None
        answer = self.answer(verdict.issue, now)
        if verdict.transition is Transition.KEEP:
            return answer._replace(token=token, sets_cookie=False)
        return answer

    def use(self, generation: int) -> None:
        if generation == self.state.generation and self.state.is_pending:
            self.state = replace(self.state, confirmed_generation=generation)
