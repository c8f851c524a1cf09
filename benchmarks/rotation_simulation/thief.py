"""The freedoms of a thief: a copy of the jar, a perfect line, and oracles.

He sees every act of the owner's as it happens, and may act at that very instant, before or after it. He keeps
each token that he has ever held, and may present any of them at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from authx.core.rotation import LATE_PERIOD, LATE_STREAK_LIMIT
from benchmarks.rotation_simulation.server import Answer, Token

if TYPE_CHECKING:
    from benchmarks.rotation_simulation.history import History


class Wait(NamedTuple):
    """Until when, or for which of the owner's acts: whichever comes first."""

    until: float = inf
    acts: tuple[str, ...] = ()


#: The owner presents a token, and has not been answered yet.
BEFORE = "before"
#: The owner has been answered; that answer began a generation.
RENEWED, ROTATED = "renewed", "rotated"
TIME = "time"

#: When the jar is copied, as a share of the time that is simulated.
COPIED_WITHIN = (0.02, 0.3)

#: Yields what to wait for, and is sent what came: one of the owner's acts, or TIME.
Plan = Generator[Wait, str, None]
Strategy = Callable[["Thief"], Plan]


class Thief:
    """Carries a strategy out, and keeps what it has brought in.

    ``is_quiet``: the issuer never sees the access tokens, which services elsewhere take.
    """

    def __init__(self, history: History, strategy: Strategy) -> None:
        self.history, self.rng = history, history.rng
        self.is_quiet = self.rng.random() < 0.5
        self.tokens: list[Token] = []
        self.fresh_until = 0.0
        self.copied_at: float | None = None
        self.presented_at: float | None = None
        self.first_late_at: float | None = None
        self.late_answers: list[float] = []  # when he was given one (T4), since he last rotated
        self._acts: tuple[str, ...] = ()
        self._turn = 0
        self._plan = strategy(self)
        self._wait(next(self._plan, Wait()))

    @property
    def now(self) -> float:
        return self.history.timeline.now

    @property
    def newest(self) -> Token:
        return self.tokens[-1]

    @property
    def grace(self) -> float:
        return self.history.server.settings.grace

    def copy(self) -> None:
        """Take what is in the owner's jar, and nothing else of the owner's."""
        browser, ledger = self.history.browser, self.history.ledger
        generation, self.fresh_until = browser.access
        self.tokens.append(browser.token)
        self.copied_at = self.now
        ledger.copied = browser.token.generation
        if self.fresh_until > self.now:
            ledger.hand_to_thief(generation, self.fresh_until, self.now)

    def present(self, token: Token | None = None) -> Answer | None:
        """Refresh with ``token``, the newest where none is named; None where it is refused."""
        if self.history.is_over:
            return None
        if self.presented_at is None:
            self.presented_at = self.now
        server = self.history.server
        answer = server.refresh(token or self.newest, self.now)
        if answer is None:
            return None
        if server.last == "T1":
            self.late_answers.clear()
        elif server.last == "T4":
            self.late_answers.append(self.now)
            self.first_late_at = self.first_late_at or self.now
        self.tokens.append(answer.token)
        self.fresh_until = answer.expires_at
        self.history.ledger.hand_to_thief(answer.generation, answer.expires_at, self.now)
        if not self.is_quiet:
            server.use(answer.generation)
        return answer

    @property
    def knows_better(self) -> bool:
        """Whether one late answer more would end the session, as far as he knows."""
        late = self.late_answers
        if len(late) < LATE_STREAK_LIMIT - 1 or self.now < late[-1] + self.grace:
            return False
        return self.now >= late[0] + LATE_PERIOD.total_seconds()

    def notice(self, act: str) -> None:
        if act in self._acts:
            self._go_on(act)

    def _go_on(self, act: str) -> None:
        self._acts = ()
        self._turn += 1
        try:
            wait = self._plan.send(act)
        except StopIteration:
            return
        self._wait(wait)

    def _wait(self, wait: Wait) -> None:
        self._acts = wait.acts
        if wait.until < inf:
            self.history.timeline.at(max(wait.until, self.now), self._on_time, self._turn)

    def _on_time(self, turn: int) -> None:
        if turn == self._turn:
            self._go_on(TIME)


def copied(thief: Thief) -> Plan:
    """Copy the jar at some moment, whether its owner is there or not."""
    yield Wait(thief.history.until * thief.rng.uniform(*COPIED_WITHIN))
    thief.copy()
