"""When a copy of data kept elsewhere is used, renewed, waited for or refused.

JWK Sets, managed keys and recent endings are all kept as copies. What differs between them is a ``Policy``.
All times are seconds of one clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

NEVER: Final = float("-inf")
FOREVER: Final = float("inf")


class Verdict(Enum):
    """What a caller that needs the copy now does."""

    USE = "use"
    #: Use it, and have it renewed without keeping a caller waiting.
    RENEW_IN_BACKGROUND = "renew in background"
    #: Wait until one caller has renewed it for all.
    WAIT = "wait"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Policy:
    """How old a copy may be, and how often it is renewed, in seconds."""

    #: An older copy is renewed while it is used.
    renew_after: float
    #: An older copy is not used before it has been renewed, unless renewing fails.
    wait_after: float
    #: An older copy that cannot be renewed is refused; one that was never read always is.
    refuse_after: float = FOREVER
    #: Pause without a try after a failure; each further failure in a row doubles it, up to ``max_rest``.
    rest: float = 0.0
    max_rest: float = 0.0
    #: How long after a failure callers do not wait for another try.
    failing_for: float = FOREVER
    #: Least time between the starts of two tries, whatever their outcome.
    cool_down: float = 0.0
    #: Least time between the starts of two tries for something that the copy lacks.
    missing_cool_down: float = 0.0


@dataclass(frozen=True, slots=True)
class History:
    """When a copy was read, and how that went."""

    #: When the reading that gave the copy started: its age counts from there.
    read_at: float = NEVER
    tried_at: float = NEVER
    #: When the last try for something missing started.
    missed_at: float = NEVER
    #: When the last try failed, if it did, and how many in a row.
    failed_at: float = NEVER
    failures: int = 0
    #: True while a try is running.
    is_trying: bool = False

    def started(self, now: float) -> History:
        """Return the history with a try that starts now."""
        return replace(self, tried_at=now, is_trying=True)

    def succeeded(self) -> History:
        """Return the history after that try has succeeded."""
        return History(read_at=self.tried_at, tried_at=self.tried_at, missed_at=self.missed_at)

    def failed(self, now: float) -> History:
        """Return the history after that try has failed."""
        return replace(self, failed_at=now, failures=self.failures + 1, is_trying=False)

    def abandoned(self) -> History:
        """Return the history after that try has stopped without an outcome."""
        return replace(self, is_trying=False)

    def missed(self, now: float) -> History:
        """Return the history with a try for something missing that starts now."""
        return replace(self, missed_at=now)


def judge(history: History, policy: Policy, now: float, *, is_missing: bool = False) -> Verdict:
    """Decide what to do about a copy; ``is_missing`` is True where it lacks what the caller looks for.

    A copy from the future counts as none: the clock was put back.
    """
    age = now - history.read_at
    if not is_missing and 0 <= age <= policy.renew_after:
        return Verdict.USE
    is_failing = is_within(now, history.failed_at, policy.failing_for)
    if rests(history, policy, now, is_missing=is_missing) and (is_failing or not history.is_trying):
        return Verdict.USE if is_usable(history, policy, now) else Verdict.REFUSE
    if is_failing or (not is_missing and 0 <= age <= policy.wait_after):
        return Verdict.RENEW_IN_BACKGROUND
    return Verdict.WAIT


def rests(history: History, policy: Policy, now: float, *, is_missing: bool = False) -> bool:
    """Return whether a new try has to wait."""
    doubled = policy.rest * 2.0 ** min(history.failures - 1, 30)
    return (
        is_within(now, history.failed_at, min(doubled, max(policy.rest, policy.max_rest)))
        or is_within(now, history.tried_at, policy.cool_down)
        or (is_missing and is_within(now, history.missed_at, policy.missing_cool_down))
    )


def is_usable(history: History, policy: Policy, now: float, *, asked_at: float = FOREVER) -> bool:
    """Return whether a caller from ``asked_at`` may use the copy; always if its reading started later."""
    if history.read_at == NEVER:
        return False
    return asked_at <= history.read_at or now - history.read_at <= policy.refuse_after


def is_within(now: float, then: float, seconds: float) -> bool:
    """Return whether ``now`` is less than ``seconds`` after ``then``, and not before it."""
    return 0 <= now - then < seconds
