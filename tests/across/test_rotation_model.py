"""The state machine T0-T12 against a model written from its table, on a real database."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth import get_user_model
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from authx.conf import conf, secret_keys
from authx.core.refresh_token import read_refresh_token
from authx.errors import (
    RefreshConflict,
    RefreshMalformed,
    RefreshReused,
    SessionEnded,
    TokenExpired,
)
from authx.models import DeviceSession, SessionEvent
from authx.sessions import end_session, open_session, recognize, refresh_session
from authx.sessions.activity import record_use

START = datetime(2026, 6, 1, tzinfo=UTC)
GRACE = timedelta(seconds=30)

#: Around every threshold: within and past the grace, the access token's life, idle and absolute expiry.
STEPS = [
    timedelta(0),
    timedelta(seconds=1),
    GRACE - timedelta(seconds=1),
    GRACE,
    timedelta(minutes=20),
    timedelta(minutes=60),
    timedelta(days=3),
    timedelta(days=6, hours=23),
    timedelta(days=7),
]


@dataclass
class Model:
    """What the table says, in the table's words."""

    issued: int = 1
    confirmed: int = 0
    rotated: datetime = START
    idle: datetime = START
    until: datetime = START
    struck: int | None = None
    struck_at: datetime = START
    late: int = 0
    late_since: datetime = START
    spent: int | None = None
    twinned: int | None = None
    twins: int = 0
    ended: str | None = None
    #: How many events of these kinds there are.
    copied: int = 0
    strikes: int = 0
    refreshed: int = 0

    def present(self, g: int, b: int, now: datetime, *, disabled: bool) -> int | str:
        """The generation whose token is returned, or the word it is refused with."""
        if self.ended:
            return self.ended  # T11
        if expiry := self.expiry(now):
            return self.end(expiry)
        if disabled:
            return self.end("user_disabled")  # T0
        if g > self.issued:
            return self.rotate(g, b, now)  # T8
        if g == self.issued and now - self.rotated < GRACE:
            self.confirmed = g  # T1b
            return g
        if g == self.issued:
            self.refreshed += 1
            return self.rotate(g, b, now)  # T1
        if g <= self.issued - 2:
            return self.end("reused", "!reused")  # T7
        if self.spent is not None and b != self.spent and self.twinned != g:  # T3x
            self.twins = self.twins + 1 if self.twinned == g - 1 else 1
            self.twinned, self.copied = g, self.copied + 1
            if self.twins == 2:
                return self.end("reused", "!reused")
        if -GRACE < now - self.rotated < GRACE:
            return self.issued  # T3
        if self.confirmed < self.issued:
            return self.lost(now)  # T4
        return self.strike(g, now)  # T5, T5b, T6

    def expiry(self, now: datetime) -> str | None:
        if now < self.idle and now < self.until:
            return None
        return "idle" if self.idle < self.until else "expired"

    def rotate(self, g: int, b: int, now: datetime) -> int:
        self.issued, self.confirmed, self.rotated = g + 1, g, now
        self.spent, self.late = b, 0
        self.idle = min(now + (conf.IDLE_LIFETIME + conf.ACCESS_TOKEN_LIFETIME), self.until)
        return self.issued

    def lost(self, now: datetime) -> int | str:
        if self.late == 0:
            self.late_since, self.refreshed = now, self.refreshed + 1
        self.late += 1
        if self.late >= 6 and now - self.late_since >= timedelta(hours=1):
            return self.end("reused", "!reused (lost)")
        self.idle = min(now + (conf.IDLE_LIFETIME + conf.ACCESS_TOKEN_LIFETIME), self.until)
        self.rotated = now
        return self.issued

    def strike(self, g: int, now: datetime) -> str:
        if self.struck != g:
            self.struck, self.struck_at, self.strikes = g, now, self.strikes + 1
            return "conflict"
        if now - self.struck_at < GRACE:
            return "conflict"
        return self.end("reused", "!reused")

    def end(self, reason: str, said: str = "") -> str:
        self.ended = reason
        return said or reason


class Sessions(RuleBasedStateMachine):
    """Clients, thieves, administrators and a clock; the database must say what the model says."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.disable(False)
        self.user = get_user_model()._default_manager.get()
        self.open(None)

    def open(self, overwrites: DeviceSession | None) -> None:
        credentials = open_session(self.user, overwrites=overwrites, now=self.now)
        self.session, self.claims = credentials.session, credentials.claims
        self.access = credentials.access_token
        self.tokens = {1: [credentials.refresh_token]}
        self.model = Model(
            rotated=self.now,
            idle=self.now + (conf.IDLE_LIFETIME + conf.ACCESS_TOKEN_LIFETIME),
            until=self.now + conf.SESSION_LIFETIME,
        )

    def disable(self, disabled: bool) -> None:
        self.disabled = disabled
        get_user_model()._default_manager.update(is_active=not disabled)

    def told(self, error: SessionEnded, reason: int | str | None) -> None:
        assert error.reason == reason

    def reused(self, error: RefreshReused, expected: int | str) -> None:
        assert expected == ("!reused (lost)" if error.answers_lost else "!reused")

    def row(self) -> DeviceSession:
        return DeviceSession.objects.get(pk=self.session.pk)

    @rule(step=st.sampled_from(STEPS))
    def time_passes(self, step: timedelta) -> None:
        self.now += step

    @rule(back=st.sampled_from([0, 0, 0, 1, 1, 1, 1, 2, 3]), which=st.integers(0, 2))
    def a_refresh_token_is_presented(self, back: int, which: int) -> None:
        known = sorted(self.tokens)
        self.present(known[max(0, len(known) - 1 - back)], which)

    @rule(first=st.integers(0, 2), second=st.integers(0, 2), between=st.sampled_from(STEPS[:4]))
    def two_jars_come_one_after_the_other(self, first: int, second: int, between: timedelta) -> None:
        self.now += GRACE
        newest = max(self.tokens)
        self.present(newest, first)
        self.now += between
        self.present(newest, second)

    @rule(times=st.integers(1, 6), which=st.integers(0, 2), apart=st.sampled_from([GRACE, *STEPS[4:6]]))
    def the_newest_answer_keeps_getting_lost(self, times: int, which: int, apart: timedelta) -> None:
        spent = max(1, max(self.tokens) - 1)
        for _ in range(times):
            self.now += apart
            self.present(spent, which)

    def present(self, g: int, which: int) -> None:
        token = self.tokens[g][which % len(self.tokens[g])]
        b = read_refresh_token(token, secret_keys()).branch
        expected = self.model.present(g, b, self.now, disabled=self.disabled)
        try:
            credentials = refresh_session(token, now=self.now)
        except RefreshConflict:
            assert expected == "conflict"
        except RefreshReused as error:
            self.reused(error, expected)
        except SessionEnded as error:
            self.told(error, expected)
        else:
            assert expected == credentials.claims.gen
            known_of_it = self.tokens.setdefault(credentials.claims.gen, [])
            repeats = credentials.refresh_token in known_of_it
            assert repeats == credentials.keeps_refresh_token == (g == credentials.claims.gen)
            if not repeats:
                known_of_it.append(credentials.refresh_token)
            self.access, self.claims = credentials.access_token, credentials.claims

    @rule()
    def the_latest_access_token_is_used(self) -> None:
        over = self.model.ended or self.model.expiry(self.now)
        try:
            session = recognize(self.access, now=self.now)
        except SessionEnded as error:
            self.told(error, over or ("user_disabled" if self.disabled else None))
            if over is None:
                self.model.ended = "user_disabled"  # a read writes down what a bulk update has done
        except TokenExpired:
            assert self.now >= self.claims.expires_at
        else:
            assert over is None
            assert not self.disabled
            record_use(session, self.claims, now=self.now)  # T2
            if self.claims.gen == self.model.issued:
                self.model.confirmed = self.model.issued

    @rule()
    def a_forgery_changes_nothing(self) -> None:
        before = DeviceSession.objects.filter(pk=self.session.pk).values().get()
        token = max(self.tokens.items())[1][0]
        forged = ("B" if token[0] == "A" else "A") + token[1:]
        with pytest.raises(RefreshMalformed):
            refresh_session(forged, now=self.now)
        assert DeviceSession.objects.filter(pk=self.session.pk).values().get() == before

    @rule(reason=st.sampled_from(["logout", "kicked", "ended_by_user"]))
    @precondition(lambda self: len(self.tokens) > 2)
    def somebody_ends_it(self, reason: str) -> None:
        expires = self.now >= min(self.model.idle, self.model.until)
        ends = self.model.ended is None and not expires
        assert end_session(self.session, reason, now=self.now) is ends
        if ends:
            self.model.ended = reason

    @rule()
    @precondition(lambda self: self.model.ended is None and self.model.issued > 1)
    def storage_is_rolled_back(self) -> None:
        lost = self.model.issued - 1
        back = {"generation": lost, "confirmed_generation": lost - 1}
        DeviceSession.objects.filter(pk=self.session.pk).update(**back)
        self.model = replace(self.model, issued=lost, confirmed=lost - 1)

    @rule()
    @precondition(lambda self: len(self.tokens) > 1)
    def the_user_is_disabled_or_enabled_by_a_bulk_update(self) -> None:
        self.disable(not self.disabled)

    @rule()
    @precondition(lambda self: not self.disabled)
    def somebody_logs_in_over_it(self) -> None:
        older, over = self.session, self.model.ended
        expires = self.now >= min(self.model.idle, self.model.until)
        self.open(older)
        older.refresh_from_db()
        if over is None and not expires:
            assert older.end_reason == "superseded"
        else:
            assert older.end_reason == (over or "")

    @invariant()
    def the_row_says_what_the_model_says(self) -> None:
        row, model = self.row(), self.model
        assert (row.end_reason or None) == model.ended
        if model.ended is None:
            assert (row.generation, row.confirmed_generation) == (model.issued, model.confirmed)
            assert (row.idle_expires_at, row.expires_at) == (model.idle, model.until)
            assert (row.late_streak, row.spent_branch) == (model.late, model.spent)
            assert (row.twin_generation, row.twin_streak) == (model.twinned, model.twins)

    @invariant()
    def twins_late_replays_and_strikes_have_one_event_in_a_generation(self) -> None:
        events = SessionEvent.objects.filter(session=self.session.pk)
        kinds = [events.filter(kind=kind).count() for kind in ("copied", "late_replay", "refreshed")]
        assert kinds == [self.model.copied, self.model.strikes, self.model.refreshed]

    @invariant()
    def an_ending_has_its_one_event(self) -> None:
        endings = SessionEvent.objects.filter(session=self.session.pk, kind="ended")
        assert endings.count() == (self.model.ended is not None)

    @invariant()
    def no_access_token_outlives_its_session(self) -> None:
        assert self.claims.expires_at <= self.model.until


@pytest.mark.exhaustive
@pytest.mark.django_db(transaction=True)
def test_every_history_ends_as_the_table_says(ada, request):
    run_state_machine_as_test(
        Sessions,
        settings=settings(
            max_examples=2 * request.config.getoption("--races"),
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
