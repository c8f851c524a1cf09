"""The owner's browser: one jar, many tabs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchmarks.rotation_simulation.habits import Habit, Style
from benchmarks.rotation_simulation.network import LATENCY, Range
from benchmarks.rotation_simulation.server import Answer, Token

if TYPE_CHECKING:
    from benchmarks.rotation_simulation.history import History

TAB_STARTS: Range = (0.0, 1.0)  # after the tabs were opened together
CALL_AFTER: Range = (0.0, 3.0)  # a page's script calls the API
RETRY_AFTER: Range = (1.0, 60.0)  # an answer was lost, or a page said "conflict"
PAUSE: Range = (5.0, 300.0)  # between two acts of somebody who is there
PAUSE_MEAN = 60.0

#: That several tabs are opened at once and not one; that a lost answer is asked for again.
SEVERAL, RETRY = 0.2, 0.5
#: The timers of an app renew when so much of the access token's life is left.
TIMER_BEFORE = 0.1


class Browser:
    """One jar and its tabs: every request carries what the jar holds as it leaves.

    The last answer to arrive fills the jar, whichever was issued last.
    """

    def __init__(self, history: History, habit: Habit, style: Style) -> None:
        self.history, self.habit, self.style = history, habit, style
        self.rng, self.timeline = history.rng, history.timeline
        opened = history.server.open()
        self.token: Token = opened.token
        self.access: tuple[int, float] = (opened.generation, opened.expires_at)
        self.leaves_at, self.conflicts = 0.0, 0
        self.is_gone = False
        visits = list(habit.visits(self.rng, history.until))
        for begin, end in visits:
            self.timeline.at(begin, self._visit, end)
        begin, end = self.rng.choice(visits)
        self.outage_at = self.rng.uniform(begin, min(end, history.until))

    @property
    def _is_out(self) -> bool:
        return 0 <= self.timeline.now - self.outage_at < self.history.network.outage

    @property
    def is_there(self) -> bool:
        return self.timeline.now < self.leaves_at and not self.is_gone

    def _visit(self, end: float) -> None:
        self.leaves_at = end
        tabs = self.rng.randint(*self.habit.tabs)
        self._open_tabs(tabs)
        for _ in range(tabs if self.style.has_timer else 0):
            self.after(TAB_STARTS, self._tick)
        self._act_later()

    def _act_later(self) -> None:
        pause = PAUSE[0] + self.rng.expovariate(1 / (PAUSE_MEAN - PAUSE[0]))
        self.timeline.after(min(pause, PAUSE[1]), self._act)

    def _act(self) -> None:
        if self.is_there:
            several = self.rng.random() < SEVERAL
            self._open_tabs(self.rng.randint(*self.habit.tabs) if several else 1)
            self._act_later()

    def _open_tabs(self, number: int) -> None:
        for _ in range(number if not self.is_gone else 0):
            self.after(TAB_STARTS, self.send, "page")

    def after(self, seconds: Range, action: Callable[..., None], *arguments: Any) -> None:
        self.timeline.after(self.rng.uniform(*seconds), action, *arguments)

    def send(self, kind: str, tries: int = 0) -> None:
        """Ask for a ``page``, ``call`` or ``refresh``; what needs no renewal gets none."""
        generation, expires_at = self.access
        if kind != "refresh" and self.timeline.now < expires_at:
            self.after(LATENCY, self._be_served, kind, generation)
            return
        for seconds in self.history.network.request_times(self.rng):
            self.timeline.after(seconds, self._renew, kind, self.token, tries)

    def _be_served(self, kind: str, generation: int) -> None:
        if self.style.asks_issuer:
            self.history.server.use(generation)
        self._load(kind)

    def _renew(self, kind: str, token: Token, tries: int) -> None:
        answer = self.history.owner_refreshes(token)
        if self.history.is_over:
            return
        if answer is None:
            self._meet_conflict(kind, tries)
            return
        seconds = self.history.network.answer_time(self.rng)
        if seconds is not None and not self._is_out:
            self.timeline.after(seconds, self._arrive, kind, answer)
        elif self.rng.random() < RETRY:
            self.after(RETRY_AFTER, self.send, kind)

    def _meet_conflict(self, kind: str, tries: int) -> None:
        """A page in conflict is redirected to itself once; then its reader tries again, once."""
        self.conflicts += 1
        if tries < 2:
            self.after(RETRY_AFTER if tries else LATENCY, self.send, kind, tries + 1)

    def _arrive(self, kind: str, answer: Answer) -> None:
        if answer.sets_cookie:
            self.token = answer.token
        self.access = (answer.generation, answer.expires_at)
        self._load(kind)

    def _load(self, kind: str) -> None:
        if kind != "page":
            return
        if self.rng.random() < self.style.refreshes:
            self.after(LATENCY, self.send, "refresh")
        if self.rng.random() < self.style.calls:
            self.after(CALL_AFTER, self.send, "call")

    def _tick(self) -> None:
        """Renew in this tab where the access token is about to expire; all tabs do it at once."""
        if not self.is_there:
            return
        lifetime = self.history.server.settings.access_lifetime
        due = self.access[1] - TIMER_BEFORE * lifetime
        if self.timeline.now >= due:
            self.send("refresh")
            due = self.timeline.now + (1 - TIMER_BEFORE) * lifetime  # it waits for its answer meanwhile
        self.timeline.at(due + self.rng.uniform(*TAB_STARTS), self._tick)
