"""What may happen next: the clock, the owner, the one copy, and a database that loses a write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from authx.core.rotation import LATE_PERIOD, Transition, Verdict, judge
from benchmarks.rotation_simulation.server import Token
from benchmarks.rotation_simulation.situation import GRACE, NEVER, Situation, without

#: What a step of the clock may be: a moment, the grace, and the period of T4.
CLOCK = (GRACE / 2, GRACE, LATE_PERIOD)

Step = tuple[str, Situation]
Judge = Callable[..., Verdict]


@dataclass(frozen=True, slots=True)
class Moves:
    """``under_way``: so many of the owner's requests and answers at the most."""

    under_way: int = 1
    judge: Judge = judge

    def after(self, here: Situation) -> Iterator[Step]:
        for step in CLOCK:
            yield f"{step.total_seconds():.0f} s pass", replace(here, now=here.now + step)
        yield from self._owner(here)
        if here.copied is None:
            yield "the jar is copied", copied(here)
        yield from self.thief(here)
        if here.before is not None and here.writes_to_lose:
            left = here.writes_to_lose - 1
            yield "the last write is lost", replace(here, row=here.before, before=None, writes_to_lose=left)

    def _owner(self, here: Situation) -> Iterator[Step]:
        yield from self.owner_presents(here, here.jar, "owner presents")
        if self._has_room(here):
            yield "owner sends a slow request", replace(here, sent=(*here.sent, here.jar))
        for token in set(here.sent):
            rest = replace(here, sent=without(here.sent, token))
            yield from self.owner_presents(rest, token, "the slow request arrives")
        for token in set(here.late):
            yield "the late answer arrives", replace(here, late=without(here.late, token), jar=token)
        if here.row.is_pending and here.row.generation in here.owners:
            yield "owner shows an access token", confirm(here)

    def _has_room(self, here: Situation) -> bool:
        return len(here.late) + len(here.sent) < self.under_way

    def owner_presents(self, here: Situation, token: Token, what: str) -> Iterator[Step]:
        after, answer = self._present(here, token)
        if after is None:
            return
        if answer is None:
            yield f"{what}: refused", after
            return
        after = replace(after, owners=after.owners | {answer.generation})
        if answer == token:  # T1b: the jar stays as it is, whenever the answer comes
            yield what, after
            return
        yield what, replace(after, jar=answer)
        yield f"{what}, its answer is lost", after
        if self._has_room(after):
            yield f"{what}, its answer is late", replace(after, late=(*after.late, answer))

    def thief(self, here: Situation) -> Iterator[Step]:
        for token in here.loot:
            after, answer = self._present(here, token)
            if after is not None and answer is not None:
                loot, thiefs = after.loot | {answer}, after.thiefs | {answer.generation}
                yield f"thief presents {token.generation}", replace(after, loot=loot, thiefs=thiefs)
            elif after is not None:
                yield f"thief presents {token.generation}: refused", after
        if here.row.is_pending and here.row.generation in here.thiefs:
            yield "thief shows an access token", confirm(here)

    def _present(self, here: Situation, token: Token) -> tuple[Situation | None, Token | None]:
        """Return what follows, None if the session ends, and the token that is handed out."""
        verdict = self.judge(
            here.row, token.generation, branch=token.branch, now=here.now, grace=GRACE, idle=NEVER
        )
        if verdict.end:
            return None, None
        after = here
        if verdict.changes:
            after = replace(here, row=replace(here.row, **verdict.changes), before=here.row)
        if verdict.issue is None:
            return after, None
        if verdict.transition is Transition.KEEP:
            return after, token
        return replace(after, branches=here.branches + 1), Token(verdict.issue, here.branches + 1)


def confirm(here: Situation) -> Situation:
    """T2: an access token of the newest generation comes to the issuer."""
    return replace(here, row=replace(here.row, confirmed_generation=here.row.generation), before=here.row)


def copied(here: Situation) -> Situation:
    """The thief takes the refresh token in the jar, and the access token that came with it."""
    generation = here.jar.generation
    return replace(here, copied=generation, loot=frozenset({here.jar}), thiefs=frozenset({generation}))
