"""What came of one session: who was served for how long, and what ended it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from benchmarks.rotation_simulation.server import Answer


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one session went; seconds since the login, None for what did not happen.

    ``served`` is how long the thief held an access token that was good; ``shared`` are the generations,
    counted from the copied one, of which both the owner and the thief were handed one.
    """

    ended_at: float | None
    ended_by: str
    copied_at: float | None
    presented_at: float | None
    served: float
    served_until: float
    first_late_at: float | None
    shared: frozenset[int]
    conflicts: int
    decided_by: Counter[str]

    @property
    def is_robbed(self) -> bool:
        """Whether the thief presented the copy before the session ended."""
        return self.presented_at is not None

    @property
    def is_found(self) -> bool:
        return self.is_robbed and self.ended_at is not None

    @property
    def is_false_ending(self) -> bool:
        return self.ended_at is not None and not self.is_robbed

    @property
    def after_first_late(self) -> float:
        """How long the thief was served after the first late answer that he was given (T4)."""
        return 0.0 if self.first_late_at is None else self.served_until - self.first_late_at


@dataclass(slots=True)
class Ledger:
    """The access tokens handed out: to the owner, and to the thief since he copied the jar."""

    owners: set[int] = field(default_factory=set)
    thiefs: set[int] = field(default_factory=set)
    copied: int = 0
    served: float = 0.0
    served_until: float = 0.0

    def hand_to_thief(self, generation: int, expires_at: float, now: float) -> None:
        self.thiefs.add(generation)
        self.served += max(0.0, expires_at - max(now, self.served_until))
        self.served_until = max(self.served_until, expires_at)

    def hand_to_owner(self, answer: Answer) -> None:
        self.owners.add(answer.generation)

    def close(self, now: float) -> None:
        """Stop at ``now``: an access token of a session that has ended buys nothing."""
        self.served -= max(0.0, self.served_until - now)
        self.served_until = min(self.served_until, now)

    @property
    def shared(self) -> frozenset[int]:
        both = self.owners & self.thiefs
        return frozenset(generation - self.copied for generation in both if generation >= self.copied)
