"""One session from its login until it ends: a server, a browser, and perhaps a thief."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from benchmarks.rotation_simulation.browser import Browser
from benchmarks.rotation_simulation.habits import HABITS, STYLES
from benchmarks.rotation_simulation.network import NETWORKS
from benchmarks.rotation_simulation.outcome import Ledger, Outcome
from benchmarks.rotation_simulation.server import DAY, Answer, Settings, Token
from benchmarks.rotation_simulation.servers import SERVERS
from benchmarks.rotation_simulation.thief import BEFORE, RENEWED, ROTATED, Thief
from benchmarks.rotation_simulation.thieves import THIEVES
from benchmarks.rotation_simulation.timeline import Timeline

#: Generations that are simulated at least, where access tokens live for long.
GENERATIONS = 8


@dataclass(frozen=True, slots=True)
class Case:
    """What is simulated; the words are keys of SERVERS, HABITS, STYLES, NETWORKS and THIEVES."""

    habit: str = "20-90 minutes"
    style: str = "pages, scripts"
    network: str = "usual"
    thief: str = "nobody"
    server: str = "authx"
    settings: Settings = field(default_factory=Settings)


class History:
    """A session of ``case``; the same seed and number give the same history."""

    def __init__(self, case: Case, number: int, seed: int = 1) -> None:
        # The server is left out: all are shown the same beginning.
        self.rng = Random(f"{seed} {case.habit} {case.style} {case.network} {case.thief} {number}")
        self.network, self.ledger, self.timeline = NETWORKS[case.network], Ledger(), Timeline()
        self.server = SERVERS[case.server](case.settings)
        habit = HABITS[case.habit]
        self.until = max(habit.days * DAY, GENERATIONS * case.settings.access_lifetime)
        self.browser = Browser(self, habit, STYLES[case.style])
        self.thief = Thief(self, THIEVES[case.thief])

    @property
    def is_over(self) -> bool:
        return self.server.end_reason is not None

    def run(self) -> Outcome:
        self.timeline.run(self.until, lambda: self.is_over)
        now = self.timeline.now
        if self.is_over:
            self.ledger.close(now)
        return Outcome(
            ended_at=now if self.is_over else None,
            ended_by=self.server.last if self.is_over else "",
            copied_at=self.thief.copied_at,
            presented_at=self.thief.presented_at,
            served=self.ledger.served,
            served_until=self.ledger.served_until,
            first_late_at=self.thief.first_late_at,
            shared=self.ledger.shared,
            conflicts=self.browser.conflicts,
            decided_by=self.server.decided_by,
        )

    def owner_refreshes(self, token: Token) -> Answer | None:
        """Have the server judge what the owner's browser presents, under the thief's eyes."""
        self.thief.notice(BEFORE)
        if self.is_over:
            return None
        generation = self.server.generation
        answer = self.server.refresh(token, self.timeline.now)
        if answer is not None:
            self.ledger.hand_to_owner(answer)
            self.thief.notice(RENEWED)
            if self.server.generation > generation:
                self.thief.notice(ROTATED)
        return answer
