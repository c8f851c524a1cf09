"""What authx is compared with: the usual rules for refresh tokens, and its own counter without branches."""

from __future__ import annotations

from benchmarks.rotation_simulation.server import Answer, Server, Settings, Token


class CounterAlone(Server):
    """authx without branches: no twins, answers lost in generations in a row, and T1b sets its cookie again.

    What a counter of generations and a grace can do by themselves; authx began with it.
    """

    LOST_IN_A_ROW = 3

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.confirmed, self.rotated_at, self.lost_in_a_row = 0, 0.0, 0
        self.lost_generation: int | None = None
        self.struck_generation, self.struck_at = 0, 0.0

    def refresh(self, token: Token, now: float) -> Answer | None:
        in_grace = now < self.rotated_at + self.settings.grace
        if token.generation == self.generation:
            return self._keep(now) if in_grace else self._rotate(now)
        if token.generation < self.generation - 1:
            return self._end("T7")
        if in_grace:
            self.note("T3")
            return self.answer(self.generation, now)
        return self._replay_late(now) if self.confirmed < self.generation else self._strike(now)

    def _keep(self, now: float) -> Answer:
        self.note("T1b")
        self.confirmed = self.generation
        return self.answer(self.generation, now)

    def _rotate(self, now: float) -> Answer:
        self.note("T1")
        if self.lost_generation != self.generation:
            self.lost_in_a_row = 0
        self.confirmed, self.rotated_at = self.generation, now
        self.generation += 1
        return self.answer(self.generation, now)

    def _replay_late(self, now: float) -> Answer | None:
        if self.lost_generation != self.generation:
            if self.lost_in_a_row == self.LOST_IN_A_ROW:
                return self._end("T4")
            self.lost_generation, self.lost_in_a_row = self.generation, self.lost_in_a_row + 1
        self.note("T4")
        self.rotated_at = now
        return self.answer(self.generation, now)

    def _strike(self, now: float) -> Answer | None:
        if self.struck_generation == self.generation and now >= self.struck_at + self.settings.grace:
            return self._end("T6")
        if self.struck_generation != self.generation:
            self.struck_generation, self.struck_at = self.generation, now
        self.note("T5")
        return None

    def _end(self, transition: str) -> Answer | None:
        self.note(transition)
        self.end_reason = "reused"
        return None

    def use(self, generation: int) -> None:
        if generation == self.generation:
            self.confirmed = generation


class Strict(Server):
    """Any spent token that comes back ends the session."""

    def refresh(self, token: Token, now: float) -> Answer | None:
        if token.generation != self.generation:
            self.end_reason = "reused"
            return None
        self.generation += 1
        return self.answer(self.generation, now)


class MintingGrace(Server):
    """A spent token buys a new child as long as the grace lasts; after it, it ends the session."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.spent_at: dict[int, float] = {}

    def refresh(self, token: Token, now: float) -> Answer | None:
        if now >= self.spent_at.setdefault(token.generation, now) + self.settings.grace:
            self.end_reason = "reused"
            return None
        self.generation += 1
        return self.answer(self.generation, now)
